"""Core's records in Redis: what every kind does, and what only a shared server may do to them."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from dispatcher_case import until
from records_cases import (
    DONE,
    KILL,
    NOW,
    ONE,
    ONE_BY_TCP,
    SOON,
    TWO,
    RecordsCases,
    begin,
    end,
    finish,
    intent,
    python,
    together,
)
from spawnery import JobSpec, Spawner
from spawnery.contract import JobRecords
from spawnery.errors import StateError
from spawnery.records.codec import dump
from spawnery.records.leases import new_holder
from spawnery_dispatcher.chat import embedded_redis
from spawnery_dispatcher.config import Config, Redis
from spawnery_dispatcher.store.connection import connect_blocking
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.records import RedisRecords
from spawnery_dispatcher.work.engine import open_spawner

pytestmark = pytest.mark.engine("redis")

PRELUDE = """
import sys
from datetime import datetime, timedelta, UTC
from spawnery import JobState, Outcome
from spawnery.records.leases import new_holder
from spawnery.contract import Record
from spawnery_dispatcher.store.connection import connect_blocking
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.records import RedisRecords
now = datetime(2030, 1, 1, tzinfo=UTC)
later = now + timedelta(hours=1)
def intent(job_id):
    return Record(job_id=job_id, name="p", spec_hash="h", intended_at=now)
records = RedisRecords(connect_blocking(sys.argv[1]), Keys(sys.argv[2]))
"""


_opened: list[RedisRecords] = []


def opened(url: str, keys: Keys) -> RedisRecords:
    """Open records; they are closed when the test has ended."""
    records = RedisRecords(connect_blocking(url), keys)
    _opened.append(records)
    return records


@pytest.fixture(autouse=True)
def _closed():
    """Close what a test opened."""
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture
def keys():
    """Keys of the test's own."""
    return Keys(f"t{secrets.token_hex(4)}")


@pytest.fixture
def me():
    """Name of this process as a holder."""
    return new_holder()


@pytest.fixture(scope="module")
def embedded():
    """Address of a server inside this process."""
    with embedded_redis() as url:
        yield url


class TestRedis(RecordsCases):
    """In a Redis server."""

    @pytest.fixture
    def records(self, shared_redis, keys):
        """Empty records."""
        found: JobRecords = opened(shared_redis.url, keys)
        yield found
        found.close()


class TestEmbedded(RecordsCases):
    """In the server that ``chat`` brings."""

    @pytest.fixture
    def records(self, embedded, keys):
        """Empty records."""
        found: JobRecords = opened(embedded, keys)
        yield found
        found.close()


# -- what Redis forgets --------------------------------------------------------------------------


def test_redis_forgets_an_ended_job(shared_redis, keys, me):
    """The record of an ended job expires when it may be forgotten, a running one's never."""
    records, redis = opened(shared_redis.url, keys), shared_redis.client()
    now = datetime.now(UTC)
    begin(records, me, intent("runs"))
    begin(records, me, intent("ended"))
    records.finish(intent("ended"), DONE, at=now, expires_at=now + timedelta(hours=1))
    records.announced("ended")
    assert redis.ttl(keys.record("runs")) == -1
    assert 3500 < redis.ttl(keys.record("ended")) <= 3601
    assert records.finished()[0].announced


def test_what_has_expired_is_off_the_list(shared_redis, keys, me):
    """A record that Redis forgot is in no list; its id can be begun again and is listed then."""
    records, redis = opened(shared_redis.url, keys), shared_redis.client()
    for job_id in ("a", "b"):
        finish(records, intent(job_id))
    redis.delete(keys.record("a"))
    assert [record.job_id for record in records.finished()] == ["b"]
    assert redis.smembers(keys.records()) == {"b"}
    begin(records, me, intent("a"))
    assert [record.job_id for record in records.unfinished()] == ["a"]


def test_a_holders_list_of_leases_is_kept_short(shared_redis, keys, me):
    """A lease that another took is off the list at the next renewal; a dead holder's list goes."""
    records, redis = opened(shared_redis.url, keys), shared_redis.client()
    other = new_holder()
    records.lease("a", holder=me, seconds=SOON)
    records.lease("b", holder=me, seconds=60)
    time.sleep(2 * SOON)
    assert records.lease("a", holder=other, seconds=60)
    assert redis.smembers(keys.held(me)) == {keys.lease("a"), keys.lease("b")}
    records.renew(holder=me, seconds=60)
    assert redis.smembers(keys.held(me)) == {keys.lease("b")}
    assert records.leased("a") == other
    assert 0 < redis.ttl(keys.held(me)) <= 86400
    records.release_all(holder=me)
    assert not redis.exists(keys.held(me))


