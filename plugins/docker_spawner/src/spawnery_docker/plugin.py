"""The declaration of the Docker spawner, and its hooks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from spawnery.contract import (
    API_VERSION,
    CheckItem,
    Deadline,
    HookContext,
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
from spawnery.model import JobHandle, JobSpec, JobStatus, LogChunk, Network, WatchEvent

from spawnery_docker.options import DockerOptions
from spawnery_docker.settings import DockerSettings

if TYPE_CHECKING:
    from spawnery_docker.assembly import Parts

CAPABILITIES: Final = frozenset(
    {
        "field.image",
        "field.command",
        "field.args",
        "field.env",
        "field.secrets",
        "field.network",
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
        "logs",
        "logs.follow",
        "logs.split",
        "logs.resume",
        "logs.after_exit",
        "logs.gaps",
        "tail",
        "watch.resume",
        "evidence.identity",
        "clock",
        "stop.graceful",
        "stop.shorter",
        "oom",
        "place",
    }
)


class DockerSpawner:
    """Runs jobs as containers of one Docker engine.

    Args:
        settings: Ours.
        runtime: Of the host.

    Raises:
        PluginError: A package that it stands on is not there, or in a version that does not fit.
        ConfigurationError: The address of the engine is none, or there is no such context.
    """

    def __init__(self, settings: DockerSettings, runtime: SpawnerRuntime) -> None:
        from spawnery_docker.check.package import usable  # noqa: PLC0415 - as _parts
        from spawnery_docker.reach.resolve import resolve_endpoint  # noqa: PLC0415 - as _parts

        usable()
        self._settings = settings
        self._runtime = runtime
        self._endpoint = resolve_endpoint(settings, runtime.environ)
        self._lock = threading.Lock()
        self._made: Parts | None = None
        self._closed = False

    @property
    def _parts(self) -> Parts:
        """The parts, made at the first call, which is the first that needs the docker package.

        Raises:
            EngineError: It was closed meanwhile: a late call makes no connections that nobody
                closes.
        """
        from spawnery_docker.assembly import Parts  # noqa: PLC0415 - the declaration stays light

        with self._lock:
            if self._closed:
                msg = "the spawner was closed"
                raise EngineError(msg, cause="spawner.closed")
            if self._made is None:
                self._made = Parts(self._endpoint, self._settings, self._runtime)
            return self._made

    @hookimpl
    def resolve_network(self, job: JobSpec, context: HookContext) -> Network:  # noqa: ARG002 - one for all jobs
        """See the hookspec: the network of our own container, else ``bridge``."""
        return self._parts.networks.resolve(deadline=context.deadline)

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """See the hookspec."""
        return self._parts.spawning.spawn(request)

    @hookimpl
    def status(self, job_id: str) -> JobStatus | None:
        """See the hookspec."""
        return self._parts.containers.status(job_id)

    @hookimpl
    def list_jobs(self) -> Sequence[JobStatus]:
        """See the hookspec."""
        return self._parts.containers.list_jobs()

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
        self._parts.containers.stop(request)

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """See the hookspec."""
        self._parts.containers.remove(request)

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
        return self._parts.places.place()

    def close(self) -> None:
        """Close connections; containers go on."""
        with self._lock:
            self._closed = True
            made = self._made
        if made is not None:
            made.close()


plugin: Final = SpawnerPlugin(
    name="docker",
    api=API_VERSION,
    capabilities=CAPABILITIES,
    settings=DockerSettings,
    options=DockerOptions,
    create=DockerSpawner,
    summary="Containers of a Docker engine, restricted by default, removed at their end.",
)
