"""From a request to a job spec: a person's words are arguments and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from spawnery.jobfile.json import spec_from_json, to_json
from spawnery.model.secret import SecretSource
from spawnery.model.spec_hash import spec_hash
from spawnery_dispatcher.config import Config, Project, Redis
from spawnery_dispatcher.model.jobspecs import (
    agent_address,
    filled,
    job_spec,
    labels_of,
    mark_of,
    mark_on,
    place_of,
)
from spawnery_dispatcher.model.models import Ask, Entry, Place, Platform, Question
from spawnery_dispatcher.model.traces import traceparent_of
from spawnery_dispatcher.store import codec

ASK = Ask(
    job_id="demo-58-abc",
    project="demo",
    issue=58,
    text="fix #58 in demo",
    user="U1",
    place=Place(platform=Platform.SLACK, channel="C1", thread="1700000000.000100", team="T1"),
    asked_at=datetime(2030, 1, 1, tzinfo=UTC),
    traceparent=traceparent_of(""),
)
CONFIG = Config(instance="i", redis=Redis(url="redis://:hunter22@redis:6379/0"))


def test_the_seed_agent_is_started_as_it_expects():
    """Arguments, environment and secrets of the agent protocol."""
    spec = job_spec(ASK, Project(image="agent:1"), CONFIG)
    assert spec.args == (
        *("run", "--headless", "--job-id", "demo-58-abc", "--redis-url", "redis:6379"),
        *("--platform", "slack", "--channel-id", "C1", "fix #58 in demo"),
    )
    assert spec.env["PROJECT"] == "demo"
    assert spec.env["CHANNEL_ID"] == "C1"
    assert spec.env["USER_ID"] == "U1"
    assert spec.env["AGENTSMITH_PLATFORM"] == "slack"
    assert spec.env["REDIS_URL"] == "redis:6379"
    assert spec.env["TRACEPARENT"] == ASK.traceparent
    token = spec.secrets["GITHUB_TOKEN"]
    assert (token.source, token.optional) == (SecretSource.ENVIRONMENT, True)


def test_the_same_request_is_the_same_spec():
    """A job that is spawned again after a crash, from its stored spec, is not another one."""
    spec = job_spec(ASK, Project(image="agent:1"), CONFIG)
    stored = spec_from_json(to_json(spec))
    assert spec_hash(stored) == spec_hash(spec)
    assert "hunter22" not in str(to_json(spec))


@pytest.mark.parametrize(
    ("url", "agent"),
    [
        ("redis://redis:6379/0", "redis:6379"),
        ("redis://user:pw@redis", "redis:6379"),
        ("redis://redis:6380/2", "redis://redis:6380/2"),
    ],
)
def test_agents_get_no_password(url, agent):
    """The address that agents get is the seed's form, without our credentials."""
    assert agent_address(Config(instance="i", redis=Redis(url=url))) == agent


@given(st.text(max_size=40))
def test_a_word_stays_one_word(text):
    """What a person says is neither split nor looked at for placeholders."""
    assert filled(("a", "{text}", "{job_id}{text}"), {"text": text, "job_id": "j"}) == (
        "a",
        text,
        "j" + text,
    )


def test_braces_that_are_none_of_ours_stay():
    """A command may hold braces."""
    assert filled(("{x}", "{", "a{job_id", "${HOME}"), {"job_id": "j"}) == (
        "{x}",
        "{",
        "a{job_id",
        "${HOME}",
    )


def test_the_conversation_is_found_again_on_the_object():
    """Labels bring channel and thread back after our memory is lost."""
    assert place_of(labels_of(ASK, mark_of(CONFIG, "a1"))) == ASK.place
    assert place_of({}) is None


def test_entries_round_trip():
    """What is remembered is read back as it was; newer fields are left out."""
    entry = Entry(ask=ASK, question=Question(question_id="q", text="?", choices=("a",)))
    assert codec.load({**codec.dump(entry), "later": "x", "version": "3"}) == entry
    assert codec.load(codec.dump(evolve(entry, question=None))).question is None


@pytest.mark.parametrize(
    "given_", ["", "00-0-0-01", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "x"]
)
def test_a_broken_trace_is_begun_anew(given_):
    """Only a valid trace context is handed on."""
    fresh = traceparent_of(given_)
    assert fresh != given_
    assert traceparent_of(fresh) == fresh


def test_a_job_carries_the_mark_of_its_dispatcher():
    """Another Redis is another mark, other credentials are not; a job without one has none."""
    spec = job_spec(ASK, Project(image="agent:1"), CONFIG, generation="a1")
    assert mark_on(spec.labels) == mark_of(CONFIG, "a1")
    other = evolve(CONFIG, redis=Redis(url="redis://elsewhere:6379/0"))
    assert mark_of(other, "a1").address != mark_of(CONFIG, "a1").address
    addresses = [f"user:{word}@redis:6379" for word in ("one", "two")]
    marks = [mark_of(evolve(CONFIG, redis=Redis(agent_url=url)), "") for url in addresses]
    assert marks[0] == marks[1] == mark_of(CONFIG, "")
    assert mark_on(job_spec(ASK, Project(image="agent:1"), CONFIG).labels) is None
