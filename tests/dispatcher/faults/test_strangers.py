"""Two dispatchers of one instance at one engine, each with a Redis of its own: a mistake."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from dispatcher_case import Dispatcher, until
from slack_server import Message
from slack_story import JOB, readiness, told

pytestmark = pytest.mark.engine("redis")

MANY = "[limits]\nper_channel = 100"
OTHER = "another dispatcher, with another Redis, has the instance"


def instance_findings(dispatcher: Dispatcher) -> list[dict[str, str]]:
    """Run ``check`` with the configuration of a dispatcher; returns what it says of its name."""
    done = subprocess.run(
        [sys.executable, "-m", "spawnery_dispatcher", "check", "--json"],
        env=dispatcher.environ,
        cwd=dispatcher.folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return [
        item
        for item in json.loads(done.stdout)
        if item["name"] == "instance" and item["level"] != "ok"
    ]


def messages(story, issue: int) -> list[Message]:
    """Return all messages of an issue's job, whoever posted them."""
    return [m for m in story.slack.of_bot(event=JOB) if f"#{issue} " in m.text]


def other_seen(dispatcher: Dispatcher) -> bool:
    """Tell whether a dispatcher says that there is another one."""
    return OTHER in readiness(dispatcher)[1].get("other_dispatcher", "")


def test_two_of_one_name(tmp_path, shared_redis, redis_server):
    """Neither takes over what the other one started, and both say what is wrong."""
    shared = {"DISPATCHER_INSTANCE": "twice"}
    with told(tmp_path, shared_redis) as story:
        first = story.dispatcher("first", extra=MANY, environ=shared)
        first.start()
        story.ask(first, 58)
        story.asks(58)
        assert not instance_findings(first)
        second = story.dispatcher(
            "second", extra=MANY, environ={**shared, "REDIS_URL": redis_server.url}
        )
        (before,) = instance_findings(second)
        assert before["level"] == "failed"
        assert "DISPATCHER_INSTANCE" in before["hint"]
        second.start()
        until(lambda: other_seen(second), why="the second one says it")
        story.ask(second, 60)
        story.asks(60)
        until(lambda: other_seen(first), why="the first one says it")
        assert instance_findings(first)
        assert len(messages(story, 58)) == len(messages(story, 60)) == 1
        for issue, dispatcher in ((58, first), (60, second)):
            event = story.slack.say(f"cancel {story.job_id(issue)}")
            assert story.slack.deliver(dispatcher.port, event).status == 200
            story.shows(issue, ": cancelled")
        assert story.runs == 2
