"""The spec hash: what counts, what does not, and values that must never change within v1."""

from __future__ import annotations

import random
import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobSpec, Resources, SecretRef
from spawnery.model.names import check_label_value
from spawnery.model.spec_hash import spec_hash

FULL = {
    "image": "img:1",
    "command": ["sh", "-c"],
    "args": ["echo hi"],
    "env": {"A": "1", "B": "ü"},
    "secrets": {
        "T": SecretRef.environment("T"),
        "L": SecretRef.literal("v"),
        "E": SecretRef.engine("db", "pw", optional=True),
    },
    "resources": Resources(memory_limit="1Gi", cpu_request="250m", gpus=1),
    "network": "n",
    "labels": {"a": "b"},
    "workdir": "/w",
    "user": "1:1",
    "deadline_seconds": 60,
    "start_deadline_seconds": 1.5,
    "retention_seconds": 0,
    "pull_policy": "always",
    "security": "restricted",
    "options": {"docker": {"b": [1, True], "a": None}},
}
OTHER = {
    "image": "img:2",
    "command": ["sh"],
    "args": ["echo ho"],
    "env": {"A": "2", "B": "ü"},
    "secrets": {},
    "resources": Resources(memory_limit="2Gi"),
    "network": "m",
    "labels": {"a": "c"},
    "workdir": "/x",
    "user": "1:2",
    "deadline_seconds": 61,
    "start_deadline_seconds": 1.6,
    "retention_seconds": 1,
    "pull_policy": "never",
    "security": "baseline",
    "options": {"docker": {"b": [1, False], "a": None}},
}


@pytest.mark.parametrize(
    ("fields", "golden"),
    [
        ({}, "v1.44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e83"),
        (FULL, "v1.05d95a3651ee3afb2c598a1d1edc4e8a56c8e777396c2341"),
    ],
    ids=["empty", "full"],
)
def test_schema_v1_never_changes(fields, golden):
    """Objects in engines carry these hashes: another value needs another schema than v1."""
    assert spec_hash(JobSpec(**fields)) == golden


def test_the_pinned_spec_sets_every_field():
    """A field that is added to the model is added to the pinned spec as well."""
    assert {a.name for a in attrs.fields(JobSpec)} - {"job_id"} == set(FULL) == set(OTHER)


def test_a_hash_fits_a_label():
    """It goes on the engine's object as a label value."""
    found = spec_hash(JobSpec(**FULL))
    assert re.fullmatch(r"v1\.[0-9a-f]{48}", found)
    assert check_label_value(found, field="hash") == found


def test_the_job_id_does_not_count():
    """The hash says whether two specs under one id are the same."""
    assert spec_hash(JobSpec(job_id="a", **FULL)) == spec_hash(JobSpec(job_id="b", **FULL))


@pytest.mark.parametrize("name", sorted(FULL))
def test_every_field_counts(name):
    """Another value of any field is another job, and so is leaving it out."""
    same = spec_hash(JobSpec(**FULL))
    assert spec_hash(JobSpec(**FULL | {name: OTHER[name]})) != same
    assert spec_hash(JobSpec(**{k: v for k, v in FULL.items() if k != name})) != same


def test_secret_values_do_not_count():
    """A literal counts as a literal, whatever its value: hashes are shown and compared freely."""
    one = JobSpec(secrets={"A": SecretRef.literal("one-value")})
    two = JobSpec(secrets={"A": SecretRef.literal("two-value")})
    assert spec_hash(one) == spec_hash(two)


@pytest.mark.parametrize(
    "ref",
    [
        SecretRef.environment("X"),
        SecretRef.environment("A", optional=True),
        SecretRef.file("A"),
        SecretRef.engine("A", "k"),
        SecretRef.engine("A", "l"),
        SecretRef.literal("A"),
    ],
)
def test_the_source_of_a_secret_counts(ref):
    """Name, place and kind of a secret belong to the job."""
    plain = JobSpec(secrets={"A": SecretRef.environment("A")})
    assert spec_hash(JobSpec(secrets={"A": ref})) != spec_hash(plain)


@given(st.randoms())
def test_order_does_not_count(randomly: random.Random):
    """Fields, variables, labels and options may come in any order."""

    def shuffled(pairs):
        items = list(pairs.items())
        randomly.shuffle(items)
        return {k: shuffled(v) if isinstance(v, dict) else v for k, v in items}

    assert spec_hash(JobSpec(**shuffled(FULL))) == spec_hash(JobSpec(**FULL))


def test_the_order_of_arguments_counts():
    """Arguments are a list."""
    assert spec_hash(JobSpec(args=["a", "b"])) != spec_hash(JobSpec(args=["b", "a"]))


@pytest.mark.parametrize(
    "unset",
    [
        {"image": None, "deadline_seconds": None, "resources": None},
        {"env": {}, "secrets": {}, "labels": {}, "options": {}},
    ],
)
def test_unset_fields_do_not_count(unset):
    """A field added to the model later leaves the hashes of objects in engines alone."""
    assert spec_hash(JobSpec(command=["a"], **unset)) == spec_hash(JobSpec(command=["a"]))


@given(st.integers(1, 1000))
def test_equal_numbers_hash_alike(seconds):
    """A deadline from a command line is the one from a job file: 60.0 is 60."""
    whole = JobSpec(job_id="a", deadline_seconds=seconds)
    real = JobSpec(job_id="a", deadline_seconds=float(seconds))
    assert whole == real
    assert spec_hash(whole) == spec_hash(real)


@given(
    st.dictionaries(st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.text('ab=,"{}:\n', max_size=5))
)
def test_text_cannot_pass_for_structure(env):
    """Two environments hash alike only when they are alike."""
    moved = {key + "X": value for key, value in env.items()}
    assert (spec_hash(JobSpec(env=env)) == spec_hash(JobSpec(env=moved))) == (env == moved)
