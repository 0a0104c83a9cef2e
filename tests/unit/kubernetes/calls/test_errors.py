"""What the cluster's refusals become in our words; answers.json holds answers of a real cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from spawnery.errors import (
    Ambiguous,
    EngineDenied,
    EngineError,
    InvalidSpec,
    SpawnerError,
    SpawnFailed,
)
from spawnery_kubernetes.calls.http_stream import error_of
from spawnery_kubernetes.errors import ApiError, Unanswered, in_words

ANSWERS = json.loads((Path(__file__).parent / "answers.json").read_text())
JOBS = "/apis/batch/v1/namespaces/jobs/jobs"


def answered(name: str, method: str = "POST") -> SpawnerError:
    """Put a recorded answer into words."""
    answer = ANSWERS[name]
    body = answer["body"] if isinstance(answer["body"], str) else json.dumps(answer["body"])
    error = error_of(answer["status"], {}, body.encode(), method=method, path=JOBS)
    return in_words(error, "create the Job a-1", job_id="1")


def failed(status: int, method: str, message: str = "it failed") -> SpawnerError:
    """Put a failure of the cluster itself into words."""
    return in_words(ApiError(status, message, method=method, path=JOBS), "do it")


@pytest.mark.parametrize(
    ("name", "kind", "cause", "retryable"),
    [
        ("bad token", EngineDenied, "engine.denied", False),
        ("anonymous", EngineDenied, "engine.denied", False),
        ("rbac list", EngineDenied, "engine.denied", False),
        ("rbac create", EngineDenied, "engine.denied", False),
        ("rbac log", EngineDenied, "engine.denied", False),
        ("rbac get", EngineDenied, "engine.denied", False),
        ("no namespace", EngineError, "namespace.not_found", False),
        ("terminating", EngineError, "namespace.not_found", False),
        ("quota", SpawnFailed, "quota", True),
        ("limitrange pod", SpawnFailed, "quota", False),
        ("psa pod", SpawnFailed, "security.forbidden", False),
        ("webhook denies", SpawnFailed, "security.forbidden", False),
        ("vap deny", SpawnFailed, "security.forbidden", False),
        ("webhook down", EngineError, "engine.error", True),
        ("bad name", InvalidSpec, "spec.invalid", False),
        ("bad restart", InvalidSpec, "spec.invalid", False),
        ("strict", InvalidSpec, "spec.invalid", False),
        ("exists", EngineError, "engine.error", False),
        ("patch conflict", EngineError, "engine.error", True),
        ("delete uid", EngineError, "engine.error", True),
        ("missing job", EngineError, "engine.error", False),
        ("method", EngineError, "engine.error", False),
        ("415", EngineError, "engine.error", False),
        ("too large", EngineError, "engine.error", False),
    ],
)
def test_answers(name: str, kind: type[SpawnerError], cause: str, retryable: bool) -> None:
    """Each refusal has its class, its cause, the cluster's own words and a next step."""
    found = answered(name)
    assert type(found) is kind
    assert (found.cause, found.retryable, found.job_id) == (cause, retryable, "1")
    assert found.message.startswith("cannot create the Job a-1: ")
    assert " ".join(ANSWERS[name]["body"]["message"].split())[:80] in found.message
    assert found.hint


def test_all_answers_are_looked_at() -> None:
    """An answer that is recorded is in the table above."""
    (mark,) = (item for item in test_answers.pytestmark if item.name == "parametrize")
    assert {row[0] for row in mark.args[1]} == set(ANSWERS)


def test_a_missing_right() -> None:
    """A missing right is told as the rule that is to be added, and where."""
    found = answered("rbac log")
    assert 'cannot get resource "pods/log"' in found.message
    assert found.hint == (
        "system:serviceaccount:jobs:poor needs this rule in a Role in the namespace jobs:\n"
        '- {apiGroups: [""], resources: ["pods/log"], verbs: ["get"]}'
    )
    assert 'apiGroups: ["batch"]' in str(answered("rbac create"))


def test_a_missing_right_in_all_namespaces() -> None:
    """What is in no namespace needs a ClusterRole."""
    text = 'User "u" cannot get resource "nodes" in API group "" at the cluster scope'
    assert "needs this rule in a ClusterRole" in str(failed(403, "GET", text))


