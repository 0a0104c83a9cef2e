"""The declaration of the Kubernetes spawner, and its hooks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from spawnery.contract import (
    API_VERSION,
    CheckItem,
    Deadline,
    JobStream,
    LogsRequest,
    Place,
    Plan,
    PlanRequest,
    RemoveRequest,
    SpawnerPlugin,
    SpawnerRuntime,
    SpawnRequest,
    StopRequest,
    WatchRequest,
    hookimpl,
)
from spawnery.errors import EngineError
from spawnery.model import JobHandle, JobStatus, LogChunk, WatchEvent

from spawnery_kubernetes.options import KubernetesOptions
from spawnery_kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from spawnery_kubernetes.assembly import Parts

CAPABILITIES: Final = frozenset(
    {
        "field.image",
        "field.command",
        "field.args",
        "field.env",
        "field.secrets",
        "secrets.engine",
        "field.labels",
        "field.workdir",
        "field.user",
        "field.deadline_seconds",
        "field.start_deadline_seconds",
        "field.retention_seconds",
        "field.pull_policy",
        "field.security.restricted",
        "field.security.baseline",
        "field.resources.requests",
        "field.resources.limits",
        "field.resources.gpus",
        "field.resources.ephemeral_storage",
        "deadline.engine",
        "evidence.identity",
        "place",
        "clock",
        "oom",
        "stop.graceful",
        "logs",
        "logs.follow",
        "logs.resume",
        "logs.after_exit",
        "tail",
        "watch.resume",
        "plan.validate",
    }
)


class KubernetesSpawner:
    """Runs jobs as Jobs in one namespace of a cluster.

    Args:
        settings: Ours.
        runtime: Of the host.

    Raises:
        PluginError: A package that it stands on is not there, or in a version that does not fit.
        ConfigurationError: No cluster is known.
    """

    def __init__(self, settings: KubernetesSettings, runtime: SpawnerRuntime) -> None:
        from spawnery_kubernetes.access.resolve import resolve_access  # noqa: PLC0415 - as _parts
        from spawnery_kubernetes.check.package import usable  # noqa: PLC0415 - as _parts

        usable()
        self._settings = settings
        self._runtime = runtime
        self._access = resolve_access(settings, runtime.environ)
        self._lock = threading.Lock()
        self._made: Parts | None = None
        self._closed = False

    @property
    def _parts(self) -> Parts:
        """The parts, made at the first call, which is the first that needs a library for HTTP.

        Raises:
            EngineError: It was closed meanwhile: a late call makes no connections that nobody
                closes.
        """
        from spawnery_kubernetes.assembly import Parts  # noqa: PLC0415 - the declaration stays light

        with self._lock:
            if self._closed:
                msg = "the spawner was closed"
                raise EngineError(msg, cause="spawner.closed")
            if self._made is None:
                self._made = Parts(self._access, self._settings, self._runtime)
            return self._made

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """See the hookspec."""
        return self._parts.spawning.spawn(request)

    @hookimpl
    def status(self, job_id: str) -> JobStatus | None:
        """See the hookspec."""
        return self._parts.jobs.status(job_id)

    @hookimpl
    def list_jobs(self) -> Sequence[JobStatus]:
        """See the hookspec."""
        return self._parts.jobs.list_jobs()

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """See the hookspec."""
        return self._parts.watching.open(request)

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """See the hookspec."""
        return self._parts.logs.open(request)

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """See the hookspec."""
        self._parts.jobs.stop(request)

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """See the hookspec."""
        self._parts.jobs.remove(request)

    @hookimpl
    def plan(self, request: PlanRequest) -> Plan:
        """See the hookspec."""
        limit = Deadline.after(self._runtime.io_timeout_seconds)
        return self._parts.planning.plan(request, deadline=limit)

    @hookimpl
    def check(self) -> Sequence[CheckItem]:
        """See the hookspec."""
        return self._parts.doctor.examine()

    @hookimpl
    def place(self) -> Place:
        """See the hookspec."""
        return self._parts.namespace.place()

    def close(self) -> None:
        """Close connections; Jobs go on."""
        with self._lock:
            self._closed = True
            made, self._made = self._made, None
        if made is not None:
            made.close()


plugin: Final = SpawnerPlugin(
    name="kubernetes",
    api=API_VERSION,
    capabilities=CAPABILITIES,
    settings=KubernetesSettings,
    options=KubernetesOptions,
    create=KubernetesSpawner,
    summary="Jobs of a Kubernetes cluster, restricted by default, removed at their end.",
)
