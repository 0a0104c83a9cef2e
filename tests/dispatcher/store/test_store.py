"""What is remembered of jobs: every change is whole or not at all, however many make it at once."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from spawnery import JobState, Outcome
from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.model.entries import Said, take_in
from spawnery_dispatcher.model.models import (
    Accepted,
    AgentEnd,
    Ask,
    Ending,
    Entry,
    Phase,
    Place,
    Platform,
    Progress,
    Refused,
)
from spawnery_dispatcher.model.protocol import answer, in_key, out_key
from spawnery_dispatcher.store.connection import connect
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.store.keys import Keys

pytestmark = pytest.mark.engine("redis")

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ENDING = Ending(state=JobState.SUCCEEDED, cause="exit.zero", message="done", ended_at=NOW)
MANY = Limits(per_channel=100)


def ask(number=58, job_id=None, **changes):
    made = Ask(
        job_id=job_id or f"demo-{number}-x",
        project="demo",
        issue=number,
        text=f"fix #{number} in demo",
        user="U1",
        place=Place(platform=Platform.SLACK, channel="C1", thread="1.2"),
        asked_at=NOW + timedelta(seconds=number),
    )
    return evolve(made, **changes)


@pytest.fixture
def play(shared_redis):
    """Run a story with a store of its own."""

    def run(story, *, keep_seconds=3600.0):
        async def inside():
            redis = connect(shared_redis.url)
            keys = Keys(f"t{secrets.token_hex(4)}")
            try:
                return await story(Store(redis, keys, keep_seconds=keep_seconds))
            finally:
                await redis.aclose()

        return asyncio.run(inside())

    return run


def test_fifty_deliveries_are_one_job(play):
    """However often and at once a delivery comes, one of them is new."""

    async def story(store):
        results = await asyncio.gather(*(store.accept(ask(), MANY) for _ in range(50)))
        assert sum(r.new for r in results) == 1
        assert await store.live() == {"demo-58-x"}
        assert await store.waiting() == ["demo-58-x"]
        await store.end("demo-58-x", ENDING)
        late = await store.accept(ask(), MANY)
        assert isinstance(late, Accepted)
        assert not late.new
        assert late.entry.ending == ENDING

    play(story)


def test_an_earlier_job_of_the_id_says_nothing_of_the_next(play):
    """What an agent said on a stream that outlived its job is gone when the id is used again."""

    async def story(store):
        await store.accept(ask(), MANY)
        await store.redis.xadd(out_key("demo-58-x"), {"type": "Done"})
        await store.redis.xadd(in_key("demo-58-x"), {"type": "Answer"})
        await store.accept(ask(), MANY)
        assert await store.redis.exists(out_key("demo-58-x"), in_key("demo-58-x")) == 2
        await store.end("demo-58-x", ENDING)
        await store.redis.delete(store.keys.job("demo-58-x"))
        again = await store.accept(ask(), MANY)
        assert again.new
        assert not await store.redis.exists(out_key("demo-58-x"), in_key("demo-58-x"))

    play(story)


def test_one_job_per_issue(play):
    """Of two people who ask for the same issue at once, one is refused and told of the other."""

    async def story(store):
        both = [ask(job_id="one"), ask(job_id="two")]
        results = await asyncio.gather(*(store.accept(item, MANY) for item in both))
        refused = [r for r in results if isinstance(r, Refused)]
        assert len(refused) == 1
        winner = next(r.entry.job_id for r in results if isinstance(r, Accepted))
        assert refused[0] == Refused(reason="issue", running=winner)
        await store.end(winner, ENDING)
        assert isinstance(await store.accept(ask(job_id="three"), MANY), Accepted)

    play(story)


def test_a_channel_has_its_limit(play):
    """A channel that is full refuses, also when all ask at once."""

    async def story(store):
        limits = Limits(per_channel=2)
        results = await asyncio.gather(*(store.accept(ask(n), limits) for n in range(6)))
        assert sum(isinstance(r, Accepted) for r in results) == 2
        assert {r.reason for r in results if isinstance(r, Refused)} == {"channel"}

    play(story)


def test_a_full_queue_refuses(play):
    """More than the queue may hold is refused in words."""

    async def story(store):
        limits = Limits(per_channel=100, queue=1)
        for number in range(2):
            assert isinstance(await store.accept(ask(number), limits), Accepted)
        assert await store.accept(ask(9), limits) == Refused(reason="queue")

    play(story)


def test_the_ending_is_written_once(play):
    """Of many who know how it ended, one writes it."""

    async def story(store):
        await store.accept(ask(), MANY)
        results = await asyncio.gather(*(store.end("demo-58-x", ENDING) for _ in range(10)))
        assert sum(results) == 1
        assert await store.live() == set()
        assert await store.of_channel("slack", "C1") == set()
        assert await store.change("demo-58-x", lambda _: {"notice": "late"}) is None

    play(story)


def test_phases_go_one_way(play):
    """A job leaves the queue once."""

    async def story(store):
        await store.accept(ask(), MANY)

        def leave(entry):
            return {"phase": Phase.SPAWNING} if entry.phase is Phase.QUEUED else None

        moved = await asyncio.gather(*(store.change("demo-58-x", leave) for _ in range(5)))
        assert sum(entry is not None for entry in moved) == 1
        assert await store.waiting() == []

    play(story)


def test_witnesses_keep_their_first_word(play):
    """A second outcome and a second end of the agent change nothing."""

    async def story(store):
        await store.accept(ask(), MANY)
        first = Outcome(state=JobState.FAILED, cause="oom")
        await store.witness("demo-58-x", first)
        await store.witness("demo-58-x", Outcome(state=JobState.LOST, cause="x"))
        said = Said(job_id="demo-58-x", entries=(("1-0", {"type": "Done", "text": "a"}),))
        again = Said(job_id="demo-58-x", entries=(("2-0", {"type": "Error", "text": "b"}),))
        await store.take_in([take_in(said, Progress())])
        await store.take_in([take_in(again, Progress())])
        entry = await store.get("demo-58-x")
        assert entry is not None
        assert entry.outcome == first
        assert entry.agent_end == AgentEnd(done=True, text="a")
        assert entry.read == "2-0"

    play(story)


def test_a_question_is_answered_once(play):
    """Two clicks are one entry on the agent's stream."""

    async def story(store):
        await store.accept(ask(), MANY)
        fields = {"type": "Question", "questionId": "q", "text": "?"}
        said = Said(job_id="demo-58-x", entries=(("1-0", fields),))
        await store.take_in([take_in(said, Progress())])
        made = answer("q", "yes", by="U1", at=NOW)
        answered = await asyncio.gather(*(store.answer("demo-58-x", "q", made) for _ in range(5)))
        assert sum(answered) == 1
        assert await store.redis.xlen(in_key("demo-58-x")) == 1
        assert not await store.answer("demo-58-x", "other", made)

    play(story)


