"""Specs and results as JSON, and back."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import attrs
import jsonschema
import pytest
from commands import checked
from hypothesis import given, settings
from hypothesis import strategies as st
from spawnery.contract import CheckItem
from spawnery.errors import InvalidSpec
from spawnery.jobfile.json import spec_from_json, structure_options, to_json
from spawnery.jobfile.reader import json_schema
from spawnery.model import (
    EventKind,
    JobEvent,
    JobHandle,
    JobSpec,
    JobState,
    JobStatus,
    Outcome,
    PullPolicy,
    Resources,
    SecretRef,
    Security,
)

SCHEMA = jsonschema.Draft202012Validator(json_schema())
PLAIN = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.text(PLAIN, max_size=20)
WORDS = st.text(PLAIN, min_size=1, max_size=20)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(
    lambda name: name != "JOB_ID" and not name.startswith("SPAWNERY_JOB_")
)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
SECONDS = st.one_of(st.integers(1, 10**6), st.floats(0.001, 10**6))
MEMORY = st.from_regex(r"[1-9][0-9]{0,3}(Mi|Gi)", fullmatch=True)
CORES = st.from_regex(r"[1-9][0-9]{0,3}(m|k)?", fullmatch=True)
JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=3,
)
SECRETS = st.one_of(
    st.builds(SecretRef.environment, NAMES, optional=st.booleans()),
    st.builds(SecretRef.file, WORDS, optional=st.booleans()),
    st.builds(SecretRef.engine, WORDS, WORDS, optional=st.booleans()),
)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Leave a field out now and then."""
    return st.one_of(st.none(), values)


RESOURCES = st.builds(
    Resources,
    memory_limit=maybe(MEMORY),
    cpu_request=maybe(CORES),
    gpus=maybe(st.integers(1, 8)),
    ephemeral_storage=maybe(MEMORY),
)
SPECS = st.builds(
    JobSpec,
    job_id=LABELS,
    image=maybe(st.from_regex(r"[a-z]{1,9}(:[a-z0-9]{1,5})?", fullmatch=True)),
    command=maybe(st.lists(WORDS, min_size=1, max_size=3)),
    args=maybe(st.lists(TEXTS, max_size=3)),
    env=st.dictionaries(NAMES.map(lambda name: f"E{name}"), TEXTS, max_size=3),
    secrets=st.dictionaries(NAMES.map(lambda name: f"S{name}"), SECRETS, max_size=3),
    resources=maybe(RESOURCES),
    network=maybe(LABELS),
    labels=st.dictionaries(LABELS, LABELS, max_size=2),
    workdir=maybe(TEXTS.map(lambda text: f"/{text}")),
    user=maybe(st.sampled_from(["1000", "1000:1000", "somebody"])),
    deadline_seconds=maybe(SECONDS),
    start_deadline_seconds=maybe(SECONDS),
    retention_seconds=maybe(st.one_of(st.just(0), SECONDS)),
    pull_policy=maybe(st.sampled_from(PullPolicy)),
    security=maybe(st.sampled_from(Security)),
    options=st.dictionaries(LABELS, st.dictionaries(WORDS, JSON_VALUES, max_size=2), max_size=2),
)


def refused(data: Any) -> InvalidSpec:
    """Return how a spec in JSON is refused."""
    with pytest.raises(InvalidSpec) as caught:
        spec_from_json(data)
    return caught.value


@given(SPECS)
def test_a_spec_survives_the_round_trip(spec: JobSpec) -> None:
    """To JSON text and back it is the same spec, and the schema accepts it."""
    data = json.loads(json.dumps(to_json(spec)))
    assert spec_from_json(data) == spec
    SCHEMA.validate(data)


@settings(max_examples=40)
@given(SPECS)
def test_unset_fields_are_left_out(spec: JobSpec) -> None:
    """What is unset or empty is not in the JSON form, and nothing in it is null."""
    data = to_json(spec)
    unset = {a.name for a in attrs.fields(JobSpec) if getattr(spec, a.name) in (None, {})}
    assert data.keys() == {a.name for a in attrs.fields(JobSpec)} - unset
    assert None not in data.values()


def test_a_literal_secret_is_never_written() -> None:
    """Its place is kept and its value is not; such a spec cannot be read by mistake."""
    spec = JobSpec(secrets={"TOKEN": SecretRef.literal("hunter2-hunter2")})
    data = to_json(spec)
    assert data["secrets"] == {"TOKEN": {"literal": None}}
    assert "hunter2" not in json.dumps(data)
    error = refused(data)
    assert error.field == "secrets.TOKEN"
    assert "left out" in error.message


