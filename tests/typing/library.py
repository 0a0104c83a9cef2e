"""What mypy --strict makes of a program that uses the library; it is checked, never run.

``assert_type`` says what a caller gets. Each ``type: ignore`` says that misuse is refused: strict
mode complains about one that is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import assert_type

from spawnery import (
    AsyncSpawner,
    CheckItem,
    JobHandle,
    JobSpec,
    JobState,
    JobStatus,
    LogChunk,
    LogStream,
    LogText,
    Outcome,
    PullPolicy,
    Resources,
    SecretRef,
    Spawner,
    SpawnerError,
    job_id_from,
)
from spawnery.errors import InvalidSpec, WaitTimeout

SPEC = JobSpec(
    job_id=job_id_from("ticket 58"),
    command=["echo", "hello"],
    args=("world",),
    env={"A": "b"},
    secrets={"TOKEN": SecretRef.environment("TOKEN")},
    resources=Resources(memory_limit="1Gi", cpu_request="250m"),
    deadline_seconds=15.5,
    pull_policy="never",
    options={"docker": {"init": True}},
)
assert_type(SPEC.job_id, str)
assert_type(SPEC.command, tuple[str, ...] | None)
assert_type(SPEC.pull_policy, PullPolicy | None)


def plain() -> None:
    """Use the verbs."""
    with Spawner.from_environment() as spawner:
        assert_type(spawner, Spawner)
        handle = spawner.spawn(SPEC, follow=True)
        assert_type(handle, JobHandle)
        with spawner.logs(handle.job_id, follow=True) as log:
            assert_type(log, LogStream)
            for chunk in log:
                assert_type(chunk.data, bytes)
            for line in log.lines():
                assert_type(line.text, str)
            assert_type(log.text(), Iterator[LogText])
        outcome = spawner.wait(handle.job_id, timeout=60)
        assert_type(outcome, Outcome)
        assert_type(outcome.exit_code, int | None)
        assert_type(outcome.finished_at, datetime | None)
        assert_type(outcome.state is JobState.SUCCEEDED, bool)
        assert_type(spawner.list(), Sequence[JobStatus])
        assert_type(spawner.check(), Sequence[CheckItem])
        assert_type(spawner.stop(handle.job_id, grace_seconds=0), Outcome)
        for status in spawner.watch():
            assert_type(status, JobStatus)


async def asynchronous() -> None:
    """Use the same verbs, awaited."""
    async with await AsyncSpawner.from_environment() as spawner:
        assert_type(spawner, AsyncSpawner)
        handle = await spawner.spawn(SPEC)
        assert_type(handle, JobHandle)
        async with await spawner.logs(handle.job_id) as log:
            async for chunk in log:
                assert_type(chunk, LogChunk)
            async for line in log.lines():
                assert_type(line, LogText)
        assert_type(await spawner.wait(handle.job_id), Outcome)


def failures() -> None:
    """Handle errors."""
    try:
        plain()
    except WaitTimeout as error:
        assert_type(error.job_id, str | None)
    except InvalidSpec as error:
        assert_type(error.field, str | None)
    except SpawnerError as error:
        assert_type(error.cause, str)
        assert_type(error.hint, str | None)
        assert_type(error.retryable, bool)


def misuse(spawner: Spawner, outcome: Outcome) -> None:
    """Write what is refused before it runs."""
    JobSpec("a")  # type: ignore[call-arg]
    JobSpec(comand=["x"])  # type: ignore[call-arg]
    JobSpec(command="echo hello")  # type: ignore[arg-type]
    JobSpec(env={"A": 1})  # type: ignore[dict-item]
    JobSpec(secrets={"TOKEN": "value"})  # type: ignore[dict-item]
    Resources(memory_limit=512)  # type: ignore[arg-type]
    SPEC.image = "other"  # type: ignore[misc]
    spawner.spawn({"command": ["x"]})  # type: ignore[arg-type]
    spawner.wait("a", 60, 70)  # type: ignore[call-arg]
    outcome.exit_cod  # type: ignore[attr-defined]  # noqa: B018
