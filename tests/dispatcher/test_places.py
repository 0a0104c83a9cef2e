"""A dispatcher that is pointed to another engine while jobs live in the first one."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys

import pytest
from dispatcher_case import Dispatcher, until
from slack_story import readiness, told

pytestmark = pytest.mark.engine("redis")

MANY = "[limits]\nper_channel = 100"
AWAY = "no dispatcher is connected to it"
LATER = "is cancelled when a dispatcher is connected to its engine again"


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
    return command(dispatcher, "places", *arguments)


def check(dispatcher: Dispatcher) -> list[dict[str, str]]:
    """Run ``spawnery-dispatcher check``; returns the findings."""
    found: list[dict[str, str]] = json.loads(command(dispatcher, "check", "--json").stdout)
    return found


def command(dispatcher: Dispatcher, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the configuration of a dispatcher."""
    return subprocess.run(
        [sys.executable, "-m", "spawnery_dispatcher", *words],
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
    for text in ("list", f"status {story.job_id(58)}"):
        said = story.slack.say(text)
        story.slack.deliver(second.port, said)
        until(
            lambda said=said: AWAY in "".join(story.replies(said)),
            why=f"{text} says where the job is",
        )
    until(lambda: readiness(second)[1]["jobs_elsewhere"] == 1, why="readyz tells it")
    assert readiness(second)[0] == 200
    found = check(second)
    (warning,) = [item for item in found if item["name"] == "places"]
    assert warning["level"] == "warning"
    assert str(tmp_path / "first") in warning["detail"]
    key = warning["hint"].split()[-1]
    story.ask(second, 60)
    story.press(second, 60)
    story.fixed(60)
    rows = [line.split("\t") for line in places(second).stdout.splitlines()]
    assert [(row[1], row[2]) for row in rows] == [("here", "0"), ("", "1")]
    assert key == rows[1][0]
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


def test_a_job_of_another_place_is_cancelled_there(story, tmp_path):
    """Until then it is said when it will be; nothing is said to be done that is not."""
    instance = f"i{secrets.token_hex(4)}"
    first = pointed(story, tmp_path, "first", instance)
    first.start()
    story.ask(first, 58)
    story.asks(58)
    first.kill()
    second = pointed(story, tmp_path, "second", instance)
    second.start()
    story.shows(58, AWAY)
    said = story.slack.say(f"cancel {story.job_id(58)}")
    story.slack.deliver(second.port, said)
    until(lambda: any(LATER in text for text in story.replies(said)), why="the answer")
    story.shows(58, LATER)
    assert AWAY in story.message(58).words()
    second.kill()
    first.start()
    story.shows(58, ": cancelled")
    assert story.runs == 1


@pytest.mark.engine("redis", "docker")
def test_a_job_of_another_kind_of_engine_is_left_alone(story, tmp_path):
    """A dispatcher that is started with another spawner says where it is, and ends nothing."""
    instance = f"i{secrets.token_hex(4)}"
    first = pointed(story, tmp_path, "first", instance)
    first.start()
    story.ask(first, 58)
    story.asks(58)
    first.kill()
    first.start(SPAWNER_TYPE="docker")
    story.shows(58, AWAY)
    first.kill()
    first.start()
    until(lambda: AWAY not in story.message(58).words(), why="it is followed again")
    story.press(first, 58)
    story.fixed(58)
    assert story.runs == 1