@pytest.mark.parametrize("name", ["bad token", "anonymous", "rbac list", "rbac log"])
def test_of_rights(name: str) -> None:
    """These a server that has just started may say of anybody."""
    answer = ANSWERS[name]
    body = json.dumps(answer["body"]).encode()
    assert error_of(answer["status"], {}, body, method="GET", path=JOBS).of_rights


@pytest.mark.parametrize("name", ["quota", "psa pod", "webhook denies", "terminating", "exists"])
def test_not_of_rights(name: str) -> None:
    """These it says because of what was asked."""
    answer = ANSWERS[name]
    body = json.dumps(answer["body"]).encode()
    assert not error_of(answer["status"], {}, body, method="GET", path=JOBS).of_rights


def test_an_admission_plugin_that_starts() -> None:
    """Admission plugins forbid everything, too, until they have read what they need."""
    text = 'jobs.batch "j" is forbidden: not yet ready to handle request'
    assert ApiError(403, text).of_rights


def test_another_denial() -> None:
    """A 403 of which we know no reason is a denial with the cluster's words."""
    found = failed(403, "POST", "the Node authorizer says no")
    assert type(found) is EngineDenied
    assert "says no" in found.message
    assert "spawnery check" in (found.hint or "")


def test_next_steps_name_the_namespace() -> None:
    """The commands of the hints can be pasted."""
    assert "kubectl create namespace no-such-ns" in str(answered("no namespace"))
    assert "kubectl -n jobs describe quota" in str(answered("quota"))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("bad name", "metadata.name"),
        ("bad restart", "spec.template.spec.restartPolicy"),
        ("strict", "spec.template.spec.nope"),
    ],
)
def test_the_field(name: str, field: str) -> None:
    """What is malformed is named."""
    found = answered(name)
    assert isinstance(found, InvalidSpec)
    assert found.field == field


def test_what_we_ask_for_is_not_the_spec() -> None:
    """A malformed question of ours is no mistake of the spec."""
    assert type(failed(400, "GET")) is EngineError


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_the_cluster_fails(status: int) -> None:
    """After a failure nobody knows whether it was done, unless nothing was to be done."""
    assert type(failed(status, "GET", "etcdserver: leader changed")) is EngineError
    for method in ("POST", "PATCH", "DELETE"):
        found = failed(status, method, "etcdserver: leader changed")
        assert type(found) is Ambiguous
        assert "leader changed" in found.message
    assert failed(status, "GET").retryable


def test_too_many_requests() -> None:
    """429 may be tried again later, by whoever has more time."""
    found = failed(429, "POST", "the server has received too many requests")
    assert type(found) is EngineError
    assert found.retryable


def test_a_policy_against_a_change() -> None:
    """A policy that forbids what we do to a Job that runs is not a Job that failed to spawn."""
    found = answered("vap deny", "PATCH")
    assert type(found) is EngineError
    assert found.cause == "security.forbidden"


def test_long_texts_are_cut() -> None:
    """A message that quotes a whole object is cut."""
    assert len(str(failed(422, "POST", "x " * 5000))) < 1000


def test_no_reply_is_ambiguous() -> None:
    """A request without a reply may have been acted upon; a time limit has its own cause."""
    causes = [Unanswered("no", timed_out=late).cause for late in (True, False)]
    assert causes == ["engine.timeout", "engine.ambiguous"]
    assert issubclass(Unanswered, Ambiguous)


def test_nothing_is_lost_of_an_answer() -> None:
    """The error knows what was answered to what."""
    details: dict[str, Any] = {"name": "j"}
    error = ApiError(409, "a\n b", reason="Conflict", details=details, method="PUT", path=JOBS)
    assert str(error) == f"PUT {JOBS}: 409 a b"
    assert (error.reason, error.details) == ("Conflict", details)


@pytest.mark.parametrize(
    ("message", "other"),
    [
        (
            'cannot be fulfilled on Job "j": the UID in the precondition (a) does not match (b)',
            True,
        ),
        ("Precondition failed: UID in precondition: a, UID in object meta: b", True),
        ("the object has been modified; please apply your changes to the latest version", False),
    ],
)
def test_an_object_of_another_uid(message, other):
    """Both ways in which the API server says it; other conflicts are tried again."""
    error = ApiError(409, message, reason="Conflict", method="DELETE", path="/x")
    assert error.of_another_uid is other
