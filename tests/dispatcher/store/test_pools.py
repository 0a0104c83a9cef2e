"""No caller of a Redis pool waits for a connection while it holds one, however full the pool is."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from redis import client as blocking_client
from redis.asyncio import client as asyncio_client
from spawnery.contract import Kill, Record
from spawnery.contract import Place as EnginePlace
from spawnery.model import JobState, KillReason, Outcome
from spawnery.records.leases import new_holder
from spawnery.toolkit import NestedWaitError
from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.model.entries import Said, take_in
from spawnery_dispatcher.model.models import Ask, Ending, Entry, Phase, Place, Platform, Progress
from spawnery_dispatcher.model.protocol import answer
from spawnery_dispatcher.store import places as places_module
from spawnery_dispatcher.store.connection import connect, connect_blocking
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.records import RedisRecords

pytestmark = pytest.mark.engine("redis")

SIZE = 4
"""Connections of each pool; as many callers hold one at the moment that is tested."""
SECONDS = 60.0
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
MANY = Limits(per_channel=1000, queue=1000)
ENDING = Ending(state=JobState.SUCCEEDED, cause="exit.zero", message="done", ended_at=NOW)
DONE = Outcome(state=JobState.SUCCEEDED, cause="exit.zero", message="done")
HOLDER = new_holder()


def ask(number: int) -> Ask:
    """A request of its own."""
    return Ask(
        job_id=f"demo-{number}",
        project="demo",
        issue=number,
        text=f"fix #{number}",
        user="U1",
        place=Place(platform=Platform.SLACK, channel="C1"),
        asked_at=NOW,
    )


def full(url: str) -> str:
    """Return the address with which a pool has few connections."""
    return f"{url}?max_connections={SIZE}"


@pytest.fixture
def all_hold_one(monkeypatch):
    """From a call on, tasks that watch keys go on only when all connections are held by one."""
    arrived, all_there = [], asyncio.Event()
    watch = asyncio_client.Pipeline.watch

    async def held(self, *names):
        result = await watch(self, *names)
        arrived.append(self)
        if len(arrived) == SIZE:
            all_there.set()
        await all_there.wait()
        return result

    def begin() -> list[object]:
        monkeypatch.setattr(asyncio_client.Pipeline, "watch", held)
        return arrived

    return begin


@pytest.fixture
def all_threads_hold_one(monkeypatch):
    """From a call on, threads that watch keys go on only when all connections are held by one."""
    barrier, places, arrived = threading.Barrier(SIZE), threading.Semaphore(SIZE), []
    watch = blocking_client.Pipeline.watch

    def held(self, *names):
        result = watch(self, *names)
        if places.acquire(blocking=False):
            barrier.wait(SECONDS)
            arrived.append(self)
        return result

    def begin() -> list[object]:
        monkeypatch.setattr(blocking_client.Pipeline, "watch", held)
        return arrived

    return begin


async def accept(store: Store, number: int) -> object:
    """Take a job in."""
    return await store.accept(ask(number), MANY)


async def readopt(store: Store, number: int) -> object:
    """Take a job in again."""
    return await store.readopt(Entry(ask=ask(number), phase=Phase.RUNNING))


async def change(store: Store, number: int) -> object:
    """Change a job."""
    return await store.change(f"demo-{number}", lambda _: {"notice": "n"})


async def end(store: Store, number: int) -> object:
    """End a job."""
    return await store.end(f"demo-{number}", ENDING)


async def answered(store: Store, number: int) -> object:
    """Answer the question of a job."""
    return await store.answer(f"demo-{number}", "q", answer("q", "yes", by="U1", at=NOW))


async def shown(store: Store, number: int) -> object:
    """Note that people see a job's message."""
    await store.shown(f"demo-{number}", 1)
    return True


@pytest.mark.parametrize("act", [accept, readopt, change, end, answered, shown])
def test_callers_of_the_store_that_fill_its_pool(shared_redis, all_hold_one, act):
    """Each of them does what it began with the connection that it has."""

    async def story() -> None:
        redis = connect(full(shared_redis.url))
        store = Store(redis, Keys(f"t{secrets.token_hex(4)}"), keep_seconds=3600.0)
        try:
            for number in () if act in {accept, readopt} else range(SIZE):
                await store.accept(ask(number), MANY)
                fields = {"type": "Question", "questionId": "q", "text": "?"}
                said = Said(job_id=f"demo-{number}", entries=(("1-0", fields),))
                await store.take_in([take_in(said, Progress())])
            await store.clock.now()
            arrived = all_hold_one()
            async with asyncio.timeout(SECONDS):
                results = await asyncio.gather(*(act(store, number) for number in range(SIZE)))
            assert all(results)
            assert len(arrived) >= SIZE
        finally:
            await redis.aclose()

    asyncio.run(story())