@pytest.mark.parametrize(
    "given_value",
    [
        "hunter2-hunter2",
        ["hunter2-hunter2"],
        {"hunter2-hunter2": 1},
        {"literal": ["hunter2-hunter2"]},
        {"literal": "hunter2-hunter2", "optional": True},
        {"literal": "hunter2-hunter2", "environment": "A"},
        {"literal": "hunter2-hunter2\0"},
        {"file": ["hunter2-hunter2"]},
        {"engine": "hunter2-hunter2"},
    ],
)
def test_a_refused_secret_is_not_shown(given_value: Any) -> None:
    """What stands where a secret belongs may be the secret: no error repeats it."""
    error = refused({"secrets": {"TOKEN": given_value}})
    assert error.field == "secrets.TOKEN"
    assert "hunter2" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("data", "ref"),
    [
        ({"environment": "A"}, SecretRef.environment("A")),
        ({"environment": "A", "optional": True}, SecretRef.environment("A", optional=True)),
        ({"file": "/run/x", "optional": False}, SecretRef.file("/run/x")),
        ({"engine": {"name": "n", "key": "k"}}, SecretRef.engine("n", "k")),
        ({"literal": ""}, SecretRef.literal("")),
    ],
)
def test_the_forms_of_a_secret(data: Any, ref: SecretRef) -> None:
    """Four sources, three of which may be missing."""
    assert spec_from_json({"secrets": {"A": data}}).secrets["A"] == ref


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({"imge": "x"}, "imge", "did you mean image?"),
        ({"imge": "x", "command": [1]}, "imge", "no such field"),
        ({"nothing-like-it": 1}, "nothing-like-it", "there are: job_id, image"),
        ({"resources": {"cpu_limti": "1"}}, "resources.cpu_limti", "did you mean cpu_limit?"),
        ({"resources": "1Gi"}, "resources", "mapping"),
        ({"resources": {"cpu_limit": True}}, "resources.cpu_limit", "text"),
        ({"resources": {"gpus": 1.5}}, "resources.gpus", "whole number"),
        ({"command": "ls -l"}, "command", '["sh", "-c", "echo hi"]'),
        ({"command": [True]}, "command[0]", "quote it"),
        ({"args": ["a", 1]}, "args[1]", "quote it"),
        ({"env": {"A": 1}}, "env.A", "quote it"),
        ({"env": {"A": None}}, "env.A", "must be text"),
        ({"env": {False: "x"}}, "env", "quote the name"),
        ({"env": ["A=1"]}, "env", "mapping"),
        ({"labels": {"example.com/a": 1}}, "labels.example.com/a", "must be text"),
        ({"pull_policy": "sometimes"}, "pull_policy", "always, if-not-present, never"),
        ({"deadline_seconds": "soon"}, "deadline_seconds", "1h30m"),
        ({"deadline_seconds": 10**400}, "deadline_seconds", "between 0 and"),
        ({"deadline_seconds": True}, "deadline_seconds", "seconds"),
        ({"options": {"docker": [1]}}, "options.docker", "mapping"),
        ({"options": {"docker": {"a": [{1}]}}}, "options.docker.a[0]", "a list or a mapping"),
        ({"options": {"docker": {"a": float("nan")}}}, "options.docker.a", "nan"),
        ({"job_id": "A_B"}, "job_id", "lower-case"),
    ],
)
def test_a_refusal_names_the_field(data: Any, field: str, words: str) -> None:
    """The dotted field, what is allowed, and the near miss of an unknown name."""
    error = refused(data)
    assert error.field == field
    assert error.message.startswith(f"{field}:")
    assert words in str(error)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_only_a_mapping_is_a_spec(data: Any) -> None:
    """Anything else is refused in words."""
    assert "mapping" in refused(data).message


def test_null_is_unset() -> None:
    """In a spec and in its resources, null means that nobody says."""
    fields = {a.name: None for a in attrs.fields(JobSpec)}
    spec = spec_from_json(fields | {"job_id": "a", "resources": {"gpus": None}})
    assert spec == JobSpec(job_id="a", resources=Resources())


def test_a_refusal_tells_the_job() -> None:
    """Where the job id can be read, the error carries it."""
    assert refused({"job_id": "mine", "imge": "x"}).job_id == "mine"


class Mode(enum.Enum):
    """An enumeration that is no text."""

    FAST = "fast"
    SLOW = "slow"


class Level(enum.IntEnum):
    """An enumeration of numbers."""

    LOW = 1


