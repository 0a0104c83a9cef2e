"""What is over the limits waits: its place is told, it is fair, and it outlives the dispatcher."""

from __future__ import annotations

import pytest
from dispatcher_case import until
from slack_story import told

pytestmark = pytest.mark.engine("redis")

ONE_AT_A_TIME = "[limits]\njobs = 1\nper_channel = 100"


def test_the_queue(tmp_path, shared_redis):
    """Places are shared between people, every dispatcher tells them, and a restart keeps them."""
    with told(tmp_path, shared_redis) as story:
        instance = {"DISPATCHER_INSTANCE": f"i{abs(hash(str(tmp_path))) % 10**10}"}
        one = story.dispatcher("one", extra=ONE_AT_A_TIME, environ=instance)
        two = story.dispatcher("two", extra=ONE_AT_A_TIME, environ=instance)
        one.start()
        two.start()
        for issue, dispatcher in ((58, one), (60, two), (63, one)):
            story.ask(dispatcher, issue, user="U1")
        story.asks(58)
        story.shows(60, "Queued, number 1")
        story.shows(63, "Queued, number 2")
        story.ask(two, 64, user="U2")
        for issue, position in ((64, 1), (60, 2), (63, 3)):
            story.shows(issue, f"Queued, number {position}")
        for dispatcher in (one, two):
            asked = story.slack.say(f"status {story.job_id(60)}")
            story.slack.deliver(dispatcher.port, asked)
            until(
                lambda asked=asked: "number 2" in "".join(story.replies(asked)),
                why="its place is told",
            )
        one.kill()
        two.kill()
        two.start()
        for issue in (64, 60, 63):
            assert "Queued" in story.message(issue).text
        for issue in (58, 64, 60, 63):
            story.press(two, issue)
            story.fixed(issue)
        assert story.runs == 4
