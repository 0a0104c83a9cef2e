"""Every refusal of a spec names the field; everything that is allowed is taken unchanged."""

from __future__ import annotations

import math
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spawnery import JobSpec, Resources, SecretRef
from spawnery.errors import InvalidSpec
from spawnery.model import Secret
from spawnery.model.validators import (
    MAX_SECONDS,
    MAX_TOTAL_BYTES,
    MAX_VALUE_BYTES,
    total_environment,
)

NUL = "a\0b"
SURROGATE = "a\ud800"
LONG = "x" * (MAX_VALUE_BYTES + 1)
MANY = ["y" * 100_000] * 11


def env_of(key, value="1"):
    return {key: value}


REFUSED = [
    # field of the spec, value, field that the error names
    ("job_id", "", "job_id"),
    ("job_id", "Upper", "job_id"),
    ("job_id", "a" * 53, "job_id"),
    ("job_id", "-a", "job_id"),
    ("job_id", "a\n", "job_id"),
    ("job_id", 7, "job_id"),
    ("job_id", None, "job_id"),
    ("image", "", "image"),
    ("image", "a b", "image"),
    ("image", "a\n", "image"),
    ("image", "-rm", "image"),
    ("image", NUL, "image"),
    ("image", 5, "image"),
    ("command", "echo hi", "command"),
    ("command", [], "command"),
    ("command", ["", "x"], "command[0]"),
    ("command", ["sh", 5], "command[1]"),
    ("command", ["sh", NUL], "command[1]"),
    ("command", ["sh", SURROGATE], "command[1]"),
    ("command", ["sh", LONG], "command[1]"),
    ("command", MANY, "command"),
    ("command", {"sh": 1}, "command"),
    ("args", "hi", "args"),
    ("args", [None], "args[0]"),
    ("args", MANY, "args"),
    ("env", ["A=1"], "env"),
    ("env", "A=1", "env"),
    ("env", env_of("1A"), "env"),
    ("env", env_of("A-B"), "env"),
    ("env", env_of("A\n"), "env"),
    ("env", env_of(""), "env name"),
    ("env", env_of(5), "env name"),
    ("env", env_of("JOB_ID"), "env.JOB_ID"),
    ("env", env_of("SPAWNERY_JOB_X"), "env.SPAWNERY_JOB_X"),
    ("env", env_of("A", 5), "env.A"),
    ("env", env_of("A", None), "env.A"),
    ("env", env_of("A", b"x"), "env.A"),
    ("env", env_of("A", NUL), "env.A"),
    ("env", env_of("A", SURROGATE), "env.A"),
    ("env", env_of("A", LONG), "env.A"),
    ("env", {f"A{n}": text for n, text in enumerate(MANY)}, "env"),
    ("secrets", "TOKEN", "secrets"),
    ("secrets", {"TOKEN": "plain-value"}, "secrets.TOKEN"),
    ("secrets", {"JOB_ID": SecretRef.environment("X")}, "secrets.JOB_ID"),
    ("secrets", {"A B": SecretRef.environment("X")}, "secrets"),
    ("secrets", {"A": SecretRef.literal(NUL)}, "secrets.A"),
    ("secrets", {"A": SecretRef.literal(LONG)}, "secrets.A"),
    ("secrets", {"A": SecretRef.literal(12345678)}, "secrets.A"),
    ("secrets", {"A": SecretRef.literal(b"bytes-value")}, "secrets.A"),
    ("resources", {"memory_limit": "1Gi"}, "resources"),
    ("network", "", "network"),
    ("network", "a b", "network"),
    ("network", "a/b", "network"),
    ("network", 5, "network"),
    ("labels", "a=b", "labels"),
    ("labels", {"spawnery.dev/instance": "x"}, "labels"),
    ("labels", {"a b": "x"}, "labels"),
    ("labels", {"": "x"}, "labels name"),
    ("labels", {5: "x"}, "labels name"),
    ("labels", {"UPPER.example/a": "x"}, "labels"),
    ("labels", {"a": "x y"}, "labels.a"),
    ("labels", {"a": "x" * 64}, "labels.a"),
    ("labels", {"a": 5}, "labels.a"),
    ("labels", {"a": "x\n"}, "labels.a"),
    ("workdir", "relative", "workdir"),
    ("workdir", "", "workdir"),
    ("workdir", "/a\0", "workdir"),
    ("user", "", "user"),
    ("user", "1:2:3", "user"),
    ("user", "1:", "user"),
    ("user", 1000, "user"),
    ("deadline_seconds", 0, "deadline_seconds"),
    ("deadline_seconds", -1, "deadline_seconds"),
    ("deadline_seconds", math.inf, "deadline_seconds"),
    ("deadline_seconds", math.nan, "deadline_seconds"),
    ("deadline_seconds", MAX_SECONDS + 1, "deadline_seconds"),
    ("deadline_seconds", 10**400, "deadline_seconds"),
    ("deadline_seconds", "60", "deadline_seconds"),
    ("deadline_seconds", True, "deadline_seconds"),
    ("start_deadline_seconds", 0, "start_deadline_seconds"),
    ("start_deadline_seconds", "soon", "start_deadline_seconds"),
    ("retention_seconds", -0.1, "retention_seconds"),
    ("retention_seconds", False, "retention_seconds"),
    ("pull_policy", "Always", "pull_policy"),
    ("pull_policy", [], "pull_policy"),
    ("security", "privileged", "security"),
    ("options", ["docker"], "options"),
    ("options", {"docker": 5}, "options.docker"),
    ("options", {"docker": {5: 6}}, "options.docker"),
    ("options", {5: {}}, "options name"),
    ("options", {"docker": {"x": object()}}, "options.docker.x"),
    ("options", {"docker": {"x": [{"y": {1}}]}}, "options.docker.x[0].y"),
    ("options", {"docker": {"x": {1: 2, "a": 3}}}, "options.docker.x"),
    ("options", {"docker": {"x": math.nan}}, "options.docker.x"),
    ("options", {"docker": {"x": Secret("hidden-value")}}, "options.docker.x"),
]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    REFUSED,
    ids=[f"{number}-{field}" for number, (field, _, _) in enumerate(REFUSED)],
)
def test_a_refusal_names_the_field(field, value, named):
    """A value that is not allowed: InvalidSpec with the field, in the message too, in few words."""
    with pytest.raises(InvalidSpec) as caught:
        JobSpec(**{field: value})
    error = caught.value
    assert error.field == named
    assert error.message.startswith(named)
    assert error.cause == "spec.invalid"
    assert len(str(error)) < 600
    assert not error.retryable


