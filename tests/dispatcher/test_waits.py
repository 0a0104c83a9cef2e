"""People are told what a job waits for while its program cannot start."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from slack_story import told
from spawnery.model import EventKind, JobEvent, JobState, JobStatus
from spawnery_dispatcher.talk.replies import is_waiting
from spawnery_dispatcher.work import waits as module
from spawnery_dispatcher.work.waits import Waits

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REASON = "0/1 nodes are available: 1 Insufficient cpu"
PENDING = {"slow_start_seconds": 8.0, "pending_cause": "unschedulable", "pending_message": REASON}


def project(**options: object) -> str:
    """Lines of a project whose jobs the fake engine runs by a script."""
    script = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
    return f'command = ["sleep:3"]\nargs = []\nforward = []\noptions.fake = {{{script}}}'


@pytest.mark.engine("redis")
def test_what_it_waits_for_is_shown(tmp_path, shared_redis):
    """The job's own message and ``status`` say it, until the program runs."""
    with told(tmp_path, shared_redis, project=project(**PENDING)) as story:
        dispatcher = story.dispatcher(spawner="fake")
        dispatcher.start()
        story.ask(dispatcher, 58)
        story.shows(58, REASON)
        assert "[unschedulable]" in story.message(58).words()
        said = story.slack.say(f"status {story.job_id(58)}")
        story.slack.deliver(dispatcher.port, said)
        story.shows(58, "Running.")
        assert REASON not in story.message(58).words()
        assert any(REASON in text for text in story.replies(said))
        story.shows(58, "agent.silent")


@pytest.mark.engine("redis")
def test_the_end_says_what_it_waited_for(tmp_path, shared_redis):
    """A job that is given up before it could start says why it could not."""
    limits = "start_deadline_seconds = 4\n"
    script = limits + project(**{**PENDING, "slow_start_seconds": 600.0})
    with told(tmp_path, shared_redis, project=script) as story:
        dispatcher = story.dispatcher(spawner="fake")
        dispatcher.start()
        story.ask(dispatcher, 58)
        message = story.shows(58, "ran out of time")
        assert REASON in message.words()


@pytest.fixture
def at_once(monkeypatch):
    """No reason is too short to be told."""
    monkeypatch.setattr(module, "_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.0)


def status(job_id: str, state: JobState, message: str = "") -> JobStatus:
    """How a job stands."""
    return JobStatus(job_id=job_id, state=state, name=job_id, message=message or None)


def event(job_id: str, kind: EventKind, message: str = "") -> JobEvent:
    """Something that happened to a job."""
    return JobEvent(id="e", kind=kind, job_id=job_id, time=NOW, message=message)


@pytest.mark.usefixtures("at_once")
def test_each_reason_is_due_once():
    """A reason is shown once, a new one again, and its end clears it; of others nothing is due."""
    waits = Waits()
    waits.see(status("a", JobState.PENDING, "no room"))
    waits.see(status("b", JobState.PENDING, "no room"))
    assert waits.due(["a"]) == {"a": "It waits to start: no room"}
    assert waits.due(["a"]) == {}
    waits.see(status("a", JobState.PENDING, "no image"))
    assert list(waits.due(["a"])) == ["a"]
    waits.see(status("a", JobState.RUNNING))
    assert waits.due(["a"]) == {"a": ""}
    assert waits.due(["a"]) == {}
    assert is_waiting(waits.due(["b"])["b"])


@pytest.mark.usefixtures("at_once")
def test_a_pull_is_a_wait_until_the_job_is_spawned():
    """What the watch tells stays when the spawn returns; what the pull told does not."""
    waits = Waits()
    waits.job_event(event("a", EventKind.PROGRESS, "pulling busybox:1"))
    waits.see(status("b", JobState.PENDING, "no room"))
    assert waits.due("ab") == {
        "a": "It waits to start: pulling busybox:1",
        "b": "It waits to start: no room",
    }
    for job_id in "ab":
        waits.job_event(event(job_id, EventKind.SPAWNED))
    assert waits.due("ab") == {"a": ""}
    waits.show_again("b")
    assert list(waits.due("ab")) == ["b"]
    waits.forget("b")
    waits.show_again("b")
    assert waits.due("ab") == {}
