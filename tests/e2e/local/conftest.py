"""The local spawner as core would create it, on a state directory of its own."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from spawnery.contract import (
    Deadline,
    LogsRequest,
    RemoveRequest,
    SpawnerRuntime,
    SpawnRequest,
    StopRequest,
)
from spawnery.lifecycle.preparation.prepare import labels_of
from spawnery.local.plugin import LocalSpawner
from spawnery.local.settings import LocalSettings
from spawnery.model import JobSpec, Secret
from spawnery.model.spec_hash import spec_hash

if TYPE_CHECKING:
    from spawnery.model import JobStatus, Outcome

LIMIT = 60.0
SOURCES = str(Path(__file__).parents[3] / "core" / "src")


def eventually(probe: Callable[[], Any]) -> Any:
    """Call something until it returns what is true, and return that."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    message = f"not true within {LIMIT} seconds: {probe}"
    raise AssertionError(message)


class Engine:
    """Drives the hooks of the local spawner."""

    def __init__(self, folder: Path, *, instance: str = "tests", **settings: Any) -> None:
        self.folder = folder
        self.runtime = SpawnerRuntime(
            instance=instance,
            name_prefix="agentsmith",
            state_dir=folder,
            io_timeout_seconds=30,
            environ={"PATH": os.environ["PATH"], "HOME": str(folder), "NOT_PASSED": "no"},
            logger=logging.getLogger("spawnery.local"),
            emit=lambda _event: None,
        )
        self.spawner = LocalSpawner(LocalSettings(**settings), self.runtime)
        self.marked: list[str] = []

    def request(
        self,
        spec: JobSpec,
        *,
        secrets: Mapping[str, str] | None = None,
        created: Callable[[str], None] | None = None,
        tail_bytes: int = 8192,
        grace: float = 20.0,
        seconds: float = LIMIT,
    ) -> SpawnRequest:
        """Make the request that core would make."""
        digest = spec_hash(spec)
        return SpawnRequest(
            job=spec,
            spec_hash=digest,
            env={**spec.env, "JOB_ID": spec.job_id},
            secrets={key: Secret(value) for key, value in (secrets or {}).items()},
            network=None,
            name=self.runtime.object_name(spec.job_id),
            labels=labels_of(spec, instance=self.runtime.instance, spec_hash=digest),
            retention_seconds=spec.retention_seconds or 0,
            grace_seconds=grace,
            tail_bytes=tail_bytes,
            deadline=Deadline.after(seconds),
            created=created or self.marked.append,
        )

    def spawn(self, spec: JobSpec, **more: Any) -> Any:
        """Spawn a job."""
        return self.spawner.spawn(self.request(spec, **more))

    def sh(self, job_id: str, script: str, *, fields: Mapping[str, Any] | None = None, **more: Any):
        """Spawn a shell script."""
        spec = JobSpec(job_id=job_id, command=("/bin/sh", "-c", script), **(fields or {}))
        return self.spawn(spec, **more)

    def py(self, job_id: str, script: str, *, fields: Mapping[str, Any] | None = None, **more: Any):
        """Spawn a Python script."""
        command = (sys.executable, "-I", "-c", script)
        return self.spawn(JobSpec(job_id=job_id, command=command, **(fields or {})), **more)

    def status(self, job_id: str) -> JobStatus:
        """Look at a job that is there."""
        status = self.spawner.status(job_id)
        assert status is not None
        return status

    def ended(self, job_id: str) -> Outcome:
        """Wait for the outcome."""
        return eventually(lambda: self.status(job_id).outcome)

    def job(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.folder / "local" / "jobs" / self.runtime.object_name(job_id)

    def stop(self, job_id: str, *, reason: str = "stop", grace: float = 20.0) -> None:
        """Stop a job."""
        name = self.runtime.object_name(job_id)
        limit = Deadline.after(LIMIT)
        request = StopRequest(
            job_id=job_id, name=name, reason=reason, grace_seconds=grace, deadline=limit
        )
        self.spawner.stop(request)

    def remove(self, job_id: str) -> None:
        """Remove a job."""
        name = self.runtime.object_name(job_id)
        request = RemoveRequest(job_id=job_id, name=name, deadline=Deadline.after(LIMIT))
        self.spawner.remove(request)

    def logs(self, job_id: str, **more: Any) -> Any:
        """Open the log."""
        name = self.runtime.object_name(job_id)
        request = LogsRequest(job_id=job_id, name=name, deadline=Deadline.after(LIMIT), **more)
        return self.spawner.logs(request)

    def text(self, job_id: str, **more: Any) -> str:
        """Read the log that is there."""
        return b"".join(chunk.data for chunk in self.logs(job_id, **more)).decode()

    def line(self, job_id: str) -> str:
        """Wait for the first whole line of the log and return it."""
        return eventually(lambda: self.text(job_id).partition("\n")[::2][0] or None)

    def close(self) -> None:
        """End and remove all jobs."""
        for status in self.spawner.list_jobs():
            self.stop(status.job_id, grace=0)
            self.remove(status.job_id)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """The local spawner."""
    made = Engine(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Make local spawners, by default on one state directory."""
    made: list[Engine] = []

    def make(folder: Path | None = None, **settings: Any) -> Engine:
        made.append(Engine(folder or tmp_path / "state", **settings))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
