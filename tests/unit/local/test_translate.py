"""The record on disk and the supervisor's order."""

from __future__ import annotations

import json

from spawnery.contract import Deadline, SpawnRequest
from spawnery.local.settings import LocalSettings
from spawnery.local.system.clocks import Moment
from spawnery.local.translate import order_of, passed_env, record_of
from spawnery.model import JobSpec, Secret

NOW = Moment(wall=5.0, seconds=30.0, boot="b")
ENVIRON = {"PATH": "/bin", "LC_ALL": "C", "AWS_KEY": "x", "LANG": "de", "SPAWNERY_X": "y"}


def request(**fields):
    job = JobSpec(job_id="j", command=("a",), args=("b",), **fields)
    return SpawnRequest(
        job=job,
        spec_hash="v1.h",
        env={"PATH": "/own", "PLAIN": "plain-value"},
        secrets={"TOKEN": Secret("hidden-value")},
        network=None,
        name="agentsmith-j",
        labels={"l": "1"},
        retention_seconds=0,
        grace_seconds=3,
        tail_bytes=10,
        deadline=Deadline.after(1),
        created=lambda _: None,
    )


def test_the_record_has_no_value_of_any_variable():
    """Only their names."""
    record = record_of(request(), LocalSettings(), instance="i", now=NOW)
    text = json.dumps(record)
    assert "value" not in text
    assert record["env"] == ["PATH", "PLAIN", "TOKEN"]
    assert record["argv"] == ["a", "b"]
    assert (record["instance"], record["accepted_at"]) == ("i", 5.0)


def test_the_order_has_all_values_and_the_deadline_from_the_acceptance():
    """The job's own variables win over inherited ones."""
    asked = request(deadline_seconds=2.0)
    record = record_of(asked, LocalSettings(), instance="i", now=NOW)
    order = order_of(asked, record, ENVIRON, LocalSettings(), now=NOW)
    assert order["deadline"] == 32.0
    assert order["env"] == {
        b"PATH": b"/own",
        b"LC_ALL": b"C",
        b"LANG": b"de",
        b"PLAIN": b"plain-value",
        b"TOKEN": b"hidden-value",
        b"SPAWNERY_LOCAL_JOB": record["nonce"].encode(),
    }
    assert order["secrets"] == [b"hidden-value"]


def test_inherited_variables_are_an_allow_list():
    """Extended by globs."""
    assert set(passed_env(ENVIRON, LocalSettings())) == {"PATH", "LC_ALL", "LANG"}
    more = passed_env(ENVIRON, LocalSettings(pass_env=("AWS_*",)))
    assert set(more) == {"PATH", "LC_ALL", "LANG", "AWS_KEY"}
