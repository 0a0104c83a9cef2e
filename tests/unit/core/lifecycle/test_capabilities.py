"""What a spec asks for is held against what the spawner declares (promise P5)."""

from __future__ import annotations

import attrs
import pytest
from attrs import frozen
from spawnery import JobSpec, Resources, SecretRef
from spawnery.errors import InvalidSpec, Unsupported
from spawnery.lifecycle.preparation.capabilities import (
    asked_for,
    own_options,
    refuse_unsupported,
    unused_options,
)

ASKED = [
    ({"image": "a"}, "image", "field.image"),
    ({"command": ["a"]}, "command", "field.command"),
    ({"args": []}, "args", "field.args"),
    ({"env": {"A": ""}}, "env", "field.env"),
    ({"secrets": {"A": SecretRef.literal("x")}}, "secrets", "field.secrets"),
    ({"network": "n"}, "network", "field.network"),
    ({"labels": {"a": "b"}}, "labels", "field.labels"),
    ({"workdir": "/"}, "workdir", "field.workdir"),
    ({"user": "1"}, "user", "field.user"),
    ({"deadline_seconds": 1}, "deadline_seconds", "field.deadline_seconds"),
    ({"start_deadline_seconds": 1}, "start_deadline_seconds", "field.start_deadline_seconds"),
    ({"retention_seconds": 1}, "retention_seconds", "field.retention_seconds"),
    ({"pull_policy": "never"}, "pull_policy", "field.pull_policy"),
    ({"security": "restricted"}, "security", "field.security.restricted"),
    ({"security": "baseline"}, "security", "field.security.baseline"),
    *[
        (
            {"resources": Resources(**{name: value})},
            f"resources.{name}",
            f"field.resources.{capability}",
        )
        for name, value, capability in [
            ("memory_request", "1Mi", "requests"),
            ("memory_limit", "1Mi", "limits"),
            ("cpu_request", "1", "requests"),
            ("cpu_limit", "1", "limits"),
            ("gpus", 1, "gpus"),
            ("ephemeral_storage", "1Gi", "ephemeral_storage"),
        ]
    ],
]
ENGINE_SECRET = JobSpec(secrets={"A": SecretRef.engine("db", "pw")})


def check(job, *capabilities, ignore=()):
    return refuse_unsupported(
        job, frozenset(capabilities), spawner="my-engine", ignore=frozenset(ignore)
    )


@pytest.mark.parametrize(("fields", "field", "capability"), ASKED, ids=[a[1] for a in ASKED])
def test_what_is_set_is_asked_for(fields, field, capability):
    """Each field that is set asks for its capability and for no other."""
    assert list(asked_for(JobSpec(**fields))) == [(field, capability)]


@pytest.mark.parametrize(("fields", "field", "capability"), ASKED, ids=[a[1] for a in ASKED])
def test_without_the_capability_it_is_refused_by_name(fields, field, capability):
    """Unsupported names field, spawner and the setting that lets it pass."""
    with pytest.raises(Unsupported) as caught:
        check(JobSpec(job_id="j", **fields))
    error = caught.value
    assert error.field == field
    assert (error.cause, error.job_id) == ("spec.unsupported", "j")
    assert "my-engine" in error.message
    assert error.hint is not None
    assert f"SPAWNERY_MY_ENGINE_IGNORE={capability.removeprefix('field.')}" in error.hint
    assert check(JobSpec(**fields), capability) == ()


@pytest.mark.parametrize(("fields", "field", "capability"), ASKED, ids=[a[1] for a in ASKED])
def test_the_operator_may_let_it_pass(fields, field, capability):
    """What the hint says to ignore is ignored, and told."""
    for name in {field, capability, capability.removeprefix("field.")}:
        assert check(JobSpec(**fields), ignore=[name]) == (field,)


def test_every_field_of_a_spec_is_held_against_capabilities():
    """No field of the model is forgotten: each asks for something when it is set."""
    asked = {field.partition(".")[0] for _, field, _ in ASKED}
    assert asked == {a.name for a in attrs.fields(JobSpec)} - {"job_id", "options"}
    resources = {f.removeprefix("resources.") for _, f, _ in ASKED if f.startswith("resources.")}
    assert resources == {a.name for a in attrs.fields(Resources)}


def test_nothing_set_asks_for_nothing():
    """An empty spec runs on any spawner; a retention of 0 is what every engine has."""
    assert check(JobSpec()) == ()
    assert check(JobSpec(retention_seconds=0, resources=Resources())) == ()


def test_an_engine_secret_needs_more_than_secrets():
    """A secret of the engine asks for both capabilities."""
    with pytest.raises(Unsupported) as caught:
        check(ENGINE_SECRET, "field.secrets")
    assert caught.value.field == "secrets.A"
    assert check(ENGINE_SECRET, "field.secrets", "secrets.engine") == ()


def test_ignoring_one_field_ignores_no_other():
    """Only what the operator named passes."""
    job = JobSpec(image="a", network="n")
    with pytest.raises(Unsupported) as caught:
        check(job, ignore=["image"])
    assert caught.value.field == "network"
    assert check(job, "field.network", ignore=["image"]) == ("image",)


@frozen(kw_only=True)
class Options:
    privileged: bool = False
    shm_size: str | None = None


def options(given, kind: type | None = Options):
    return own_options(JobSpec(options=given), spawner="docker", kind=kind)


def test_options_of_this_spawner_become_its_class():
    """Options are typed by the spawner; without any there are its defaults."""
    assert options({}) == Options()
    assert options({"docker": {}}) == Options()
    assert options({"docker": {"privileged": True}}) == Options(privileged=True)
    assert options({"kubernetes": {"x": 1}}) == Options()


def test_an_unknown_option_is_refused_with_the_near_miss():
    """A typing error is told, with what was meant."""
    with pytest.raises(InvalidSpec) as caught:
        options({"docker": {"privileges": True}})
    assert caught.value.field == "options.docker.privileges"
    assert "privileged" in str(caught.value)


def test_a_wrong_option_is_refused_by_name():
    """A value of the wrong kind names the option."""
    with pytest.raises(InvalidSpec) as caught:
        options({"docker": {"shm_size": ["64m"]}})
    assert caught.value.field == "options.docker.shm_size"


def test_options_of_a_spawner_without_options():
    """A spawner without options refuses them by name."""
    assert options({}, kind=None) is None
    with pytest.raises(InvalidSpec) as caught:
        options({"docker": {"a": 1}}, kind=None)
    assert caught.value.field == "options.docker.a"


def test_options_of_other_spawners_are_told_as_unused():
    """A spec may carry options of several engines; the unused ones are listed."""
    job = JobSpec(options={"docker": {"a": 1}, "kubernetes": {"b": 1, "c": 2}, "local": {}})
    assert unused_options(job, spawner="docker") == (
        "options.kubernetes.b",
        "options.kubernetes.c",
    )