def test_many_leases_are_renewed_in_a_few_round_trips(shared_redis, keys, me):
    """A thousand leases cost one transaction."""
    records, redis = opened(shared_redis.url, keys), shared_redis.client()
    for number in range(1000):
        records.lease(f"k{number}", holder=me, seconds=10)
    before = redis.info("commandstats")["cmdstat_exec"]["calls"]
    records.renew(holder=me, seconds=600)
    assert redis.info("commandstats")["cmdstat_exec"]["calls"] == before + 1
    assert all(redis.ttl(keys.lease(f"k{number}")) > 10 for number in range(1000))
    records.release_all(holder=me)
    assert redis.info("commandstats")["cmdstat_exec"]["calls"] == before + 2
    assert records.leased("k0") is None


# -- places --------------------------------------------------------------------------------------


def test_a_dispatcher_of_the_version_before_sees_the_first_place(shared_redis, keys, me):
    """Jobs of the first place are under the keys of before, those of others are not."""
    records, redis = opened(shared_redis.url, keys), shared_redis.client()
    records.enter(ONE)
    begin(records, me)
    records.enter(TWO)
    begin(records, me)
    begin(records, me, intent("b"))
    assert redis.smembers(keys.records()) == {"a"}
    assert redis.get(keys.lease("a")) == me
    assert not redis.exists(keys.lease("b"))
    redis.hset(keys.record("a"), mapping={"outcome": dump(DONE), "ended_at": NOW.isoformat()})
    assert records.get("a").outcome is None
    records.enter(ONE)
    assert records.get("a").outcome == DONE


def test_places_outlive_the_process(shared_redis, keys, me):
    """Another dispatcher knows the places, and a second one enters at the same moment."""
    first = opened(shared_redis.url, keys)
    with ThreadPoolExecutor(8) as threads:
        entered = list(threads.map(lambda _: opened(shared_redis.url, keys).enter(ONE), range(8)))
    assert len(set(entered)) == 1
    assert first.enter(ONE) == entered[0]
    begin(first, me)
    second = opened(shared_redis.url, keys)
    second.enter(TWO)
    assert [place.key for place in second.elsewhere("a")] == [entered[0]]
    assert first.here == (entered[0],)


def test_an_endpoint_that_another_process_found(shared_redis, keys, me):
    """Jobs of an address that another process uses are seen shortly after it has entered."""
    first, second = opened(shared_redis.url, keys), opened(shared_redis.url, keys)
    first.enter(ONE)
    second.enter(ONE_BY_TCP)
    begin(second, me)
    until(lambda: first.get("a"), why="the places are read again")


# -- many callers --------------------------------------------------------------------------------


def test_processes_finish_a_job_once(shared_redis, keys):
    """Twelve processes record an end of the same 20 jobs: each job has exactly one writer."""
    script = """
wins = []
for number in range(20):
    outcome = Outcome(state=JobState.LOST, cause=f"c.{new_holder()}")
    job = intent(f"j{number}")
    record, first = records.finish(job, outcome, at=now, expires_at=later, new=True)
    assert not first or record.outcome == outcome
    wins += [number] * first
print(*wins)
"""
    outputs = together(PRELUDE + script, 12, shared_redis.url, keys.instance)
    assert sorted(int(n) for output in outputs for n in output.split()) == list(range(20))
    assert len(opened(shared_redis.url, keys).finished()) == 20


def test_processes_take_a_lease_in_turn(shared_redis, keys):
    """Twelve living processes begin the same job: one inserts it, one holds it."""
    script = """
begun = records.begin(intent("a"), holder=new_holder(), seconds=60)
print(int(begun.inserted), int(begun.leased), flush=True)
sys.stdin.read()
"""
    children = [python(PRELUDE + script, shared_redis.url, keys.instance) for _ in range(12)]
    try:
        lines = [child.stdout.readline().split() for child in children]
    finally:
        for child in children:
            end(child)
    assert sorted(inserted for inserted, _ in lines) == ["0"] * 11 + ["1"]
    assert sorted(leased for _, leased in lines) == ["0"] * 11 + ["1"]


