"""Dispatchers whose own clocks are wrong: what they share goes by the clock of Redis."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from datetime import UTC, datetime, timedelta

import pytest
from clocks import SettableClock, shifted
from dispatcher_case import until
from docker_images import BUSYBOX, make_busybox
from slack_story import told
from spawnery_dispatcher.store.clock import RedisClock
from spawnery_dispatcher.store.connection import connect

pytestmark = pytest.mark.engine("redis")

KEY = "key-of-ci-0123456789"
API = f"""
[limits]
per_channel = 100
[api_keys.ci]
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
"""
NEAR = timedelta(minutes=10)


def near(text: str) -> bool:
    """Tell whether a time is about now."""
    return abs(datetime.fromisoformat(text) - datetime.now(UTC)) < NEAR


def test_the_time_is_that_of_redis(shared_redis):
    """The clock tells what Redis says, and counts on from there without asking each time."""

    async def story() -> None:
        redis = connect(shared_redis.url)
        clock = RedisClock(redis)
        try:
            seconds, microseconds = await redis.time()
            assert abs(await clock.seconds() - seconds - microseconds / 1e6) < NEAR.total_seconds()
            before = await clock.now()
            asked = (await redis.info("commandstats"))["cmdstat_time"]["calls"]
            later = [await clock.now() for _ in range(100)]
            assert (await redis.info("commandstats"))["cmdstat_time"]["calls"] <= asked + 5
            assert before <= later[0] <= later[-1]
        finally:
            await redis.aclose()

    asyncio.run(story())


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_a_dispatcher_with_a_wrong_clock(tmp_path, shared_redis, offset):
    """It takes what Slack signed, its jobs run to their end, and its messages are not put off."""
    with told(tmp_path, shared_redis) as story:
        instance = {"DISPATCHER_INSTANCE": f"i{secrets.token_hex(4)}"}
        wrong = story.dispatcher("wrong", extra=API, environ={**instance, **shifted(offset)})
        right = story.dispatcher("right", extra=API, environ=instance)
        wrong.start()
        right.start()
        began = time.monotonic()
        for issue, taker in ((58, wrong), (60, right)):
            story.ask(taker, issue)
            story.asks(issue)
        for issue, presser in ((58, right), (60, wrong)):
            story.press(presser, issue)
            story.fixed(issue)
        assert story.runs == 2
        authorization = {"authorization": f"Bearer {KEY}"}
        for number, dispatcher in enumerate((wrong, right), 70):
            status, made = dispatcher.post("/api/v1/jobs", {"issue": number}, **authorization)
            assert status == 202
            assert near(made["asked_at"])
            path = f"/api/v1/jobs/{made['job_id']}"
            assert dispatcher.post(f"{path}/cancel", {}, **authorization)[0] == 200

            def ended(path=path, other=right if dispatcher is wrong else wrong):
                return json.loads(other.get(path, **authorization)[1])["ending"]

            assert near(until(ended, why="it is cancelled")["ended_at"])
        # One that puts a message off by its own clock puts it off by an hour.
        assert time.monotonic() - began < NEAR.total_seconds()


def test_a_message_of_a_dispatcher_that_died_is_sent_by_another(tmp_path, shared_redis):
    """What is due is due for all, also when it was written by one that is an hour ahead."""
    with told(tmp_path, shared_redis) as story:
        instance = {"DISPATCHER_INSTANCE": f"i{secrets.token_hex(4)}"}
        ahead = story.dispatcher("ahead", environ={**instance, **shifted("+1h")})
        ahead.start()
        story.ask(ahead, 58)
        story.asks(58)
        ahead.kill()
        right = story.dispatcher("right", environ=instance)
        right.start()
        story.press(right, 58)
        story.fixed(58)
        assert story.runs == 1


@pytest.mark.engine("redis", "docker")
@pytest.mark.parametrize("offset", ["+2h", "-2h"])
def test_a_clock_that_is_set_while_containers_run(tmp_path, shared_redis, offset):
    """So it is with an engine that has a clock of its own."""
    make_busybox()
    project = f'image = "{BUSYBOX}"\ncommand = ["sleep", "15"]\nargs = []\nforward = []'
    clock = SettableClock(tmp_path / "offset")
    with told(tmp_path, shared_redis, project=project) as story:
        dispatcher = story.dispatcher(spawner="docker", environ=clock.environ)
        dispatcher.start()
        story.ask(dispatcher, 58)
        story.shows(58, "Running")
        clock.set(offset)
        assert "exited with 0" in story.shows(58, "agent.silent").words()


@pytest.mark.parametrize("offset", ["+2h", "-2h"])
def test_a_clock_that_is_set_while_jobs_run(tmp_path, shared_redis, offset):
    """No job is ended because its dispatcher's clock is set; what comes later goes on as before."""
    clock = SettableClock(tmp_path / "offset")
    with told(tmp_path, shared_redis) as story:
        environ = {"DISPATCHER_INSTANCE": f"i{secrets.token_hex(4)}", **clock.environ}
        dispatcher = story.dispatcher(extra=API, environ=environ)
        dispatcher.start()
        story.ask(dispatcher, 58)
        story.asks(58)
        clock.set(offset)
        story.ask(dispatcher, 60)  # its agent lives for some seconds under the new time
        story.asks(60)
        for issue in (58, 60):
            story.press(dispatcher, issue)
            story.fixed(issue)
        assert story.runs == 2
