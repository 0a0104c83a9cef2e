"""Nothing but our own errors comes out of the facade, whatever a spawner or a callback does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from spawnery import JobSpec, JobState, SecretRef, Spawner, SpawnerError, hookimpl
from spawnery.contract import JobStream
from spawnery.errors import StreamLost
from spawnery.model import JobSeen
from spawnery.records.memory import MemoryRecords
from spawnery.testing import eventually
from spawnery.testing.fake import FakeEngine, FakeSpawner, declare

LIMIT = 60
VALUE = "planted-secret-value"
SPEC = JobSpec(job_id="a", command=["sleep:600"], secrets={"TOKEN": SecretRef.literal(VALUE)})

CALLS: dict[str, Callable[[Spawner], object]] = {
    "spawn": lambda spawner: spawner.spawn(SPEC),
    "status": lambda spawner: spawner.status("a"),
    "list_jobs": lambda spawner: spawner.list(),
    "logs": lambda spawner: spawner.logs("a"),
    "stop": lambda spawner: spawner.stop("a"),
    "remove": lambda spawner: spawner.remove("ended"),
    "plan": lambda spawner: spawner.plan(SPEC),
}
"""Hook to the verb that calls it."""
SHAPES: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "status": lambda act: lambda self, job_id: act(),
    "list_jobs": lambda act: lambda self: act(),
    "check": lambda act: lambda self: act(),
}


class Driver(Exception):
    """An exception that is none of ours."""


def broken(hook: str, act: Callable[[], Any]) -> type[FakeSpawner]:
    """Make a spawner that does something else in one of its hooks."""
    shape = SHAPES.get(hook, lambda act: lambda self, request: act())
    return type("Broken", (FakeSpawner,), {hook: hookimpl(shape(act))})


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Spawner]]:
    """Open broken spawners, with two jobs there already: ``a`` runs, ``ended`` has ended."""
    spawners: list[Spawner] = []
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_SETTLE_SECONDS": "0.2"}
    engine, records = FakeEngine(), MemoryRecords()

    def make(kind: type[FakeSpawner], **variables: str) -> Spawner:
        create = lambda settings, runtime: kind(engine, settings, runtime)  # noqa: E731
        plugin = evolve(declare(engine), create=create)
        spawner = Spawner.open(plugin=plugin, environ=environ | variables, records=records)
        spawners.append(spawner)
        return spawners[-1]

    whole = make(FakeSpawner)
    whole.spawn(evolve(SPEC, retention_seconds=900))
    whole.spawn(JobSpec(job_id="ended", command=["true"], retention_seconds=900))
    whole.wait("ended", timeout=LIMIT)
    yield make
    for spawner in spawners:
        spawner.close()


def fail() -> Any:
    """Fail as a driver does that knows no better than to print the request."""
    msg = f"the request was TOKEN={VALUE}"
    raise Driver(msg)


def wrong() -> Any:
    """Return what no hook returns."""
    return 42


BREACHES = [(hook, fail) for hook in CALLS]
BREACHES += [(hook, wrong) for hook in CALLS if hook not in {"stop", "remove"}]


@pytest.mark.parametrize(("hook", "act"), BREACHES)
def test_a_hook_that_breaks_the_contract(opened, hook, act):
    """The error is ours, names plugin, hook and job, and has no secret of the request."""
    spawner = opened(broken(hook, act))
    spawner._parts.masker.add([SPEC.secrets["TOKEN"].value])
    if hook == "spawn":
        spawner.remove("a", force=True)
    with pytest.raises(SpawnerError) as caught:
        CALLS[hook](spawner)
    error = caught.value
    assert error.cause == "plugin.bug"
    assert "the spawner fake" in error.message
    assert f"in {hook}" in error.message
    assert ("Driver" in error.message) == (act is fail)
    assert error.job_id == {"list_jobs": None, "remove": "ended"}.get(hook, "a")
    assert VALUE not in str(error)
    assert error.__cause__ is None
    assert not error.retryable


def test_a_doctor_that_fails_is_a_finding(opened):
    """``check`` itself goes on."""
    items = {item.name: item for item in opened(broken("check", fail)).check()}
    assert items["engine"].level == "failed"
    assert "Driver" in items["engine"].detail
    assert items["records"].level == "ok"


class Failing(JobStream[Any]):
    """A stream that breaks in its own way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __next__(self) -> Any:
        raise self._error

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_log_that_fails_in_its_own_way(opened):
    """The reader gets an error of ours, once; then the stream has ended."""
    spawner = opened(broken("logs", lambda: Failing(Driver("no luck"))))
    stream = spawner.logs("a", follow=True)
    with pytest.raises(SpawnerError, match="Driver: no luck") as caught:
        next(stream)
    assert (caught.value.cause, caught.value.job_id) == ("plugin.bug", "a")


