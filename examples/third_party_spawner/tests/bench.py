"""What the conformance kit needs to know of this spawner, and how to look behind its back.

The host is this machine: the command is ``sh -s``, the folder one of the test's own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from spawnery.testing.bench import Bench
from spawnery.testing.commands import Words

from spawnery_shellhost.settings import NAME, PREFIX


class ShellBench(Bench):
    """One folder of this machine as the host."""

    spawner_type = NAME

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.host = folder / "host"

    def settings(self) -> Mapping[str, str]:
        """Return the spawner's own variables."""
        return {
            f"{PREFIX}COMMAND": "sh -s",
            f"{PREFIX}FOLDER": str(self.host),
            f"{PREFIX}POLL_SECONDS": "0.1",
        }

    def counted(self, job_id: str) -> Words:
        """Return a program that leaves a line in a file of the test each time it runs."""
        runs = shlex.quote(str(self._runs(job_id)))
        return ("/bin/sh", "-c", f"echo run >>{runs}; sleep 0.2")

    def runs_of(self, job_id: str) -> int:
        """Count these lines."""
        path = self._runs(job_id)
        return len(path.read_text().splitlines()) if path.exists() else 0

    def _runs(self, job_id: str) -> Path:
        return self.folder / f"runs-of-{job_id}"

    def objects(self) -> set[str]:
        """Name cards, folders and processes of jobs."""
        cards = {path.name for path in self.host.glob("*") if path.name != ".jobs"}
        folders = {f"folder {path.name}" for path in self.host.glob(".jobs/*")}
        return cards | folders | {f"process {pid}" for pid in self._processes()}

    def _processes(self) -> Iterator[int]:
        """Find the processes of jobs by their environment."""
        home = f"HOME={self.folder}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                values = path.read_bytes().split(b"\0")
                if home in values and any(v.startswith(b"SPAWNERY_JOB_MARK=") for v in values):
                    yield int(path.parent.name)

    def plant_foreign(self, name: str) -> None:
        """Put somebody else's folder under a job's name."""
        (self.host / name).mkdir(parents=True)
        (self.host / name / "precious").write_text("keep")

    def foreign_untouched(self, name: str) -> bool:
        """Tell whether it is as it was."""
        path = self.host / name
        return [item.name for item in path.glob("*")] == ["precious"]

    def kill_engine_side(self, job_id: str) -> None:
        """End the processes of a job and remove what it has on the host."""
        card = self.host / self.name_of(job_id)
        folder = self.host / ".jobs" / card.read_text().split()[1]
        supervisor = int((folder / "start").read_text().split()[0])
        for pid in (supervisor, *self._processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)
        card.unlink()
