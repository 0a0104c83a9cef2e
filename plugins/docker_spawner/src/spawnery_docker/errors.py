"""What the engine answers instead of what was asked for, in our words."""

from __future__ import annotations

from typing import Final

from spawnery.errors import Ambiguous, EngineDenied, EngineError, SpawnerError, SpawnFailed

_QUOTE_LIMIT: Final = 600
_NOT_FOUND: Final = 404
_FAILED: Final = 500


class ApiError(Exception):
    """The engine answered with an error status; stays inside of this package.

    Args:
        status: HTTP status.
        message: The engine's own text.
        method, path: The request, for a person.
    """

    def __init__(self, status: int, message: str, *, method: str, path: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.message = " ".join(message.split())[:_QUOTE_LIMIT]
        # Podman says 500 of a container that goes away while it looks.
        gone = status == _FAILED and "no such container" in self.message.lower()
        self.status = _NOT_FOUND if gone else status
        self.method = method
        self.path = path


class Unanswered(Ambiguous):
    """A request was sent, or a part of it, and no reply came."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        cause = "engine.timeout" if timed_out else None
        super().__init__(message, cause=cause, hint="is the engine alive? docker info")


def cancelled(*, doing: str, what: str, job_id: str) -> SpawnFailed:
    """Say that a job was stopped before it started, and in which step."""
    return SpawnFailed(f"cancelled while {doing} {what}", cause="cancelled", job_id=job_id)


def in_words(error: ApiError, doing: str, *, job_id: str | None = None) -> SpawnerError:
    """Say what an error status means that has no better explanation.

    Args:
        error: The engine's answer.
        doing: What was tried, for example ``create the container agentsmith-1``.
        job_id: The job that it is about.
    """
    evidence = f"the engine answered {error.status}: {error.message}"
    if error.status in {401, 403}:
        hint = f"a proxy before the engine must allow {error.method} {error.path}"
        msg = f"cannot {doing}: {evidence}"
        return EngineDenied(msg, hint=hint, job_id=job_id)
    if "no space left on device" in error.message:
        hint = "make room on the engine's disk: docker system df; docker system prune"
        msg = f"cannot {doing}: the engine's disk is full ({evidence})"
        return EngineError(msg, cause="engine.full", hint=hint, job_id=job_id, retryable=True)
    retryable = error.status == 429 or error.status >= 500  # noqa: PLR2004 - HTTP
    hint = "look into the engine's own log, for example: journalctl -u docker -n 50"
    return EngineError(f"cannot {doing}: {evidence}", hint=hint, job_id=job_id, retryable=retryable)
