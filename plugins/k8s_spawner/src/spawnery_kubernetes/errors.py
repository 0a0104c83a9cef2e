"""What the cluster answers instead of what was asked for, in our words.

Statuses and reasons: the Kubernetes API conventions (metav1.Status); the texts are those of the API
server, its authorizer and its admission plugins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from spawnery.errors import (
    Ambiguous,
    EngineDenied,
    EngineError,
    InvalidSpec,
    SpawnerError,
    SpawnFailed,
)

from spawnery_kubernetes.objects.denials import KINDS, denial
from spawnery_kubernetes.objects.findings import Patience, kind_of
from spawnery_kubernetes.objects.rights import Right, rules_yaml

_QUOTE_LIMIT: Final = 800
_OTHER_UID: Final = re.compile(r"UID in (the )?precondition")
"""The API server says it in two ways (k8s.io/apiserver, registry/generic and storage)."""
_RBAC: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"'
    r' in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]+)")?'
)
_STARTING: Final = "not yet ready to handle request"
"""What an admission plugin says that has not read yet what it needs."""
_NO_NAMESPACE: Final = re.compile(r'^namespaces "(?P<name>[^"]+)" not found')
_UNKNOWN_FIELD: Final = re.compile(r'unknown field "(?P<field>[^"]+)"')
_IN_NAMESPACE: Final = re.compile(r"/namespaces/([^/?]+)/")
_PLAN: Final = "spawnery plan shows it, with the arguments of the job"
_UNWELL: Final = "how the API server is: kubectl get --raw /readyz"


class ApiError(Exception):
    """The cluster answered with an error status; stays inside of this package.

    Args:
        status: HTTP status.
        message: The cluster's own text.
        reason: metav1.Status' reason, such as ``AlreadyExists``.
        details: metav1.Status' details.
        retry_after: Seconds after which to ask again, where it said so.
        method, path: The request, for a person.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        method: str = "",
        path: str = "",
    ) -> None:
        self.status = status
        text = " ".join(message.split())
        self.message = text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}..."
        super().__init__(f"{method} {path}: {status} {self.message}")
        self.reason = reason
        self.details = details or {}
        self.retry_after = retry_after
        self.method = method
        self.path = path

    @property
    def of_rights(self) -> bool:
        """Whether we are refused for who we are or for what we may, or before that is known."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return True
        forbidden = self.status == HTTPStatus.FORBIDDEN
        return forbidden and bool(_RBAC.search(self.message) or _STARTING in self.message)

    @property
    def of_another_uid(self) -> bool:
        """Whether the object of that name is not the one that was meant.

        Other conflicts come from others who change the same object at the same time.
        """
        return self.status == HTTPStatus.CONFLICT and bool(_OTHER_UID.search(self.message))


class Unanswered(Ambiguous):
    """A request was sent, or a part of it, and no reply came."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        cause = "engine.timeout" if timed_out else None
        super().__init__(message, cause=cause, hint=_UNWELL)


class Broken(Exception):
    """A stream broke before its end; it says nothing of what it told of."""


def in_words(error: ApiError, doing: str, *, job_id: str | None = None) -> SpawnerError:
    """Say what an error status means that has no better explanation.

    Args:
        error: The cluster's answer.
        doing: What was tried, for example ``create the Job agentsmith-1``.
        job_id: The job that it is about.

    Returns:
        ``EngineDenied`` where we may not, ``SpawnFailed`` where quota or a policy forbids it,
        ``InvalidSpec`` where it is malformed, ``Ambiguous`` where the cluster failed while it may
        have acted, else ``EngineError``.
    """
    msg = f"cannot {doing}: the cluster answered {error.status}: {error.message}"
    if error.status == HTTPStatus.UNAUTHORIZED:
        hint = "our credentials are not accepted (any more): kubectl auth whoami"
        return EngineDenied(msg, hint=hint, job_id=job_id)
    if error.status == HTTPStatus.FORBIDDEN and (rule := _RBAC.search(error.message)):
        return EngineDenied(msg, hint=_rule_hint(rule), job_id=job_id)
    if kind_of(KINDS, error.message) is not None:
        return _not_admitted(error, doing, job_id)
    if error.status == HTTPStatus.FORBIDDEN:
        return EngineDenied(msg, hint="what we may: spawnery check", job_id=job_id)
    if missing := _NO_NAMESPACE.search(error.message):
        hint = f"kubectl create namespace {missing['name']}\nor name another one"
        return EngineError(msg, cause="namespace.not_found", hint=hint, job_id=job_id)
    malformed = error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    if malformed and error.method != "GET":
        hint = f"what was sent: {_PLAN}"
        return InvalidSpec(msg, field=_field(error), hint=hint, job_id=job_id)
    return _failed(error, msg, job_id)


def _rule_hint(rule: re.Match[str]) -> str:
    if rule["user"] == "system:anonymous":
        return "our credentials do not reach the cluster: kubectl auth whoami"
    where = f"a Role in the namespace {rule['namespace']}" if rule["namespace"] else "a ClusterRole"
    lines = rules_yaml([Right(rule["group"], rule["resource"], rule["verb"])])
    return f"{rule['user']} needs this rule in {where}:\n{lines}"


def _not_admitted(error: ApiError, doing: str, job_id: str | None) -> SpawnerError:
    """Say which admission plugin was against it; nothing was created or changed then."""
    where = _IN_NAMESPACE.search(error.path)
    found = denial(error.message, where[1] if where else "default", _PLAN)
    about_us = error.method != "POST" or found.cause.startswith(("engine.", "namespace."))
    kind: type[SpawnerError] = EngineError if about_us else SpawnFailed
    return kind(
        f"cannot {doing}: {found.message}",
        cause=found.cause,
        hint=found.hint,
        job_id=job_id,
        retryable=found.patience is not Patience.NONE,
    )


def _field(error: ApiError) -> str | None:
    causes = error.details.get("causes") or ()
    named = next((str(cause["field"]) for cause in causes if cause.get("field")), None)
    unknown = _UNKNOWN_FIELD.search(error.message)
    return named or (unknown["field"] if unknown else None)


def _failed(error: ApiError, msg: str, job_id: str | None) -> SpawnerError:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if error.method != "GET":
            return Ambiguous(msg, hint=_UNWELL, job_id=job_id)
        return EngineError(msg, hint=_UNWELL, job_id=job_id, retryable=True)
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        hint = "too many requests at once, ours or others': try again later"
        return EngineError(msg, hint=hint, job_id=job_id, retryable=True)
    if error.reason == "Conflict":
        hint = "something else changed it at the same time: try again"
        return EngineError(msg, hint=hint, job_id=job_id, retryable=True)
    gone = error.status == HTTPStatus.GONE
    return EngineError(msg, hint="spawnery check", job_id=job_id, retryable=gone)