RESOURCES_REFUSED = [
    ("memory_limit", "lots", "resources.memory_limit"),
    ("memory_limit", 512, "resources.memory_limit"),
    ("memory_limit", "-1", "resources.memory_limit"),
    ("memory_request", "", "resources.memory_request"),
    ("cpu_limit", "1 core", "resources.cpu_limit"),
    ("cpu_request", 1.5, "resources.cpu_request"),
    ("ephemeral_storage", "x", "resources.ephemeral_storage"),
    ("gpus", 0, "resources.gpus"),
    ("gpus", -1, "resources.gpus"),
    ("gpus", 1.5, "resources.gpus"),
    ("gpus", True, "resources.gpus"),
    ("gpus", "all", "resources.gpus"),
]


@pytest.mark.parametrize(("field", "value", "named"), RESOURCES_REFUSED)
def test_a_refused_resource_is_named_with_its_path(field, value, named):
    """Fields of resources are named as a job file writes them."""
    with pytest.raises(InvalidSpec) as caught:
        Resources(**{field: value})
    assert caught.value.field == named
    assert named in caught.value.message


def test_a_request_above_its_limit_is_refused():
    """Quantities are compared as numbers, whatever their units."""
    with pytest.raises(InvalidSpec) as caught:
        Resources(memory_request="1Gi", memory_limit="1023Mi")
    assert caught.value.field == "resources.memory_request"
    assert Resources(memory_request="1Gi", memory_limit="1024Mi").memory_request == "1Gi"


def test_a_name_in_env_and_secrets_is_refused():
    """Which of the two would win is not guessed."""
    with pytest.raises(InvalidSpec) as caught:
        JobSpec(env={"A": "1"}, secrets={"A": SecretRef.environment("X")})
    assert caught.value.field == "env.A"


@pytest.mark.parametrize(
    "value", ["hunter2\0hunter2", "hunter2" * 40_000, 7777777, b"hunter2", "hunter2\ud800"]
)
def test_a_refused_secret_is_not_shown(value):
    """The error about a secret's value tells what is wrong with it and nothing of it."""
    with pytest.raises(InvalidSpec) as caught:
        JobSpec(secrets={"A": SecretRef.literal(value)})
    shown = f"{caught.value} {caught.value!r} {caught.value.hint}"
    assert "hunter2" not in shown
    assert "7777777" not in shown


def test_a_long_value_is_cut_in_the_message():
    """An error stays readable, whatever was given."""
    with pytest.raises(InvalidSpec) as caught:
        JobSpec(image=" " * 5000)
    assert len(caught.value.message) < 200
    assert "5002 characters" in caught.value.message


