"""The declaration of the local spawner, and its hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spawnery.contract.declaration import API_VERSION, SpawnerPlugin, SpawnerRuntime
from spawnery.contract.hookspecs import hookimpl
from spawnery.contract.requests import (
    CheckItem,
    LogsRequest,
    Place,
    Plan,
    PlanRequest,
    RemoveRequest,
    SpawnRequest,
    StopRequest,
    WatchRequest,
)
from spawnery.contract.streams import JobStream
from spawnery.local.check import examine
from spawnery.local.lifecycle import Lifecycle
from spawnery.local.logs import open_log
from spawnery.local.planning import plan_of
from spawnery.local.settings import LocalSettings
from spawnery.local.state.store import Store
from spawnery.local.watch import open_watch
from spawnery.model.outcome import JobHandle, JobStatus, LogChunk, WatchEvent

CAPABILITIES: Final = frozenset(
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
        "logs.gaps",
        "tail",
        "stop.graceful",
        "stop.shorter",
        "deadline.engine",
        "evidence.identity",
        "place",
        "clock",
    }
)


class LocalSpawner:
    """Runs jobs as processes of this machine.

    Args:
        settings: Ours.
        runtime: Of the host.
    """

    def __init__(self, settings: LocalSettings, runtime: SpawnerRuntime) -> None:
        self._settings = settings
        self._runtime = runtime
        self._store = Store(runtime.state_dir / "local", instance=runtime.instance)
        self._lifecycle = Lifecycle(self._store, settings, runtime)

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """See the hookspec."""
        return self._lifecycle.spawn(request)

    @hookimpl
    def status(self, job_id: str) -> JobStatus | None:
        """See the hookspec."""
        return self._lifecycle.status(self._runtime.object_name(job_id))

    @hookimpl
    def list_jobs(self) -> Sequence[JobStatus]:
        """See the hookspec."""
        return self._lifecycle.list_jobs()

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:  # noqa: ARG002 - no history
        """See the hookspec; there are no cursors: a stream begins with the list."""
        return open_watch(self._lifecycle, self._store, self._runtime)

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """See the hookspec."""
        return open_log(self._lifecycle, request, self._runtime)

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """See the hookspec."""
        self._lifecycle.stop(request)

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """See the hookspec."""
        self._lifecycle.remove(request)

    @hookimpl
    def place(self) -> Place:
        """See the hookspec."""
        return self._store.place()

    @hookimpl
    def plan(self, request: PlanRequest) -> Plan:
        """See the hookspec."""
        return plan_of(request, self._settings, self._runtime)

    @hookimpl
    def check(self) -> Sequence[CheckItem]:
        """See the hookspec."""
        return examine(self._store)

    def close(self) -> None:
        """Jobs go on; there is nothing to let go of."""


plugin: Final = SpawnerPlugin(
    name="local",
    api=API_VERSION,
    capabilities=CAPABILITIES,
    settings=LocalSettings,
    create=LocalSpawner,
    summary="Processes of this machine; isolates nothing. For development, demos and tests.",
)
