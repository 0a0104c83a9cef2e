"""Whose evidence it is: identity decides, and time only where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobState, JobStatus
from spawnery.contract import Record
from spawnery.lifecycle.decisions.evidence import concerns, is_named, same_object
from spawnery.model import JobGone

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RECORD = Record(job_id="a", name="p-a", spec_hash="h", intended_at=NOW)
SEEN = JobStatus(job_id="a", state=JobState.RUNNING, name="p-a")
EXACT = (timedelta(0), timedelta(0))
IDS = st.sampled_from([None, "x", "y"])


@pytest.mark.parametrize(
    ("record", "seen", "belongs"),
    [
        # (record id, engine id) of the record and of the evidence
        (("r", None), ("r", "e"), True),
        (("r", "e"), ("r", "e"), True),
        (("r", None), ("s", "e"), False),
        (("r", "e"), ("s", "e"), False),
        (("r", "e"), ("r", "f"), False),
        ((None, "e"), (None, "e"), True),
        ((None, "e"), (None, "f"), False),
        (("r", "e"), (None, "e"), True),
        (("r", "e"), (None, "f"), False),
        ((None, "e"), ("s", "e"), True),
        ((None, "e"), ("s", "f"), False),
        (("r", None), (None, None), True),
    ],
)
def test_identity_decides(record, seen, belongs):
    """The record id goes first, then the engine's id; what is not known decides nothing."""
    mine = evolve(RECORD, record_id=record[0], engine_id=record[1])
    status = evolve(SEEN, record_id=seen[0], engine_id=seen[1])
    gone = JobGone(job_id="a", record_id=seen[0], engine_id=seen[1])
    assert concerns(mine, status) is belongs
    assert concerns(mine, gone) is belongs


@pytest.mark.parametrize(
    ("accepted", "offset", "belongs"),
    [
        (NOW - timedelta(seconds=5), EXACT, False),
        (NOW + timedelta(seconds=5), EXACT, True),
        (NOW - timedelta(seconds=1), EXACT, True),
        # the engine's clock is an hour behind ours: so are its times
        (NOW - timedelta(minutes=59), (timedelta(hours=-1), timedelta(hours=-1)), True),
        (NOW - timedelta(minutes=61), (timedelta(hours=-1), timedelta(hours=-1)), False),
        # it may be up to ten seconds behind: nothing is decided within that
        (NOW - timedelta(seconds=9), (timedelta(seconds=-10), timedelta(0)), True),
        (NOW - timedelta(seconds=5), None, True),
        (None, EXACT, True),
    ],
)
def test_time_decides_where_nothing_else_is_known(accepted, offset, belongs):
    """An object that is older than the record is another one, outside of the clocks' error."""
    assert concerns(RECORD, evolve(SEEN, accepted_at=accepted), offset=offset) is belongs


@given(IDS, IDS, IDS, IDS)
def test_what_is_named_belongs(record_id, engine_id, seen_id, seen_engine):
    """Evidence that names its object and belongs to a record never differs in the record id."""
    record = evolve(RECORD, record_id=record_id, engine_id=engine_id)
    status = evolve(SEEN, record_id=seen_id, engine_id=seen_engine)
    if concerns(record, status) and is_named(record, status):
        assert record_id == seen_id or (engine_id == seen_engine and None in {record_id, seen_id})
    assert same_object(status, status)