def record(number: int) -> Record:
    """The intent of a job of its own."""
    return Record(job_id=f"job-{number}", name="p", spec_hash="h", intended_at=NOW)


VERBS: dict[str, Callable[[RedisRecords, int], object]] = {
    "begin": lambda r, n: r.begin(record(n), holder=HOLDER, seconds=60),
    "created": lambda r, n: r.created(f"job-{n}", engine_id="e", at=NOW),
    "withdraw": lambda r, n: r.withdraw(f"job-{n}"),
    "kill": lambda r, n: r.kill(record(n), Kill(reason=KillReason.STOP, at=NOW)),
    "kill of an object": lambda r, n: r.kill(
        record(n + 100), Kill(reason=KillReason.STOP, at=NOW), new=True
    ),
    "finish": lambda r, n: r.finish(record(n), DONE, at=NOW, expires_at=LATER),
    "finish of an object": lambda r, n: r.finish(
        record(n + 100), DONE, at=NOW, expires_at=LATER, new=True
    ),
    "announced": lambda r, n: r.announced(f"job-{n}"),
    "forget": lambda r, n: r.forget(f"job-{n}"),
    "seen_here": lambda r, n: r.seen_here(record(n)),
    "lease": lambda r, n: r.lease(f"job-{n}", holder=HOLDER, seconds=60),
    "renew": lambda r, _: r.renew(holder=HOLDER, seconds=60),
    "release": lambda r, n: r.release(f"job-{n}", holder=HOLDER),
    "enter": lambda r, n: r.enter(EnginePlace(endpoint=f"e{n}", id=None, title="e")),
}


@pytest.mark.parametrize("verb", VERBS)
def test_threads_that_fill_the_pool_of_the_records(
    shared_redis, all_threads_hold_one, monkeypatch, verb
):
    """Each of them does what it began with the connection that it has."""
    keys = Keys(f"t{secrets.token_hex(4)}")
    records = RedisRecords(connect_blocking(full(shared_redis.url)), keys)
    try:
        records.enter(EnginePlace(endpoint="e", id=None, title="e"))
        for number in range(SIZE):
            if verb != "begin":
                records.begin(record(number), holder=HOLDER, seconds=60)
        # What was read of the places is old by the time that it is needed.
        monkeypatch.setattr(places_module, "_FRESH_SECONDS", 0.0)
        arrived = all_threads_hold_one()
        with ThreadPoolExecutor(SIZE) as threads:
            futures = [threads.submit(VERBS[verb], records, number) for number in range(SIZE)]
            for future in futures:
                future.result(SECONDS)
        assert len(arrived) == SIZE
    finally:
        records.close()


def test_a_crowd_waits_for_connections(shared_redis):
    """More callers than connections are no sign that Redis is away: all of them get through."""

    async def story() -> None:
        redis = connect(full(shared_redis.url))
        store = Store(redis, Keys(f"t{secrets.token_hex(4)}"), keep_seconds=3600.0)
        calls: list[Awaitable[object]] = [store.accept(ask(n), MANY) for n in range(10 * SIZE)]
        try:
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*calls)
            assert len(await store.live()) == 10 * SIZE
        finally:
            await redis.aclose()

    asyncio.run(story())


def test_a_crowd_of_threads_waits_for_connections(shared_redis):
    """So do threads."""
    keys = Keys(f"t{secrets.token_hex(4)}")
    records = RedisRecords(connect_blocking(full(shared_redis.url)), keys)
    with ThreadPoolExecutor(10 * SIZE) as threads:
        numbers = range(10 * SIZE)
        begun = list(threads.map(lambda n: VERBS["begin"](records, n), numbers))
    assert len(begun) == len(records.unfinished()) == 10 * SIZE
    records.close()


def test_a_task_that_takes_a_second_connection_is_found(shared_redis):
    """The pool refuses it at once, with room and without."""

    async def story() -> None:
        redis = connect(shared_redis.url)
        try:
            async with redis.pipeline() as pipe:
                await pipe.watch("a")
                with pytest.raises(NestedWaitError):
                    await redis.get("a")
            assert await redis.get("a") is None
            async with redis.pipeline() as pipe:
                await pipe.watch("a")
                assert await asyncio.create_task(redis.get("a")) is None
        finally:
            await redis.aclose()

    asyncio.run(story())


def test_a_thread_that_takes_a_second_connection_is_found(shared_redis):
    """The pool refuses it at once, with room and without."""
    redis = connect_blocking(shared_redis.url)
    with redis.pipeline() as pipe:
        pipe.watch("a")
        with pytest.raises(NestedWaitError):
            redis.get("a")
    assert redis.get("a") is None
    redis.close()
