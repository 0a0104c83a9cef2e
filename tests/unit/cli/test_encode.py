"""What JSON carries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from spawnery.cli.printing import encode
from spawnery.model import JobSpec, JobState, LogChunk, Outcome, Secret, SecretRef


def test_a_model_becomes_a_document() -> None:
    """Enumerations are text, times are ISO 8601, mappings are objects."""
    when = datetime(2026, 11, 23, tzinfo=UTC)
    found = encode.plain(
        Outcome(state=JobState.FAILED, cause="exit.nonzero", exit_code=3, started_at=when)
    )
    assert json.loads(json.dumps(found))["started_at"] == "2026-11-23T00:00:00+00:00"
    assert (found["state"], found["exit_code"], found["log_tail"]) == ("FAILED", 3, None)
    assert type(found["state"]) is str


def test_a_secret_does_not_show() -> None:
    """A literal in a spec comes out as the word for it."""
    spec = JobSpec(secrets={"A": SecretRef.literal("hunter2"), "B": SecretRef.environment("HOME")})
    found = encode.plain(spec)
    assert found["secrets"] == {"A": "literal", "B": "environment:HOME"}
    assert "hunter2" not in json.dumps(encode.plain([Secret("hunter2"), spec]))


def test_sets_paths_and_tuples() -> None:
    """Sets are sorted, so that the same is always the same."""
    assert encode.plain({"b", "a"}) == ["a", "b"]
    assert encode.plain((Path("/x"), 1, True)) == ["/x", 1, True]


def test_a_piece_of_text() -> None:
    """UTF-8 comes as text."""
    found = encode.log_line(LogChunk(stream="stdout", data="hé\n".encode(), cursor="7"))
    assert found == {"stream": "stdout", "text": "hé\n", "cursor": "7", "time": None}


def test_a_piece_that_is_no_text() -> None:
    """Other bytes come in base64, none is lost."""
    found = encode.log_line(LogChunk(stream="stderr", data=b"\xff\x00", cursor="7", lost=3))
    assert found["data_base64"] == "/wA="
    assert "text" not in found
    assert found["lost_bytes"] == 3


def test_a_gap_of_unknown_size() -> None:
    """The key is there, without a number, and the reason."""
    found = encode.log_line(LogChunk(stream="stdout", data=b"", cursor="7", lost_reason="old"))
    assert (found["lost_bytes"], found["lost_reason"]) == (None, "old")