def test_a_log_that_breaks_as_soon_as_it_is_opened(opened, tmp_path):
    """It is opened again for a while, and then given up; a reader does not wait for ever."""
    opens = []
    kind = broken("logs", lambda: opens.append(1) or Failing(StreamLost("cut")))
    spawner = opened(kind)
    spawner._core = evolve(spawner._core, io_timeout_seconds=0.5)
    with pytest.raises(StreamLost, match="cut"):
        next(spawner.logs("a", follow=True))
    assert len(opens) > 2


def test_a_watch_that_fails_in_its_own_way(opened, caplog):
    """It is opened again, and who waits for a job is told of its end."""
    failures = iter([Driver("no luck"), Driver("none again")])

    class Restless(FakeSpawner):
        """Whose first watches fail."""

        @hookimpl
        def watch(self, request: Any) -> Any:
            """Open one."""
            error = next(failures, None)
            return super().watch(request) if error is None else Failing(error)

    spawner = opened(Restless)
    with caplog.at_level(logging.WARNING, logger="spawnery"):
        spawner.spawn(JobSpec(job_id="b", command=["sleep:0.2"]))
        assert spawner.wait("b", timeout=LIMIT).state is JobState.SUCCEEDED
    assert "watch failed, trying again: the spawner fake failed in watch: Driver" in caplog.text


class Cut(JobStream[Any]):
    """A watch that breaks where it would tell of the end of job ``b``."""

    def __init__(self, inner: JobStream[Any], cursor: str | None) -> None:
        self._inner = inner
        self._cursor = cursor

    def __next__(self) -> Any:
        event = next(self._inner)
        seen = event.status if isinstance(event, JobSeen) else None
        if seen is not None and seen.job_id == "b" and seen.outcome is not None:
            msg = "cut"
            raise StreamLost(msg, cursor=self._cursor)
        self._cursor = event.cursor or self._cursor
        return event

    def close(self) -> None:
        """Close the one within."""
        self._inner.close()


def test_no_job_is_lost_while_the_watch_is_down(opened):
    """What a broken stream has not told yet is waited for, also longer than evidence may lag."""
    cuts = iter(range(5))

    class Restless(FakeSpawner):
        """Whose watch breaks again and again."""

        @hookimpl
        def watch(self, request: Any) -> Any:
            """Open one."""
            stream = super().watch(request)
            return stream if next(cuts, None) is None else Cut(stream, request.cursor)

    spawner = opened(Restless, SPAWNERY_FAKE_AUTO_REMOVE="true", SPAWNERY_SETTLE_SECONDS="0.05")
    spawner.spawn(JobSpec(job_id="b", command=["sleep:0.3", "exit:4"]))
    outcome = spawner.wait("b", timeout=LIMIT)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 4)
    assert next(cuts, None) is None


def test_a_callback_that_fails_keeps_nobody_else_waiting(opened, caplog):
    """Neither one at the end of a job nor one for every change."""
    spawner = opened(FakeSpawner)
    spawner._tracker.listen(lambda status: fail())
    told = threading.Event()
    spawner.spawn(JobSpec(job_id="b", command=["sleep:0.3"]))
    spawner.on_end("b", lambda result: fail())
    spawner.on_end("b", lambda result: told.set())
    assert spawner.wait("b", timeout=LIMIT).state is JobState.SUCCEEDED
    assert told.wait(LIMIT)
    eventually(lambda: "a callback for jobs failed" in caplog.text, message="it is logged")
    spawner.spawn(JobSpec(job_id="c", command=["true"]))
    assert spawner.wait("c", timeout=LIMIT).state is JobState.SUCCEEDED
