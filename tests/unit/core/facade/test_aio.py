"""The facade for asyncio: a wait takes no thread, a cancelled read loses nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spawnery import AsyncSpawner, JobSpec, JobState, Spawner
from spawnery.errors import InvalidSpec, JobNotFound, JobRunning, SpawnerError, WaitTimeout
from spawnery.records.memory import MemoryRecords
from spawnery.testing import eventually, fake

LIMIT = 60
MANY = 200


@pytest.fixture
def story(tmp_path: Path) -> Callable[..., None]:
    """Run a coroutine function with a spawner on a fake engine of its own."""

    def run(tell: Callable[[AsyncSpawner], Any]) -> None:
        async def told() -> None:
            environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_SETTLE_SECONDS": "0.2"}
            async with await AsyncSpawner.open("fake", environ=environ) as spawner:
                await asyncio.wait_for(tell(spawner), LIMIT)

        asyncio.run(told())

    return run


def job(job_id: str, *words: str, **fields: Any) -> JobSpec:
    """Make a spec whose ended job is kept."""
    return JobSpec(job_id=job_id, command=list(words), **({"retention_seconds": 900} | fields))


def test_it_has_every_verb_of_the_other_one():
    """A verb that is added to one facade is added to the other."""
    own = {"wait", "on_end", "forget_end", "from_environment", "open", "close", "records"}
    verbs = {name for name in vars(Spawner) if not name.startswith("_")} - own
    assert verbs <= set(vars(AsyncSpawner))


def test_a_job_from_spawn_to_remove(story):
    """Each verb gives what the plain one gives."""

    async def tell(spawner: AsyncSpawner) -> None:
        handle = await spawner.spawn(job("a", "print:hi", "err:oops", "exit:3"), follow=True)
        assert handle.created
        assert not (await spawner.spawn(job("a", "print:hi", "err:oops", "exit:3"))).created
        async with await spawner.logs("a", follow=True) as log:
            pieces = [piece async for piece in log]
        assert b"".join(p.data for p in pieces if p.stream == "stdout") == b"hi\n"
        assert (await spawner.wait("a")).exit_code == 3
        assert (await spawner.status("a")).state is JobState.FAILED
        assert [status.job_id for status in await spawner.list()] == ["a"]
        assert "field.image" in await spawner.capabilities()
        assert (await spawner.plan(job("b", "true"))).name == "agentsmith-b"
        assert {item.name for item in await spawner.check()} >= {"instance", "records", "engine"}
        assert [d.action for d in await spawner.reap(dry_run=True)] == ["keep"]
        await spawner.remove("a")
        with pytest.raises(JobNotFound):
            await spawner.status("a")

    story(tell)


def test_errors_are_those_of_the_plain_one(story):
    """Refusals, running jobs, unknown ids."""

    async def tell(spawner: AsyncSpawner) -> None:
        with pytest.raises(InvalidSpec):
            await spawner.spawn(job("a", "true", options={"fake": {"nonsense": 1}}))
        await spawner.spawn(job("a", "sleep:600"))
        with pytest.raises(JobRunning):
            await spawner.remove("a")
        for verb in (spawner.wait, spawner.stop, spawner.status, spawner.remove):
            with pytest.raises(JobNotFound):
                await verb("nobody")
        assert (await spawner.stop("a", grace_seconds=0)).state is JobState.CANCELLED
        assert (await spawner.wait("a", timeout=0)).state is JobState.CANCELLED

    story(tell)


def test_many_waits_take_no_threads(story):
    """They share one watch; the pool stays free for verbs."""

    async def tell(spawner: AsyncSpawner) -> None:
        await spawner.spawn(job("a", "sleep:600"))
        waits = [asyncio.create_task(spawner.wait("a")) for _ in range(MANY)]
        registered = spawner.spawner._tracker._waiters
        await asyncio.to_thread(eventually, lambda: len(registered.get("a", [])) == MANY)
        assert threading.active_count() < MANY / 2
        await spawner.stop("a", grace_seconds=0)
        outcomes = await asyncio.gather(*waits)
        assert {outcome.state for outcome in outcomes} == {JobState.CANCELLED}

    story(tell)


def test_a_wait_that_is_given_up_leaves_nothing(story):
    """By its limit or by cancellation; the job goes on."""

    async def tell(spawner: AsyncSpawner) -> None:
        await spawner.spawn(job("a", "sleep:600"))
        with pytest.raises(WaitTimeout) as caught:
            await spawner.wait("a", timeout=0.05)
        assert caught.value.job_id == "a"
        wait = asyncio.create_task(spawner.wait("a"))
        await asyncio.sleep(0.05)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert spawner.spawner._tracker._waiters == {}
        assert (await spawner.status("a")).state is JobState.RUNNING

    story(tell)


def test_an_end_that_comes_when_the_loop_is_closed(tmp_path):
    """A waiter of a loop that is gone keeps no other from hearing of it."""
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path)}
    with Spawner.open("fake", environ=environ) as spawner:
        spawner.spawn(job("a", "sleep:600"))
        loop = asyncio.new_event_loop()
        wait = loop.create_task(AsyncSpawner(spawner).wait("a"))
        while not spawner._tracker._waiters:
            loop.run_until_complete(asyncio.sleep(0.01))
        wait._log_destroy_pending = False  # it is left behind on purpose
        loop.close()
        assert spawner.stop("a", grace_seconds=0).state is JobState.CANCELLED
        wait.get_coro().close()


def test_a_read_that_is_cancelled_loses_nothing(story):
    """Reading with a time limit for each piece gives every piece once, in order."""

    async def tell(spawner: AsyncSpawner) -> None:
        words = [word for number in range(5) for word in (f"print:{number}", "sleep:0.2")]
        await spawner.spawn(job("a", *words), follow=True)
        told, given_up = b"", 0
        async with await spawner.logs("a", follow=True) as log:
            while True:
                try:
                    async with asyncio.timeout(0.05):
                        told += (await anext(log)).data
                except TimeoutError:
                    given_up += 1
                except StopAsyncIteration:
                    break
        assert told == b"0\n1\n2\n3\n4\n"
        assert given_up > 0

    story(tell)


def test_a_blocked_reader_ends_with_its_stream(story):
    """``aclose`` by another task wakes it."""

    async def tell(spawner: AsyncSpawner) -> None:
        await spawner.spawn(job("a", "sleep:600"))
        log = await spawner.logs("a", follow=True)

        async def read() -> list[object]:
            return [piece async for piece in log]

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        await log.aclose()
        assert await reader == []

    story(tell)


def test_watch_tells_each_change(story):
    """Until its end, of every job of the instance."""

    async def tell(spawner: AsyncSpawner) -> None:
        async with await spawner.watch() as changes:
            await spawner.spawn(job("a", "sleep:0.1", "exit:4"))
            async for status in changes:
                if status.outcome is not None:
                    assert (status.job_id, status.outcome.exit_code) == ("a", 4)
                    break

    story(tell)


def test_closing_tells_who_waits(story):
    """The error says so, and the job goes on."""

    async def tell(spawner: AsyncSpawner) -> None:
        await spawner.spawn(job("a", "sleep:600"))
        wait = asyncio.create_task(spawner.wait("a"))
        await asyncio.sleep(0.1)
        await spawner.close()
        with pytest.raises(SpawnerError) as caught:
            await wait
        assert caught.value.cause == "spawner.closed"

    story(tell)


def test_open_logs_do_not_starve_verbs(story):
    """More followed logs than the pool has threads, and a spawn still goes through."""

    async def tell(spawner: AsyncSpawner) -> None:
        await spawner.spawn(job("a", "sleep:600"))
        logs = [await spawner.logs("a", follow=True) for _ in range(40)]
        readers = [asyncio.create_task(anext(log, None)) for log in logs]
        await asyncio.sleep(0)
        await spawner.spawn(job("b", "exit:5"))
        assert (await spawner.wait("b")).exit_code == 5
        for log in logs:
            await log.aclose()
        assert await asyncio.gather(*readers) == [None] * len(logs)

    story(tell)


def test_a_log_as_text_and_lines(story):
    """The same readers as without asyncio."""

    async def tell(spawner: AsyncSpawner) -> None:
        await spawner.spawn(job("a", "print:grün", "print:b"))
        await spawner.wait("a")
        async with await spawner.logs("a") as log:
            assert [line.text async for line in log.lines()] == ["grün", "b"]
        async with await spawner.logs("a") as log:
            assert "".join([piece.text async for piece in log.text()]) == "grün\nb\n"

    story(tell)


def test_a_stop_is_not_kept_waiting_by_the_spawns_that_it_ends(tmp_path):
    """More spawns hang than there are threads: other verbs and the stops that end them go on."""
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_INSTANCE": "aio"}
    options = {"fake": {"hang_before": "create"}}

    async def tell() -> None:
        plain = Spawner.open(plugin=fake.plugin, environ=environ, records=MemoryRecords())
        async with AsyncSpawner(plain, threads=2) as spawner:
            spawns = [
                asyncio.ensure_future(spawner.spawn(job(f"j{n}", "sleep:900", options=options)))
                for n in range(2)
            ]
            begun = lambda: len(plain.records.unfinished()) == 2  # noqa: E731
            await asyncio.to_thread(eventually, begun, message="both are under way")
            await spawner.list()
            outcomes = await asyncio.gather(*(spawner.stop(f"j{n}") for n in range(2)))
            assert {outcome.state for outcome in outcomes} == {JobState.CANCELLED}
            await asyncio.gather(*spawns)

    asyncio.run(tell())
