"""What people type is understood, or answered with the nearest that would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery_dispatcher.model.commands import (
    About,
    Fix,
    Help,
    ListJobs,
    Misunderstood,
    clean,
    near_project,
    parse,
)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("fix #58", Fix(issue=58)),
        ("#58", Fix(issue=58)),
        ("Fix #58 in Demo", Fix(issue=58, project="demo")),
        ("fix ticket #58 in my-project", Fix(issue=58, project="my-project")),
        ("<@U0BOT> fix #58", Fix(issue=58)),
        ("  fix\n#58  ", Fix(issue=58)),
        ("status", About(verb="status")),
        ("status demo-58-abc", About(verb="status", job_id="demo-58-abc")),
        ("logs of demo-58-abc", About(verb="logs", job_id="demo-58-abc")),
        ("log", About(verb="logs")),
        ("stop `demo-58-abc`", About(verb="cancel", job_id="demo-58-abc")),
        ("cancel", About(verb="cancel")),
        ("list", ListJobs()),
        ("HELP", Help()),
        ("", Help()),
        ("<@U0BOT>", Help()),
    ],
)
def test_commands(text, command):
    """Each form of each command, in any case, with mentions left out."""
    assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("fix 58", "fix #58"),
        ("fxi #58 in dmeo", "fix #58 in demo"),
        ("statsu", "status"),
        ("cancle demo-58-abc", "cancel demo-58-abc"),
        ("halp", "help"),
        ("fix it", "fix #58"),
        ("what is the weather", ""),
    ],
)
def test_near_misses(text, nearest):
    """What is not understood is answered with what may have been meant."""
    assert parse(text, projects=["demo"]) == Misunderstood(text=clean(text), nearest=nearest)


def test_text_that_would_deceive_is_made_visible():
    """Control, right-to-left and zero-width characters do not reach a message."""
    assert clean("fix \u202e#58\u200b\x07 in\tdemo") == "fix #58 in demo"


@given(st.text(max_size=3000))
def test_any_text_is_answered(text):
    """No text breaks the parser, and what it says back is short and printable."""
    command = parse(text, projects=["demo"])
    if isinstance(command, Misunderstood):
        assert len(command.text) <= 80
        assert command.text.isprintable()
    if isinstance(command, Fix):
        assert 0 < command.issue <= 999_999_999


@given(st.integers(min_value=1, max_value=999_999_999), st.sampled_from(["", " in demo"]))
def test_fix_round_trip(issue, where):
    """Every issue number is taken as it is."""
    assert parse(f"fix #{issue}{where}") == Fix(issue=issue, project=where[4:])


def test_no_issue_has_the_number_zero():
    """It is not understood, and what is proposed instead has another number."""
    assert parse("fix #0") == Misunderstood(text="fix #0", nearest="fix #58")


def test_a_megabyte_is_cut():
    """A huge message is not taken apart."""
    assert isinstance(parse("fix " * 300_000), Misunderstood)


def test_near_project():
    """The project whose name is nearest is suggested."""
    assert near_project("spawnry", ["spawnery", "demo"]) == "spawnery"
    assert near_project("zzz", ["spawnery", "demo"]) == ""