@attrs.frozen(kw_only=True)
class Mount:
    """A part of the options."""

    source: str
    read_only: bool = True


def _no_root(_instance: object, _attribute: Any, value: str) -> None:
    if value == "root":
        message = "name: must not be root"
        raise InvalidSpec(message, field="name")


@attrs.frozen(kw_only=True)
class Options:
    """Options as a spawner may have them."""

    name: str = attrs.field(default="x", validator=_no_root)
    init: bool | None = None
    hosts: tuple[str, ...] = ()
    sizes: list[int] = attrs.field(factory=list)
    extra: Mapping[str, str] = attrs.field(factory=dict)
    mode: Mode = Mode.FAST
    policy: PullPolicy | None = None
    level: Level | None = None
    count: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    ratio: float | None = None
    either: str | int | None = None
    letter: Literal["a", "b"] = "a"
    mounts: tuple[Mount, ...] = ()
    patch: Any = None


def test_options_are_made_of_json() -> None:
    """Each kind of field that a spawner may use."""
    found = structure_options(
        {
            "name": "n",
            "init": True,
            "hosts": ["a", "b"],
            "sizes": [1, 2],
            "extra": {"a": "b"},
            "mode": "slow",
            "policy": "never",
            "level": 1,
            "count": 2,
            "ratio": 1,
            "either": 3,
            "letter": "b",
            "mounts": [{"source": "/a", "read_only": False}],
            "patch": {"spec": [{"a": None}]},
        },
        Options,
        field="options.docker",
    )
    assert found == Options(
        name="n",
        init=True,
        hosts=("a", "b"),
        sizes=[1, 2],
        extra={"a": "b"},
        mode=Mode.SLOW,
        policy=PullPolicy.NEVER,
        level=Level.LOW,
        count=2,
        ratio=1,
        either=3,
        letter="b",
        mounts=(Mount(source="/a", read_only=False),),
        patch={"spec": [{"a": None}]},
    )


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("nmae", "x", "nmae"),
        ("name", 1, "name"),
        ("name", "root", "name"),
        ("init", "yes", "init"),
        ("init", 1, "init"),
        ("hosts", "abc", "hosts"),
        ("hosts", ["a", 1], "hosts[1]"),
        ("sizes", ["1"], "sizes[0]"),
        ("extra", {"a": 1}, "extra.a"),
        ("extra", [1], "extra"),
        ("mode", "medium", "mode"),
        ("policy", "sometimes", "policy"),
        ("level", 2, "level"),
        ("count", 0, "count"),
        ("count", "2", "count"),
        ("count", True, "count"),
        ("ratio", "1", "ratio"),
        ("either", [], "either"),
        ("letter", "c", "letter"),
        ("mounts", [{"read_only": True}], "mounts[0].source"),
        ("mounts", [{"source": "/", "ro": True}], "mounts[0].ro"),
        ("patch", {"a": object()}, "patch.a"),
    ],
)
def test_a_wrong_option_is_refused(key: str, value: Any, field: str) -> None:
    """Nothing is converted behind one's back, and the error names the option as the spec does."""
    with pytest.raises(InvalidSpec) as caught:
        structure_options({key: value}, Options, field="options.docker")
    assert caught.value.field == f"options.docker.{field}"
    assert caught.value.message.startswith(f"options.docker.{field}:")


def test_results_become_json() -> None:
    """Times, enumerations and nested results, as JSON can carry them."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    outcome = Outcome(state=JobState.FAILED, cause="exit.nonzero", exit_code=3, finished_at=moment)
    status = JobStatus(job_id="a", state=JobState.FAILED, name="x-a", outcome=outcome)
    event = JobEvent(id="1", kind=EventKind.FINISHED, job_id="a", time=moment, outcome=outcome)
    everything = [status, event, JobHandle(job_id="a", name="x-a"), CheckItem(name="socket")]
    found = json.loads(json.dumps(to_json(everything)))
    assert found == to_json(everything)
    assert found[0]["outcome"]["finished_at"] == "2026-01-02T03:04:05+00:00"
    assert found[0]["state"] == found[1]["outcome"]["state"] == "FAILED"
    assert (found[1]["kind"], found[2]["created"], found[3]["level"]) == ("finished", True, "ok")


def test_writing_needs_no_cattrs() -> None:
    """A result is written without loading what only reading needs."""
    code = "import sys, spawnery.jobfile.json as s; s.to_json({}); print('cattrs' in sys.modules)"
    assert checked(sys.executable, "-c", code).strip() == "False"