def test_threads_renew_and_release_at_once(shared_redis, keys, me):
    """Renewing while other leases come and go loses none and keeps none that was given back."""
    records = opened(shared_redis.url, keys)

    def use(number: int) -> None:
        for turn in range(10):
            records.lease(f"k{number}-{turn}", holder=me, seconds=60)
            records.renew(holder=me, seconds=60)
            if turn % 2:
                records.release(f"k{number}-{turn}", holder=me)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(use, range(12)))
    held = {f"k{number}-{turn}" for number in range(12) for turn in range(0, 10, 2)}
    every = {f"k{number}-{turn}" for number in range(12) for turn in range(10)}
    assert {key for key in every if records.leased(key) == me} == held
    assert shared_redis.client().smembers(keys.held(me)) == {keys.lease(key) for key in held}


def test_kill_in_the_middle_of_writes(shared_redis, keys):
    """After kill -9 of a writer what was confirmed is there, and every record can be read."""
    script = """
for number in range(1_000_000):
    records.begin(intent(f"j{number}"), holder=new_holder(), seconds=60)
    outcome = Outcome(state=JobState.LOST, cause="x")
    records.finish(intent(f"j{number}"), outcome, at=now, expires_at=later, new=True)
    print(number, flush=True)
"""
    records = opened(shared_redis.url, keys)
    child = python(PRELUDE + script, shared_redis.url, keys.instance)
    try:
        for _ in range(40):
            line = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")[:-1]
    finally:
        end(child)
    confirmed = int([line, *rest][-1])
    ended = {record.job_id for record in records.finished()}
    assert {f"j{number}" for number in range(confirmed + 1)} <= ended
    assert len(ended) + len(records.unfinished()) <= confirmed + 2
    assert all(records.leased(job_id) is None for job_id in ended), "a dead process holds nothing"


# -- a server that goes away ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda records, me: records.get("a"),
        begin,
        lambda records, me: finish(records, intent()),
        lambda records, me: records.kill(intent(), KILL),
        lambda records, me: records.finished(),
        lambda records, me: records.leased("a"),
        lambda records, me: records.renew(holder=me, seconds=60),
    ],
    ids=["get", "begin", "finish", "kill", "finished", "leased", "renew"],
)
def test_without_redis_there_is_an_error_in_our_words(redis_server, keys, me, use):
    """It says what to look at, may be tried again, and no error of the client's gets out."""
    records = opened(redis_server.url, keys)
    begin(records, me, intent("before"))
    redis_server.stop()
    with pytest.raises(StateError) as caught:
        use(records, me)
    assert caught.value.retryable
    assert "redis-cli ping" in (caught.value.hint or "")
    assert caught.value.__suppress_context__


def test_records_outlive_a_crash_of_redis(redis_server, keys, me):
    """The same object goes on when Redis is back; what was confirmed is there, leases too."""
    records = opened(redis_server.url, keys)
    begin(records, me)
    records.kill(intent(), KILL)
    redis_server.stop()
    with pytest.raises(StateError):
        records.get("a")
    redis_server.start()
    assert records.get("a") == intent(kill=KILL)
    assert records.leased("a") == me
    written, first = finish(records, intent())
    assert first
    assert opened(redis_server.url, keys).get("a") == written


def test_records_live_no_longer_than_what_the_dispatcher_knows(shared_redis, keys, tmp_path):
    """An id that the dispatcher takes for a new job has no outcome of an old one."""
    redis = Redis(url=shared_redis.url)
    config = Config(instance=keys.instance, keep_seconds=7200, redis=redis)
    environ = {
        "SPAWNERY_STATE_DIR": str(tmp_path),
        "SPAWNER_TYPE": "fake",
        "SPAWNERY_INSTANCE": "x",
    }

    async def story() -> float:
        spawner = await open_spawner(config, environ)
        try:
            return float(spawner.spawner.settings.core.records_days)
        finally:
            await spawner.close()

    assert asyncio.run(story()) * 86400 == pytest.approx(7200)


def test_a_spawner_is_closed_without_redis(redis_server, keys, tmp_path):
    """Leases that cannot be given back run out; all else is let go, and no error comes."""
    records = opened(redis_server.url, keys)
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path / "state"), "PATH": os.environ["PATH"]}
    threads = threading.active_count()
    spawner = Spawner.open("fake", environ=environ, records=records)
    spawner.spawn(JobSpec(job_id="a", command=("sleep:60",)))
    redis_server.stop()
    spawner.close()
    until(lambda: threading.active_count() <= threads, why="its threads end")


def test_an_address_with_a_password_is_in_no_error(keys):
    """Nothing that an error says or shows has the password of the address."""
    records = opened("redis://user:planted-secret@127.0.0.1:1/0", keys)
    with pytest.raises(StateError) as caught:
        records.get("a")
    assert "planted-secret" not in f"{caught.value!r} {caught.value} {caught.value.hint}"
