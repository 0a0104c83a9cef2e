"""What the cluster answers instead of what was asked for, in our words.

Statuses and reasons: the Kubernetes API conventions (metav1.Status) and its API server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from spawnery.errors import Ambiguous, EngineDenied, EngineError, InvalidSpec, SpawnerError

_QUOTE_LIMIT: Final = 800
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_INVALID: Final = 422
_TOO_MANY: Final = 429
_SERVER: Final = 500
_RBAC: Final = re.compile(
    r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
)
_NAMESPACE: Final = re.compile(r'namespaces "(?P<name>[^"]+)" not found')


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
        self.message = " ".join(message.split())[:_QUOTE_LIMIT]
        super().__init__(f"{method} {path}: {status} {self.message}")
        self.reason = reason
        self.details = details or {}
        self.retry_after = retry_after
        self.method = method
        self.path = path


class Unanswered(Ambiguous):
    """A request was sent, or a part of it, and no reply came."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        cause = "engine.timeout" if timed_out else None
        hint = "is the API server well? kubectl get --raw /readyz"
        super().__init__(message, cause=cause, hint=hint)


class Broken(Exception):
    """A stream broke before its end; it says nothing of what it told of."""


def in_words(error: ApiError, doing: str, *, job_id: str | None = None) -> SpawnerError:
    """Say what an error status means that has no better explanation.

    Args:
        error: The cluster's answer.
        doing: What was tried, for example ``create the Job agentsmith-1``.
        job_id: The job that it is about.
    """
    msg = f"cannot {doing}: the cluster answered {error.status}: {error.message}"
    if error.status == _UNAUTHORIZED:
        hint = "the credentials are not accepted (any more): kubectl auth whoami"
        return EngineDenied(msg, hint=hint, job_id=job_id)
    if error.status == _FORBIDDEN:
        return _forbidden(error, msg, doing, job_id)
    missing = _NAMESPACE.search(error.message)
    if error.status == _NOT_FOUND and missing:
        hint = f"kubectl create namespace {missing['name']}"
        return EngineError(msg, cause="namespace.not_found", hint=hint, job_id=job_id)
    if error.status == _INVALID:
        return _invalid(error, msg, job_id)
    return _other(error, msg, job_id)


def _forbidden(error: ApiError, msg: str, doing: str, job_id: str | None) -> SpawnerError:
    text = error.message
    if "exceeded quota" in text:
        hint = "wait until others end, ask for less, or raise it: kubectl describe resourcequota"
        return EngineError(msg, cause="quota", hint=hint, job_id=job_id, retryable=True)
    if "is being terminated" in text:
        hint = "the namespace is being deleted: name another one, or wait and create it again"
        return EngineError(msg, cause="namespace.not_found", hint=hint, job_id=job_id)
    rule = _RBAC.search(text)
    if rule is not None:
        hint = (
            "the Role of whoever we are lacks this rule:\n"
            f'- apiGroups: ["{rule["group"]}"]\n'
            f'  resources: ["{rule["resource"]}"]\n'
            f'  verbs: ["{rule["verb"]}"]'
        )
        told = f"cannot {doing}: the cluster does not let us ({text})"
        return EngineDenied(told, hint=hint, job_id=job_id)
    if "violates PodSecurity" in text or "denied the request" in text or "admission" in text:
        hint = "ask for what the namespace's policies allow, or another namespace"
        return EngineError(msg, cause="security.forbidden", hint=hint, job_id=job_id)
    return EngineDenied(msg, hint="spawnery check", job_id=job_id)


def _invalid(error: ApiError, msg: str, job_id: str | None) -> SpawnerError:
    causes = error.details.get("causes") or ()
    field = next((str(c["field"]) for c in causes if c.get("field")), None)
    hint = "look at what was sent: spawnery plan"
    return InvalidSpec(msg, field=field, hint=hint, job_id=job_id)


def _other(error: ApiError, msg: str, job_id: str | None) -> SpawnerError:
    retryable = error.status == _TOO_MANY or error.status >= _SERVER
    if "failed calling webhook" in error.message:
        hint = "an admission webhook does not answer: kubectl get validatingwebhookconfigurations"
    elif "etcd" in error.message:
        hint = "the cluster's store is not well: try again"
    else:
        hint = "kubectl get --raw /readyz tells how the API server is"
    return EngineError(msg, hint=hint, job_id=job_id, retryable=retryable)