def test_options_that_are_too_deep_are_refused():
    """Nesting without end is refused before anything recurses into it."""
    deep: dict[str, object] = {}
    deep["again"] = deep
    with pytest.raises(InvalidSpec) as caught:
        JobSpec(options={"docker": deep})
    assert caught.value.field is not None
    assert caught.value.field.startswith("options.docker.again")


def test_the_environment_as_a_whole_is_bounded():
    """Values that are allowed one by one may be too many together, secrets included."""
    env = {f"A{n}": "x" * 100_000 for n in range(8)}
    secrets = {f"S{n}": Secret("y" * 100_000) for n in range(3)}
    total_environment(env, {}, job_id="a")
    with pytest.raises(InvalidSpec) as caught:
        total_environment(env, secrets, job_id="a")
    assert caught.value.job_id == "a"
    assert str(MAX_TOTAL_BYTES) in caught.value.message


ALLOWED = [
    {"image": "registry.example:5000/a/b@sha256:" + "0" * 64},
    {"command": ["sh", "-c", ""]},
    {"args": []},
    {"args": ["", "-x", "ü\n\t"]},
    {"env": {"_": "", "a1": "\n", "PATH": "/x", "LONG": "x" * MAX_VALUE_BYTES}},
    {"labels": {"a": "", "example.com/a.b_c-D": "A.b_c-9"}},
    {"workdir": "/"},
    {"user": "0:0"},
    {"user": "nobody"},
    {"deadline_seconds": 0.001, "start_deadline_seconds": MAX_SECONDS, "retention_seconds": 0},
    {"options": {"docker": {"a": [1, 2.5, None, True, {"b": "c"}]}, "x": {}}},
]


@pytest.mark.parametrize("fields", ALLOWED, ids=[next(iter(f)) for f in ALLOWED])
def test_what_is_allowed_is_kept_as_it_is(fields):
    """Allowed values are taken unchanged."""
    spec = JobSpec(**fields)
    for name, value in fields.items():
        kept = getattr(spec, name)
        assert (list(kept) if isinstance(kept, tuple) else kept) == value


any_text = st.text(st.characters(codec=None), max_size=40)


@given(any_text, any_text)
@example("A", "")
@example("JOB_ID", "x")
@example("SPAWNERY_JOB_", "x")
@example("A\n", "x")
def test_env_takes_exactly_what_a_program_can_get(key, value):
    """A variable is taken when its name is a shell's, not ours, and its value can be passed."""
    fine = (
        key != ""
        and set(key) <= set(string.ascii_letters + string.digits + "_")
        and key[0] not in string.digits
        and key != "JOB_ID"
        and not key.startswith("SPAWNERY_JOB_")
        and "\0" not in value
        and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)
    )
    if fine:
        assert JobSpec(env={key: value}).env == {key: value}
    else:
        with pytest.raises(InvalidSpec) as caught:
            JobSpec(env={key: value})
        assert caught.value.field is not None
        assert caught.value.field.startswith("env")


LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@given(st.text(st.sampled_from("aZ9._-/ \n"), max_size=66))
@example("a" * 63)
@example("a" * 64)
@example("a\n")
def test_label_values_follow_kubernetes(value):
    """A label value is taken exactly when Kubernetes would take it."""
    if value == "" or LABEL.fullmatch(value):
        assert JobSpec(labels={"a": value}).labels == {"a": value}
    else:
        with pytest.raises(InvalidSpec) as caught:
            JobSpec(labels={"a": value})
        assert caught.value.field == "labels.a"


@given(st.text(st.sampled_from("aZ9._-\n"), max_size=66))
def test_label_names_follow_kubernetes(key):
    """A label name without domain is taken exactly when Kubernetes would take it."""
    if LABEL.fullmatch(key):
        assert JobSpec(labels={key: "v"}).labels == {key: "v"}
    else:
        with pytest.raises(InvalidSpec) as caught:
            JobSpec(labels={key: "v"})
        assert caught.value.field is not None
        assert caught.value.field.startswith("labels")


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), any_text, st.binary()))
def test_nothing_but_invalid_spec_is_raised(value):
    """Whatever a field is given, it is taken or refused in our words."""
    fields = [
        "image", "command", "env", "secrets", "resources", "network", "labels", "workdir",
        "user", "deadline_seconds", "retention_seconds", "pull_policy", "security", "options",
    ]  # fmt: skip
    assert [field for field in fields if not _taken_or_refused(field, value)] == []


def _taken_or_refused(field, value):
    try:
        JobSpec(**{field: value})
    except InvalidSpec as error:
        return error.field is not None and error.field.startswith(field)
    return True
