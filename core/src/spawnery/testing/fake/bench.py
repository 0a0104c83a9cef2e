"""The fake under the conformance kit; also an example of a ``Bench``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from spawnery.testing.bench import Bench, FaultPoint
from spawnery.testing.commands import Commands, Words
from spawnery.testing.fake.engine import FakeEngine, engine_at, forget_engine
from spawnery.testing.fake.faultport import METHOD, FakeFaults


class FakeCommands(Commands):
    """The kit's programs in the fake's language."""

    def exits(self, code: int) -> Words:
        return (f"exit:{code}",)

    def sleeps(self, seconds: float) -> Words:
        return ("print:ready", f"sleep:{seconds}")

    def prints(self, out: str, err: str = "", code: int = 0) -> Words:
        return (f"write:{out}", f"write-err:{err}", f"exit:{code}")

    def prints_slowly(self, lines: int, pause: float) -> Words:
        steps = ((f"print:line {n}", f"sleep:{pause}") for n in range(1, lines + 1))
        return tuple(word for step in steps for word in step)

    def floods(self, size: int) -> Words:
        return (f"flood:{size}",)

    def ignores_term(self) -> Words:
        return ("ignore-term", "print:ready", "sleep:600")

    def traps_term(self, code: int = 0) -> Words:
        return (f"trap-term:{code}", "print:ready", "sleep:600")

    def prints_env(self, code: int = 0) -> Words:
        return ("env", f"exit:{code}")

    def prints_workdir(self) -> Words:
        return ("workdir",)

    def prints_args(self) -> Words:
        return ("print:args",)

    def args(self, *words: str) -> Words:
        return tuple(f"print:{word}" for word in words)

    def leaves_child(self) -> Words:
        return ("print:ready", "sleep:600")

    def signals_itself(self, number: int) -> Words:
        return (f"signal:{number}",)

    def runs_out_of_memory(self) -> Words:
        return ("oom",)


class FakeBench(Bench):
    """The fake on an engine in this process."""

    spawner_type = "fake"
    shared = False
    missing_image = "missing/none:0"
    stuck: ClassVar[Mapping[str, Any]] = {"options": {"fake": {"slow_start_seconds": 600}}}
    hangs: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        step: {"options": {"fake": {"hang_before": step}}} for step in ("create", "start")
    }
    crowd = 500
    commands = FakeCommands()
    fault_points: ClassVar[Mapping[str, FaultPoint]] = {
        point: FaultPoint(METHOD, f"^/{point}/")
        for point in ("create", "start", "status", "list", "watch", "logs", "stop", "remove")
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.engine_name = self.where()
        self.engine: FakeEngine = engine_at(self.engine_name)
        self._ahead: dict[str, str] = {}
        self._other: FakeEngine | None = None

    def where(self) -> str:
        """Return where the engine lives."""
        return f"engine of {self.instance}"

    def settings(self) -> Mapping[str, str]:
        """Name the engine."""
        return {"SPAWNERY_FAKE_ENGINE": self.engine_name, **self._ahead}

    def elsewhere(self) -> Mapping[str, str]:
        """Lead to an engine of its own."""
        name = f"{self.engine_name}.other"
        self._other = engine_at(name)
        return {"SPAWNERY_FAKE_ENGINE": name}

    def set_clock_ahead(self, seconds: float) -> bool:
        """Set the engine's clock back instead of ours."""
        self._ahead = {"SPAWNERY_FAKE_CLOCK_AHEAD": str(-seconds)}
        self.engine.clock = lambda: time.time() - seconds
        return True

    def objects(self) -> set[str]:
        """Name all objects of the engine, and of the other one."""
        return self.engine.objects() | (self._other.objects() if self._other else set())

    def runs_of(self, job_id: str) -> int:
        """Count the starts of a job."""
        return self.engine.starts(job_id)

    def plant_foreign(self, name: str) -> None:
        """Put an object of somebody else there."""
        self.engine.plant(name)

    def foreign_untouched(self, name: str) -> bool:
        """Tell whether it still runs."""
        return self.engine.alive(name)

    def kill_engine_side(self, job_id: str) -> None:
        """Remove the object of a job."""
        self.engine.remove_outside(self.name_of(job_id))

    def faults(self) -> FakeFaults:
        """Return the engine's fault port."""
        return self.engine.faults

    def close(self) -> None:
        """Let go of the engine."""
        self.engine.faults.clear()
        forget_engine(self.engine_name)
        forget_engine(f"{self.engine_name}.other")


class FakeFileBench(FakeBench):
    """The fake on an engine in a file, which processes share."""

    shared = True
    crowd = 40

    def where(self) -> str:
        """Name the file."""
        return str(self.folder / "engine.json")


class AutoRemoving(FakeBench):
    """The fake whose objects go at the exit of a job with retention 0."""

    def settings(self) -> Mapping[str, str]:
        """Ask for it."""
        return {**super().settings(), "SPAWNERY_FAKE_AUTO_REMOVE": "1"}


class AutoRemovingFile(AutoRemoving, FakeFileBench):
    """The same, in a file."""
