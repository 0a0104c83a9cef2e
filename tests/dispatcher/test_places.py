"""A dispatcher that is pointed to another engine while jobs live in the first one."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest
from dispatcher_case import Dispatcher, until
from slack_story import told

pytestmark = pytest.mark.engine("redis")

MANY = "[limits]\nper_channel = 100"
AWAY = "no dispatcher is connected to it"


@pytest.fixture
def story(tmp_path, shared_redis):
    """A conversation."""
    with told(tmp_path, shared_redis) as made:
        yield made


def pointed(story, tmp_path, place: str, instance: str) -> Dispatcher:
    """Make a dispatcher whose engine is the state directory ``place`` of this machine."""
    environ = {
        "DISPATCHER_INSTANCE": instance,
        "SPAWNERY_STATE_DIR": str(tmp_path / place),
    }
    made: Dispatcher = story.dispatcher(f"at-{place}", extra=MANY, environ=environ)
    return made


def places(dispatcher: Dispatcher, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``spawnery-dispatcher places`` as an operator of this dispatcher does."""
    return subprocess.run(
        [sys.executable, "-m", "spawnery_dispatcher", "places", *arguments],
        env={**dispatcher.environ, "PATH": os.environ["PATH"]},
        cwd=dispatcher.folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_job_of_another_place_is_left_alone(story, tmp_path):
    """It is shown as living there and ends as nothing; pointed back, its dispatcher goes on."""
    instance = f"i{secrets.token_hex(4)}"
    first = pointed(story, tmp_path, "first", instance)
    first.start()
    story.ask(first, 58)
    story.asks(58)
    first.kill()
    second = pointed(story, tmp_path, "second", instance)
    second.start()
    story.shows(58, AWAY)
    for command in ("list", f"status {story.job_id(58)}"):
        said = story.slack.say(command)
        story.slack.deliver(second.port, said)
        until(
            lambda said=said: AWAY in "".join(story.replies(said)),
            why=f"{command} says where the job is",
        )
    story.ask(second, 60)
    story.press(second, 60)
    story.fixed(60)
    rows = [line.split("\t") for line in places(second).stdout.splitlines()]
    assert [(row[1], row[2]) for row in rows] == [("here", "0"), ("", "1")]
    second.kill()
    first.start()
    story.shows(58, '"text": "main"')
    until(lambda: AWAY not in story.message(58).words(), why="it is followed again")
    story.press(first, 58)
    story.fixed(58)
    assert story.runs == 2


def test_two_dispatchers_in_two_places(story, tmp_path):
    """Each follows the jobs of its own place, and nothing is said of those that are followed."""
    instance = f"i{secrets.token_hex(4)}"
    first = pointed(story, tmp_path, "first", instance)
    second = pointed(story, tmp_path, "second", instance)
    first.start()
    second.start()
    for issue in (58, 60, 63, 64):
        story.ask(first if issue % 2 else second, issue)
        story.asks(issue)
    for issue in (58, 60, 63, 64):
        assert AWAY not in story.message(issue).words()
        story.press(second, issue)
        story.fixed(issue)
    assert story.runs == 4


def test_a_place_is_given_up(story, tmp_path):
    """The jobs of a place that is gone end as lost with a cause of their own, and people see it."""
    instance = f"i{secrets.token_hex(4)}"
    first = pointed(story, tmp_path, "first", instance)
    first.start()
    story.ask(first, 58)
    story.asks(58)
    first.kill()
    story.kill_agent()
    second = pointed(story, tmp_path, "second", instance)
    second.start()
    story.shows(58, AWAY)
    key = next(r.split("\t")[0] for r in places(second).stdout.splitlines() if "\there\t" not in r)
    wrong = places(second, "--give-up", "00000000")
    assert wrong.returncode == 125
    assert "00000000" in wrong.stderr
    given_up = places(second, "--give-up", key)
    assert given_up.returncode == 0, given_up.stderr
    assert given_up.stdout.split() == [story.job_id(58)]
    story.shows(58, "lost.place")
    assert places(second, "--give-up", key).stdout == ""
