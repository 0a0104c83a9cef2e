"""What mypy --strict makes of a spawner and an extension; it is checked, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_type

from attrs import frozen
from spawnery import (
    CheckItem,
    HookContext,
    JobEvent,
    JobHandle,
    JobSpec,
    JobStatus,
    JobStream,
    LogChunk,
    LogsRequest,
    Network,
    Plan,
    PlanRequest,
    RemoveRequest,
    Secret,
    SecretRef,
    SpawnerPlugin,
    SpawnerRuntime,
    SpawnRequest,
    StopRequest,
    ThreadedStream,
    WatchRequest,
    hookimpl,
)
from spawnery.contract import setting
from spawnery.model import WatchEvent


@frozen(kw_only=True)
class MySettings:
    """Settings of the spawner."""

    address: str = setting("localhost:1", description="Where it is.")
    token: Secret | None = setting(None, description="How it lets us in.")  # noqa: RUF009


class MySpawner:
    """All hooks of a spawner."""

    def __init__(self, settings: MySettings, runtime: SpawnerRuntime) -> None:
        assert_type(settings.address, str)
        assert_type(settings.token, Secret | None)
        self._runtime = runtime

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make and start."""
        assert_type(request.secrets, Mapping[str, Secret | SecretRef])
        assert_type(request.deadline.remaining(), float)
        request.created("engine-id")
        return JobHandle(job_id=request.job.job_id, name=request.name)

    @hookimpl
    def status(self, job_id: str) -> JobStatus | None:
        """Look."""
        return None

    @hookimpl
    def list_jobs(self) -> Sequence[JobStatus]:
        """Look at all."""
        return []

    @hookimpl
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Follow all."""
        return ThreadedStream(lambda put, closed: None, start=self._runtime.start_thread)

    @hookimpl
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Read."""
        return ThreadedStream(lambda put, closed: None)

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """End."""

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Remove."""

    @hookimpl
    def plan(self, request: PlanRequest) -> Plan:
        """Show."""
        return Plan(engine_object={"name": request.spawn.name})

    @hookimpl
    def check(self) -> Sequence[CheckItem]:
        """Look whether all is well."""
        return [CheckItem(name="engine", level="ok")]

    def close(self) -> None:
        """Let go."""


PLUGIN = SpawnerPlugin(
    name="my-engine", api=1, capabilities=frozenset(), settings=MySettings, create=MySpawner
)


class MyExtension:
    """The hooks of an extension."""

    @hookimpl
    def review_job(self, job: JobSpec, context: HookContext) -> JobSpec | None:
        """Leave it as it is."""
        return None

    @hookimpl
    def build_env(self, job: JobSpec, context: HookContext) -> Mapping[str, str | SecretRef]:
        """Add one variable of each kind."""
        return {"A": context.spawner, "B": SecretRef.environment("B")}

    @hookimpl
    def resolve_network(self, job: JobSpec, context: HookContext) -> Network | None:
        """Name one."""
        return Network(name="jobs", source="my extension")

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Observe."""
        assert_type(event.id, str)


SpawnerPlugin(name="my-engine", capabilities=frozenset())  # type: ignore[call-arg]
JobHandle("a", "b")  # type: ignore[call-arg]
