"""Redis restarted, with its data or without: no job is lost in silence, and none runs twice."""

from __future__ import annotations

import pytest
from dispatcher_case import until
from slack_story import readiness, told

pytestmark = pytest.mark.engine("redis")

ONE_AT_A_TIME = "[limits]\njobs = 1\nper_channel = 100"
LOST = "My memory was lost"


@pytest.fixture
def story(tmp_path, redis_server):
    """A story whose Redis may crash."""
    with told(tmp_path, redis_server) as made:
        yield made


def test_redis_is_restarted_with_its_data(story):
    """One job runs and one waits meanwhile: both are brought to their ends, once."""
    dispatcher = story.dispatcher(extra=ONE_AT_A_TIME)
    dispatcher.start()
    story.ask(dispatcher, 58)
    story.asks(58)
    event = story.ask(dispatcher, 60)
    story.shows(60, "Queued, number 1")
    story.redis.restart()
    story.press(dispatcher, 58)
    story.fixed(58)
    story.press(dispatcher, 60)
    story.fixed(60)
    until(
        lambda: story.slack.deliver(dispatcher.port, event).status == 200,
        why="a late delivery is taken",
    )
    assert story.runs == 2
    assert readiness(dispatcher)[1]["memory"] == "kept"


def test_redis_lost_its_data(story):
    """What runs is found at the engine, what waited is told as lost, what is over stays so."""
    dispatcher = story.dispatcher(extra=ONE_AT_A_TIME)
    dispatcher.start()
    over = story.ask(dispatcher, 57)
    story.press(dispatcher, 57)
    story.fixed(57)
    story.ask(dispatcher, 58)
    story.asks(58)
    story.ask(dispatcher, 60)
    story.shows(60, "Queued, number 1")
    story.redis.restart(forget=True)
    story.shows(60, "lost.memory")
    story.shows(58, "found running after our memory was lost")
    until(lambda: readiness(dispatcher)[0] == 200, why="ready again")
    memory = readiness(dispatcher)[1]["memory"]
    assert "1 running jobs" in memory
    assert "1 waiting ones are lost" in memory
    assert story.slack.deliver(dispatcher.port, over).status == 200
    until(lambda: any(LOST in text for text in story.replies(over)), why="the refusal")
    story.press(dispatcher, 58)
    story.fixed(58)
    story.ask(dispatcher, 59)
    story.press(dispatcher, 59)
    story.fixed(59)
    assert story.runs == 3


def test_dispatcher_and_redis_are_lost_together(story):
    """A new dispatcher knows only what the engine's labels say: that is enough to end it."""
    dispatcher = story.dispatcher()
    dispatcher.start()
    story.ask(dispatcher, 58)
    story.asks(58)
    dispatcher.kill()
    story.redis.restart(forget=True)
    dispatcher.start()
    story.shows(58, "found running after our memory was lost")
    story.press(dispatcher, 58)
    story.fixed(58)
    assert story.runs == 1


def test_what_ends_while_the_memory_is_lost_is_told(story):
    """The dispatcher that followed it still knows it, whatever the engine shows."""
    dispatcher = story.dispatcher()
    dispatcher.start()
    story.ask(dispatcher, 58)
    story.asks(58)
    story.redis.stop()
    story.kill_agent()
    story.redis.restart(forget=True)
    story.shows(58, ": failed")
    assert story.runs == 1
