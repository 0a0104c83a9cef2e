"""What an author of a spawner tells the kit: how to open it, what to run, how to look behind it."""

from __future__ import annotations

import os
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

from spawnery.model.job import JobSpec
from spawnery.testing.commands import Commands, Words

if TYPE_CHECKING:
    from spawnery.contract.declaration import SpawnerPlugin
    from spawnery.spawner import Spawner
    from spawnery.testing.faults import FaultPort


@frozen
class FaultPoint:
    """How the requests of one kind look at the ``FaultPort``: conditions of a ``Rule``."""

    method: str | None = None
    path: str | None = None


class Bench(ABC):
    """One engine to test on, and a fresh state directory; made for each test.

    Everything that looks at the engine does so by other means than the spawner under test.

    Args:
        folder: An empty folder for this test.

    Attributes:
        spawner_type: The entry point's name.
        plugin_path: ``module:attribute`` of the declaration, for a spawner that is not installed.
        image: Image of each job, for engines that need one.
        missing_image: An image that does not exist.
        missing_network: A network that does not exist.
        stuck: Fields of a spec whose job is accepted and never runs, for the start deadline.
        options: ``options`` of each job.
        commands: The programs to run.
        sdk_modules: Modules that must not be imported before the first call that needs them.
        shared: Whether other processes reach the same engine.
        faults_shared: Whether the fault port stands between the engine and other processes too,
            as a proxy does whose address is in ``settings``: then callers are killed at every
            request of theirs.
        fault_points: Name of a call (create, start, status, list, watch, logs, stop, remove) to
            how its requests look at the fault port.
        crash_steps: Most steps at which the caller is killed in the crash sweep.
        starts_at_once: Whether one request makes the object and lets it run, so that its program
            may run before the record knows the object. It must then be taken up by the next spawn.
        hangs: Step of a spawn to the fields of a spec whose spawn hangs there for minutes: an
            image whose registry does not answer, a credential helper that does not end.
        lingers: Fields of a spec whose program exits 0 after a moment, while a part of the job
            goes on for minutes: a child process, a sidecar.
        crowd: How many jobs are to end at one moment.
        short_log: Settings with which the engine keeps much less than 3 MB of a log.
        start_seconds: What a job may take from its spawn until its program runs: deadlines that
            must not strike before that are longer by so much.
    """

    spawner_type: ClassVar[str]
    plugin_path: ClassVar[str | None] = None
    image: ClassVar[str | None] = None
    missing_image: ClassVar[str] = "missing.invalid/spawnery/none:0"
    missing_network: ClassVar[str] = "missing-network"
    stuck: ClassVar[Mapping[str, Any] | None] = None
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    commands: ClassVar[Commands] = Commands()
    sdk_modules: ClassVar[tuple[str, ...]] = ("docker", "kubernetes", "requests", "urllib3")
    shared: ClassVar[bool] = True
    faults_shared: ClassVar[bool] = False
    fault_points: ClassVar[Mapping[str, FaultPoint]] = {}
    crash_steps: ClassVar[int] = 25
    starts_at_once: ClassVar[bool] = False
    hangs: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    lingers: ClassVar[Mapping[str, Any] | None] = None
    crowd: ClassVar[int] = 12
    short_log: ClassVar[Mapping[str, str]] = {}
    start_seconds: ClassVar[float] = 0.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.instance = f"kit-{secrets.token_hex(4)}"
        self.prefix = "kit"

    # -- opening -----------------------------------------------------------------------------

    def settings(self) -> Mapping[str, str]:
        """Return further variables for the spawner."""
        return {}

    def environ(self) -> dict[str, str]:
        """Return the whole environment of a process that uses the spawner."""
        kept = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
        return {
            **{key: os.environ[key] for key in kept if key in os.environ},
            "HOME": str(self.folder),
            "SPAWNER_TYPE": self.spawner_type,
            "SPAWNERY_STATE_DIR": str(self.state_dir),
            "SPAWNERY_INSTANCE": self.instance,
            "SPAWNERY_NAME_PREFIX": self.prefix,
            "SPAWNERY_SETTLE_SECONDS": "0.3",
            "SPAWNERY_STOP_GRACE_SECONDS": "1",
            **self.settings(),
        }

    def open(self, *, extensions: tuple[object, ...] = (), **variables: str) -> Spawner:
        """Open the spawner in this process.

        Args:
            extensions: Objects with hooks.
            variables: Settings on top of ``environ``.
        """
        from spawnery.spawner import Spawner  # noqa: PLC0415 - a bench is light to import

        plugin = None if self.plugin_path is None else load_plugin(self.plugin_path)
        environ = self.environ() | variables
        return Spawner.open(plugin=plugin, environ=environ, extensions=extensions)

    def elsewhere(self) -> Mapping[str, str] | None:
        """Return variables that lead to another place, with the same records; None without one.

        ``objects`` names what is in both.
        """
        return None

    def set_clock_ahead(self, seconds: float) -> bool:
        """Set our clock so far ahead of the engine's (negative: behind), from now on.

        Ours is that of processes with ``environ``, and of this one where the bench is not
        ``shared``. False where that cannot be done.
        """
        return False

    def python(self) -> list[str]:
        """Return the interpreter for processes that use the spawner."""
        # The second filter goes with ``spawnery._compat``: old import paths are warned of here.
        return [sys.executable, "-W", "error", "-W", "ignore:spawnery.:DeprecationWarning"]

    # -- jobs --------------------------------------------------------------------------------

    def spec(self, command: Words, **fields: Any) -> JobSpec:
        """Make a spec that this engine can run."""
        given: dict[str, Any] = {"command": command, "options": self.options}
        if self.image is not None:
            given["image"] = self.image
        return JobSpec(**(given | fields))

    def counted(self, job_id: str) -> Words:
        """Return a program that exits 0 after a moment and whose runs ``runs_of`` can count."""
        return self.commands.sleeps(0.2)

    def name_of(self, job_id: str) -> str:
        """Return the name of a job's object."""
        return f"{self.prefix}-{job_id}"

    # -- behind the spawner's back -----------------------------------------------------------

    @abstractmethod
    def objects(self) -> set[str]:
        """Name everything that there is in the engine, in any state, of ours or not.

        Beside the jobs' objects also what belongs to them: secrets, networks, processes.
        """

    @abstractmethod
    def runs_of(self, job_id: str) -> int:
        """Count how often the program ``counted`` of a job was really started."""

    @abstractmethod
    def plant_foreign(self, name: str) -> None:
        """Put an object of somebody else under this name, running."""

    @abstractmethod
    def foreign_untouched(self, name: str) -> bool:
        """Tell whether that object is still there, as it was."""

    @abstractmethod
    def kill_engine_side(self, job_id: str) -> None:
        """Remove the object of a running job, without a trace, as somebody else would."""

    def faults(self) -> FaultPort | None:
        """Return where faults can be injected, if anywhere."""
        return None

    def close(self) -> None:
        """Let go of the engine and tidy up."""


def load_plugin(path: str) -> SpawnerPlugin:
    """Import a declaration given as ``module:attribute``."""
    import importlib  # noqa: PLC0415 - only where it is needed

    module, _, attribute = path.partition(":")
    found: SpawnerPlugin = getattr(importlib.import_module(module), attribute)
    return found
