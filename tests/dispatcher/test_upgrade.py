"""A dispatcher of the version before and one of this version, on one Redis and one engine."""

from __future__ import annotations

import os
import secrets
import sys

import pytest
from commands import checked
from old_version import old_version
from slack_story import readiness, told

pytestmark = [pytest.mark.engine("redis"), pytest.mark.timeout(600)]

MANY = "[limits]\nper_channel = 100"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Variables under which a dispatcher is one of the version before."""
    return old_version(tmp_path_factory.mktemp("old"))


@pytest.fixture
def story(tmp_path, shared_redis):
    """A conversation."""
    with told(tmp_path, shared_redis) as made:
        yield made


def both(story, old):
    """Make one dispatcher of each version, of one instance."""
    instance = {"DISPATCHER_INSTANCE": f"i{secrets.token_hex(4)}"}
    before = story.dispatcher("before", extra=MANY, environ={**instance, **old})
    after = story.dispatcher("after", extra=MANY, environ=instance)
    return before, after


def test_the_version_before_is_what_runs(old):
    """The program of the tests below is the old one."""
    script = "import spawnery, spawnery_dispatcher; print(spawnery.__file__)"
    path = checked(sys.executable, "-c", script, env=old)
    assert path.startswith(old["PYTHONPATH"].split(os.pathsep, maxsplit=1)[0])


def test_jobs_of_the_version_before_are_followed(story, old):
    """What the old one spawned goes on under the new one, and each job runs and ends once."""
    before, after = both(story, old)
    before.start()
    story.ask(before, 58)
    story.asks(58)
    after.start()
    story.ask(after, 60)
    story.ask(before, 63)
    for issue in (60, 63):
        story.asks(issue)
    before.kill()
    for issue in (58, 60, 63):
        story.press(after, issue)
        story.fixed(issue)
    assert story.runs == 3
    assert readiness(after)[1]["memory"] == "kept"


def test_both_work_side_by_side(story, old):
    """Each takes what the other accepted, and neither ends or repeats the other's jobs."""
    before, after = both(story, old)
    after.start()
    before.start()
    issues = (58, 60, 63, 64)
    for issue in issues:
        story.ask(before if issue % 2 else after, issue)
        story.asks(issue)
    for issue in issues:
        story.press(after if issue % 2 else before, issue)
        story.fixed(issue)
    assert story.runs == len(issues)


def test_the_upgrade_is_taken_back(story, old):
    """What the new one spawned goes on under the old one."""
    before, after = both(story, old)
    after.start()
    story.ask(after, 58)
    story.asks(58)
    after.kill()
    before.start()
    story.press(before, 58)
    story.fixed(58)
    assert story.runs == 1


def test_a_job_is_cancelled_by_the_other_version(story, old):
    """The reason of a kill holds for both: the job is cancelled, whoever ends it."""
    before, after = both(story, old)
    before.start()
    after.start()
    for issue, taker, canceller in ((58, before, after), (60, after, before)):
        story.ask(taker, issue)
        story.asks(issue)
        story.slack.deliver(canceller.port, story.slack.say(f"cancel {story.job_id(issue)}"))
        story.shows(issue, ": cancelled")
