"""The declaration of the spawner, and its hooks, which delegate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spawnery import SpawnerPlugin, hookimpl

from .settings import NAME, ShellSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery import (
        CheckItem,
        JobHandle,
        JobStatus,
        JobStream,
        LogChunk,
        LogsRequest,
        Plan,
        PlanRequest,
        RemoveRequest,
        SpawnerRuntime,
        SpawnRequest,
        StopRequest,
        WatchRequest,
    )
    from spawnery.contract import Place
    from spawnery.model import WatchEvent

    from .jobs import Jobs

CAPABILITIES = frozenset(
    {
        "field.command",
        "field.args",
        "field.env",
        "field.secrets",
        "field.labels",
        "field.workdir",
        "field.deadline_seconds",
        "field.start_deadline_seconds",
        "field.retention_seconds",
        "logs",
        "logs.follow",
        "logs.split",
        "logs.resume",
        "logs.after_exit",
        "tail",
        "stop.graceful",
        "stop.shorter",
        "evidence.identity",
        "place",
        "clock",
    }
)


class ShellHooks:
    """The hooks, for one host.

    Args:
        jobs: What they delegate to.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make a job's object and start it."""
        return self._jobs.spawn(request)

    @hookimpl
    def status(self, job_id: str) -> JobStatus | None:
        """Look at one job."""
        return self._jobs.status(job_id)

    @hookimpl
    def list_jobs(self) -> Sequence[JobStatus]:
        """Look at all jobs of the instance."""
        return self._jobs.list_jobs()

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open the stream of changes; it always begins with the whole list."""
        del request
        from .watch import watch  # noqa: PLC0415 - not every process watches

        return watch(self._jobs)

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open the log of a job."""
        from .logs import logs  # noqa: PLC0415 - not every process reads logs

        return logs(self._jobs, request)

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """End a job."""
        self._jobs.stop(request)

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Remove a job's object."""
        self._jobs.remove(request)

    @hookimpl
    def place(self) -> Place:
        """Say where the jobs live."""
        return self._jobs.place()

    @hookimpl
    def plan(self, request: PlanRequest) -> Plan:
        """Show what would be sent."""
        return self._jobs.plan(request)

    @hookimpl
    def check(self) -> Sequence[CheckItem]:
        """Look at the host as a doctor."""
        from .check import check  # noqa: PLC0415 - rarely used

        return check(self._jobs)

    def close(self) -> None:
        """Nothing is kept open between two calls."""


def create(settings: ShellSettings, runtime: SpawnerRuntime) -> ShellHooks:
    """Make the object whose methods are the hooks."""
    from .client import Client  # noqa: PLC0415 - the declaration alone stays light
    from .jobs import Jobs  # noqa: PLC0415

    client = Client(settings, runtime.environ)
    return ShellHooks(Jobs(settings=settings, runtime=runtime, client=client))


PLUGIN = SpawnerPlugin(
    name=NAME,
    api=1,
    capabilities=CAPABILITIES,
    settings=ShellSettings,
    create=create,
    summary="Jobs on any host that a command reaches, such as: ssh HOST sh -s",
)
