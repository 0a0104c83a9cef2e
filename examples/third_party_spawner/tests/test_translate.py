"""From a job to what is sent to the host."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spawnery import Deadline, JobSpec, Secret, SpawnRequest
from spawnery.errors import InvalidSpec

from spawnery_shellhost.client import script
from spawnery_shellhost.translate import Card, environment, picture, program

TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))


def request(**fields) -> SpawnRequest:
    """Make a request for a job."""
    given = {
        "job": JobSpec(job_id="j1", command=("true",)),
        "spec_hash": "v1.abc",
        "env": {},
        "secrets": {},
        "network": None,
        "name": "kit-j1",
        "labels": {},
        "retention_seconds": 0,
        "grace_seconds": 1,
        "tail_bytes": 100,
        "deadline": Deadline.after(30),
        "created": lambda _engine_id: None,
    }
    return SpawnRequest(**given | fields)


@settings(deadline=None, max_examples=30)
@given(TEXT)
def test_any_value_reaches_the_program(value):
    """Quotes, newlines, dollars: the shell at the other end sees the value itself."""
    text = environment(request(env={"A": value}), "u1")
    done = subprocess.run(
        ["sh", "-s"],
        input=f'{text}\njob_env\nprintf %s "$A"\n'.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout == value.encode()


@settings(deadline=None, max_examples=30)
@given(TEXT.filter(lambda text: len(text) >= 4 and "*" not in text), TEXT, TEXT)
def test_a_secret_is_masked_on_the_host(secret, before, after):
    """Whatever a secret is made of, and wherever it stands, the host finds it in a tail."""
    text = f"{before}{secret}{after}"
    code = script("start", before=environment(request(secrets={"S": Secret(secret)}), "u1"))
    show = 'mask_secrets\nprintf %s "$text"\n'
    functions = code.partition("\nmain() {")[0]
    done = subprocess.run(
        ["sh", "-s"],
        input=f"{functions}\ntext={shlex.quote(text)}\n{show}".encode(),
        capture_output=True,
        check=True,
    )
    assert secret not in done.stdout.decode()


def test_a_job_needs_a_program():
    """Without command and args there is nothing to run."""
    with pytest.raises(InvalidSpec) as caught:
        program(JobSpec())
    assert caught.value.field == "command"


def test_a_plan_shows_no_secret():
    """What plan shows has every name and no secret value."""
    shown = picture(request(secrets={"TOKEN": Secret("hunter2-hunter2")}), argv=["sh"], root="/r")
    assert shown["env"] == {"TOKEN": "***"}
    assert "hunter2" not in repr(shown)


@given(st.dictionaries(TEXT, TEXT))
def test_a_card_is_one_line_and_comes_back(labels):
    """What is kept on the host is one line, and read back as it was."""
    card = Card(job_id="j1", labels=labels)
    assert "\n" not in card.dumps()
    assert Card.loads(card.dumps()) == card
