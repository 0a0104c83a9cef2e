"""Every error that Spawnery raises, in one tree.

An error carries what a person needs (the message says what was tried and what is wrong, the hint
says what to do next) and what a program needs (a stable ``cause`` code, ``retryable``, the
``job_id``). Exceptions of an engine's SDK never cross the boundary of a plugin.
"""

from __future__ import annotations


class SpawnerError(Exception):
    """Base of all errors.

    Args:
        message: What was tried and what is wrong, with the evidence.
        cause: Stable code, for example ``image.not_found``; the class's own when absent.
        hint: The next step for a person, a command to paste where there is one.
        job_id: The job that it is about, if any.
        retryable: Whether the same call may succeed later without a change by anybody.
    """

    cause: str = "spawner.error"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        cause: str | None = None,
        hint: str | None = None,
        job_id: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.job_id = job_id
        if cause is not None:
            self.cause = cause
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        """Message and hint, each on a line of its own."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InvalidSpec(SpawnerError, ValueError):
    """A job spec (or an argument of a verb) is not allowed; ``field`` names the part."""

    cause = "spec.invalid"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, job_id=job_id)
        self.field = field


class Unsupported(InvalidSpec):
    """The spec asks for something that the chosen spawner does not have (promise P5)."""

    cause = "spec.unsupported"


class ConfigurationError(SpawnerError):
    """A setting is unknown, malformed or missing."""

    cause = "config.invalid"


class PluginError(SpawnerError):
    """A spawner or an extension cannot be used as it is installed."""

    cause = "plugin.error"


class SpawnerNotFound(PluginError):
    """No installed distribution provides the spawner that was asked for."""

    cause = "plugin.not_found"


class SpawnerAmbiguous(PluginError):
    """Two distributions claim the same spawner name."""

    cause = "plugin.ambiguous"


class SpawnerLoadFailed(PluginError):
    """The distribution is installed, and importing its entry point failed."""

    cause = "plugin.load_failed"


class SpawnerIncompatible(PluginError):
    """The plugin was written for another version of the plugin contract."""

    cause = "plugin.incompatible"


class SpawnerInvalid(PluginError):
    """What the entry point names breaks the plugin contract."""

    cause = "plugin.invalid"


class EngineError(SpawnerError):
    """The engine refused or failed."""

    cause = "engine.error"


class EngineUnreachable(EngineError):
    """Nothing answers at the engine's address."""

    cause = "engine.unreachable"
    retryable = True


class EngineDenied(EngineError):
    """The engine, or the operating system before it, does not let us in."""

    cause = "engine.denied"


class Ambiguous(EngineError):
    """No reply came, so the engine may or may not have acted; only looking again tells.

    The facade resolves it by ``status``; callers see it only where that failed as well.
    """

    cause = "engine.ambiguous"
    retryable = True


class EngineTimeout(Ambiguous):
    """The engine did not answer within the time limit of the request."""

    cause = "engine.timeout"


class StateError(SpawnerError):
    """The state directory or the records in it cannot be used."""

    cause = "state.error"


class JobError(SpawnerError):
    """One job cannot be spawned, found or changed."""

    cause = "job.error"


class JobNotFound(JobError):
    """Neither an object in the engine nor a record has this job id."""

    cause = "job.not_found"


class SpecConflict(JobError):
    """The job id is taken by a job with another spec (promise P1)."""

    cause = "job.spec_conflict"


class NameConflict(JobError):
    """An object that is not ours has the name that the job needs (promise P1)."""

    cause = "job.name_conflict"


class JobRefused(JobError):
    """An extension refused the job, in words for a person."""

    cause = "job.refused"


class JobRunning(JobError):
    """The verb needs a job that has ended."""

    cause = "job.running"


class SpawnFailed(JobError):
    """The engine will not run this job; ``cause`` tells why (``image.not_found``, ...)."""

    cause = "spawn.failed"


class LogsUnavailable(JobError):
    """The log cannot be read: gone with the job, or kept where the engine cannot read it."""

    cause = "logs.unavailable"


class WaitTimeout(SpawnerError, TimeoutError):
    """The time limit of a wait is over; the job goes on."""

    cause = "wait.timeout"
    retryable = True


class StreamLost(SpawnerError):
    """A stream broke, which says nothing of the job; open it again from ``cursor``."""

    cause = "stream.lost"
    retryable = True

    def __init__(
        self, message: str, *, cursor: str | None = None, job_id: str | None = None
    ) -> None:
        super().__init__(message, job_id=job_id)
        self.cursor = cursor