def test_what_ended_is_forgotten_in_time(play):
    """Nothing of an ended job stays for ever: entry and streams expire."""

    async def story(store):
        await store.accept(ask(), MANY)
        for key in (in_key("demo-58-x"), out_key("demo-58-x")):
            await store.redis.xadd(key, {"type": "x"})
        await store.end("demo-58-x", ENDING)
        for key in (store.keys.job("demo-58-x"), in_key("demo-58-x"), out_key("demo-58-x")):
            assert 0 < await store.redis.ttl(key) <= 7200
        assert not await store.redis.exists(store.keys.active("demo", 58))

    play(story, keep_seconds=7200)


def test_messages_are_due_until_they_are_shown(play):
    """A change after the sending makes the message due again; one that is put off waits."""

    async def story(store):
        await store.accept(ask(), MANY)
        assert await store.due() == ["demo-58-x"]
        version = await store.version("demo-58-x")
        await store.change("demo-58-x", lambda _: {"notice": "n"})
        await store.shown("demo-58-x", version)
        assert await store.due() == ["demo-58-x"]
        await store.shown("demo-58-x", await store.version("demo-58-x"))
        assert await store.due() == []
        await store.change("demo-58-x", lambda _: {"notice": "m"})
        await store.later("demo-58-x", 60)
        await store.change("demo-58-x", lambda _: {"notice": "o"})
        assert await store.due() == []

    play(story)


def test_a_lost_job_is_taken_in_again_once(play):
    """After our memory was lost, a job of the engine's is readopted by one of many."""

    async def story(store):
        entry = Entry(ask=ask(), phase=Phase.RUNNING, readopted=True)
        results = await asyncio.gather(*(store.readopt(entry) for _ in range(5)))
        assert sum(results) == 1
        found = await store.get("demo-58-x")
        assert found is not None
        assert found.readopted
        assert await store.waiting() == []
        assert isinstance(await store.accept(ask(job_id="other"), MANY), Refused)

    play(story)
