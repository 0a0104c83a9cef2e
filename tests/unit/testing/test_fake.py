"""The fake spawner: identity, place, clock and steps that hang, hook by hook."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from spawnery.contract import (
    LABEL_RECORD_ID,
    Cancellation,
    Deadline,
    RemoveRequest,
    SpawnerRuntime,
    SpawnRequest,
    StopRequest,
    WatchRequest,
)
from spawnery.errors import SpawnFailed
from spawnery.model import JobGone, JobSeen, JobSpec, JobStatus
from spawnery.testing.fake import FakeEngine, FakeOptions, FakeSettings, FakeSpawner
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.waiting import PATIENCE

Open = Callable[..., FakeSpawner]
_NAME = "fake-one"


@pytest.fixture
def engine() -> FakeEngine:
    """An engine of the test's own."""
    return FakeEngine(place_id="E1")


@pytest.fixture
def opened(engine: FakeEngine, tmp_path: Path) -> FakeSpawner:
    """A spawner on it."""
    return _open(engine, tmp_path)


def _open(engine: FakeEngine, folder: Path, **settings: str) -> FakeSpawner:
    runtime = SpawnerRuntime(
        instance="tests",
        name_prefix="fake",
        state_dir=folder,
        io_timeout_seconds=5.0,
        environ={},
        logger=logging.getLogger("tests"),
        emit=lambda _event: None,
    )
    return FakeSpawner(engine, FakeSettings(**settings), runtime)


def _request(
    record_id: str, *, options: FakeOptions | None = None, cancellation: Cancellation | None = None
) -> SpawnRequest:
    return SpawnRequest(
        job=JobSpec(job_id="one", command=("sleep:600",)),
        spec_hash="v1.0",
        record_id=record_id,
        env={},
        secrets={},
        network=None,
        name=_NAME,
        labels={LABEL_RECORD_ID: record_id},
        options=options,
        retention_seconds=0,
        grace_seconds=0,
        tail_bytes=0,
        deadline=Deadline.after(PATIENCE),
        created=lambda _engine_id: None,
        cancellation=cancellation or Cancellation(),
    )


def _status(spawner: FakeSpawner) -> JobStatus:
    found = spawner.status("one")
    assert found is not None
    return found


def test_the_record_id_comes_back(opened: FakeSpawner) -> None:
    """It is in the handle, in every status, and in the event of an object that is gone."""
    handle = opened.spawn(_request("r1"))
    with opened.watch(WatchRequest()) as stream:
        assert isinstance(seen := next(stream), JobSeen)
        next(stream)  # synced
        opened.engine.remove_outside(_NAME)
        gone = next(stream)
    assert isinstance(gone, JobGone)
    assert (gone.engine_id, gone.record_id) == (handle.engine_id, "r1")
    assert (handle.record_id, seen.status.record_id) == ("r1", "r1")


def test_an_adopted_object_tells_its_own_record(opened: FakeSpawner) -> None:
    """Whoever finds the object there is told whose it is, not what was asked for."""
    opened.spawn(_request("r1"))
    assert opened.spawn(_request("r2")).record_id == "r1"


def test_stop_and_remove_of_another_object_do_nothing(opened: FakeSpawner) -> None:
    """A request that names an object leaves another one under the name alone."""
    handle = opened.spawn(_request("r1"))
    limit = Deadline.after(PATIENCE)
    ask = {"job_id": "one", "name": _NAME, "deadline": limit}
    opened.stop(StopRequest(**ask, engine_id="other", reason="stop", grace_seconds=0))
    assert opened.engine.alive(_NAME)
    opened.stop(StopRequest(**ask, engine_id=handle.engine_id, reason="stop", grace_seconds=0))
    opened.remove(RemoveRequest(**ask, engine_id="other"))
    assert _status(opened).outcome is not None
    opened.remove(RemoveRequest(**ask, engine_id=handle.engine_id))
    assert not opened.engine.objects()


def test_a_place_is_chosen_by_the_test(engine: FakeEngine, tmp_path: Path) -> None:
    """Endpoint and id can be set; the id is unknown while the engine does not answer."""
    one, two = _open(engine, tmp_path), _open(engine, tmp_path, endpoint="tcp")
    assert one.place().endpoint != two.place().endpoint == "fake:tcp"
    assert one.place().id == two.place().id == "E1"
    engine.faults.arm(Rule(Fault.REFUSE))
    assert one.place().id is None
    engine.faults.clear()
    engine.place_id = None
    assert one.place().id is None
    assert _open(FakeEngine(), tmp_path).place() != _open(FakeEngine(), tmp_path).place()


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_the_engine_is_read(
    engine: FakeEngine, opened: FakeSpawner, hours: int
) -> None:
    """Each answer tells the engine's time, however far it is from ours."""
    engine.clock = lambda: time.time() + hours * 3600
    opened.spawn(_request("r1"))
    present = opened._runtime.engine_clock.now()
    accepted = _status(opened).accepted_at
    assert present is not None
    assert accepted is not None
    assert abs((present.middle - accepted).total_seconds()) < PATIENCE
    assert abs(accepted.timestamp() - time.time() - hours * 3600) < PATIENCE


@pytest.mark.parametrize("step", ["create", "start"])
def test_a_hanging_step_hears_the_cancellation(opened: FakeSpawner, step: str) -> None:
    """A spawn that hangs ends within a second of its cancellation and leaves nothing."""
    cancellation = Cancellation()
    request = _request("r1", options=FakeOptions(hang_before=step), cancellation=cancellation)
    threading.Timer(0.2, cancellation.cancel).start()
    with pytest.raises(SpawnFailed, match=f"cancelled while .* to {step}") as caught:
        opened.spawn(request)
    assert caught.value.cause == "cancelled"
    assert not opened.engine.objects()
    assert opened.engine.starts("one") == 0
