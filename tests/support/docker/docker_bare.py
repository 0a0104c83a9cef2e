"""A Docker spawner without core: what a hook returns and raises is what is looked at."""

from __future__ import annotations

import logging
from typing import Any, Self

from docker_case import PATIENCE, DockerCase
from docker_images import BUSYBOX
from spawnery.contract import (
    LABEL_RECORD_ID,
    Deadline,
    EngineClock,
    JobStream,
    RemoveRequest,
    SpawnerRuntime,
    SpawnRequest,
    StopRequest,
    WatchRequest,
)
from spawnery.lifecycle.preparation.prepare import labels_of
from spawnery.model import JobGone, JobSpec, JobStatus, Network, WatchEvent
from spawnery_docker.plugin import DockerSpawner
from spawnery_docker.settings import DockerSettings

HASH = "v1.0123456789abcdef"


class Bare:
    """A spawner of a test's instance, and requests of it.

    Args:
        case: Whose instance, environment and way to the engine it has.
        runtime: Fields of the runtime.
        settings: Fields of the settings.
    """

    def __init__(
        self, case: DockerCase, *, runtime: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.case = case
        self.clock = EngineClock()
        self.told: list[Any] = []
        given: dict[str, Any] = {
            "instance": case.instance,
            "name_prefix": case.prefix,
            "state_dir": case.folder / "state",
            "io_timeout_seconds": PATIENCE,
            "environ": case.environ,
            "logger": logging.getLogger("spawnery.docker"),
            "emit": self.told.append,
            "engine_clock": self.clock,
        }
        self.spawner = DockerSpawner(
            DockerSettings(**settings), SpawnerRuntime(**(given | (runtime or {})))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.spawner.close()

    def name(self, job_id: str = "one") -> str:
        """Return the name of a job's container."""
        return f"{self.case.prefix}-{job_id}"

    def asked(
        self, script: str = "sleep 600", *, record_id: str = "r1", **more: Any
    ) -> SpawnRequest:
        """Return the request of a job that runs a script; ``job`` are fields of its spec."""
        fields = {"job_id": "one", "image": BUSYBOX, "command": ["sh", "-c", script]}
        job = JobSpec(**(fields | more.pop("job", {})))
        labels = labels_of(job, instance=self.case.instance, spec_hash=HASH)
        given: dict[str, Any] = {
            "job": job,
            "spec_hash": HASH,
            "env": {},
            "secrets": {},
            "network": Network(name="none", source="test"),
            "name": self.name(job.job_id),
            "labels": {**labels, LABEL_RECORD_ID: record_id},
            "record_id": record_id,
            "retention_seconds": job.retention_seconds or 0,
            "grace_seconds": 10,
            "tail_bytes": 8192,
            "deadline": Deadline.after(PATIENCE),
            "created": lambda _engine_id: None,
        }
        return SpawnRequest(**(given | more))

    def status(self, job_id: str = "one") -> JobStatus:
        """Return the status of a job that is known."""
        found = self.spawner.status(job_id)
        assert found is not None
        return found

    def stop(self, job_id: str = "one", **fields: Any) -> None:
        """Stop a job at once."""
        given = {"reason": "stop", "grace_seconds": 0, "deadline": Deadline.after(PATIENCE)}
        self.spawner.stop(StopRequest(job_id=job_id, name=self.name(job_id), **(given | fields)))

    def remove(self, job_id: str = "one", **fields: Any) -> None:
        """Remove a job."""
        given = {"deadline": Deadline.after(PATIENCE)} | fields
        self.spawner.remove(RemoveRequest(job_id=job_id, name=self.name(job_id), **given))

    def watch(self, cursor: str | None = None) -> JobStream[WatchEvent]:
        """Open the stream of changes."""
        return self.spawner.watch(WatchRequest(cursor=cursor))

    def gone(self, stream: JobStream[WatchEvent], count: int = 1) -> list[WatchEvent]:
        """Read a stream until so many containers are gone; returns all that it says."""
        found: list[WatchEvent] = []
        for event in stream:
            found.append(event)
            count -= isinstance(event, JobGone)
            if not count:
                return found
        raise AssertionError(found)
