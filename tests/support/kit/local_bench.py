"""The local engine under the conformance kit, looked at through /proc and the file system only."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from clocks import shifted
from spawnery.testing import Bench

if TYPE_CHECKING:
    from spawnery.testing.commands import Words

_FOREIGN = {"instance": "somebody-else", "job_id": "theirs", "nonce": "0"}


class LocalBench(Bench):
    """Processes of this machine, with a state directory of the test's own.

    A process belongs to the bench when it has the test's folder as HOME (jobs), among its
    arguments (supervisors), as its working directory or among its open files.
    """

    spawner_type = "local"
    crowd = 64
    short_log: ClassVar[Mapping[str, str]] = {"SPAWNERY_LOCAL_LOG_MAX_BYTES": "500000"}
    lingers: ClassVar[Mapping[str, Any]] = {"command": ["sh", "-c", "setsid sleep 600 & sleep 0.2"]}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.jobs = self.state_dir / "local" / "jobs"
        self._foreign: dict[str, subprocess.Popen[bytes]] = {}
        self._clock: Mapping[str, str] = {}

    def settings(self) -> Mapping[str, str]:
        """Return the variables with which processes have the clock of the test."""
        return self._clock

    def set_clock_ahead(self, seconds: float) -> bool:
        """Let the wall clock of processes be wrong by libfaketime, but that of supervisors."""
        self._clock = shifted(f"{seconds:+g}s")
        return True

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
        """Name folders, drafts of folders included, and processes; foreign ones too."""
        folders = set(os.listdir(self.jobs)) if self.jobs.exists() else set()
        return folders | {f"process {pid}" for pid in self._processes(self.folder)}

    def _processes(self, folder: Path) -> Iterator[int]:
        own = {os.getpid(), os.getppid()}
        for path in Path("/proc").glob("[0-9]*"):
            if int(path.name) not in own and _concerns(path, os.fsencode(folder)):
                yield int(path.name)

    def plant_foreign(self, name: str) -> None:
        """Put a job of another instance under the name, with a process that works in it."""
        folder = self.jobs / name
        for path in (self.jobs.parent, self.jobs, folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "job.json").write_text(json.dumps({**_FOREIGN, "name": name}))
        self._foreign[name] = subprocess.Popen(["sleep", "600"], cwd=folder)

    def foreign_untouched(self, name: str) -> bool:
        """Tell whether its folder is as it was and its process lives."""
        folder = self.jobs / name
        return (
            os.listdir(folder) == ["job.json"]
            and json.loads((folder / "job.json").read_text())["instance"] == _FOREIGN["instance"]
            and self._foreign[name].poll() is None
        )

    def kill_engine_side(self, job_id: str) -> None:
        """Take the folder of a job away and kill its supervisor and its processes."""
        folder = self.jobs / self.name_of(job_id)
        pids = [*self._processes(folder), *self._having(f"JOB_ID={job_id}")]
        away = self.folder / f"away-{job_id}"
        folder.rename(away)
        for pid in pids:
            _kill(pid)
        shutil.rmtree(away)

    def _having(self, variable: str) -> Iterator[int]:
        for pid in self._processes(self.folder):
            if variable.encode() in _read(Path(f"/proc/{pid}/environ")).split(b"\0"):
                yield pid

    def close(self) -> None:
        """Kill whatever a test has left, supervisors first or they would tell of it."""
        for process in self._foreign.values():
            process.kill()
            process.wait()
        while left := list(self._processes(self.folder)):
            for pid in left:
                _kill(pid)


def _concerns(process: Path, folder: bytes) -> bool:
    """Tell whether a process has to do with a folder; one that has ended has not."""
    if b"HOME=" + folder in _read(process / "environ").split(b"\0"):
        return True
    if any(_within(word, folder) for word in _read(process / "cmdline").split(b"\0")):
        return True
    return any(_within(target, folder) for target in _links(process))


def _links(process: Path) -> Iterator[bytes]:
    """Read where its working directory and its descriptors lead."""
    paths = [process / "cwd"]
    with contextlib.suppress(OSError):
        paths += (process / "fd").iterdir()
    for path in paths:
        with contextlib.suppress(OSError):
            yield os.fsencode(os.readlink(path))


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
