"""From the command's exit code and what it printed to errors for people."""

from __future__ import annotations

import shlex
from typing import Final

from spawnery.errors import (
    Ambiguous,
    ConfigurationError,
    EngineDenied,
    EngineError,
    EngineUnreachable,
    NameConflict,
    SpawnFailed,
    SpecConflict,
)

from .settings import PREFIX

_EVIDENCE_CHARACTERS: Final = 400
_SETTING: Final = f"{PREFIX}COMMAND"
# What ssh, docker and sudo print (on stderr, exit code 255 or 1) when they do not let us in.
_DENIALS: Final = ("permission denied", "host key verification failed", "password is required")


def no_command() -> ConfigurationError:
    """Nobody has said which host."""
    msg = f"{_SETTING} is not set: there is no host to run jobs on"
    hint = (
        f"name a command that starts a POSIX shell there: export {_SETTING}='ssh HOST sh -s'\n"
        f"(or, for this machine: export {_SETTING}='sh -s')"
    )
    return ConfigurationError(msg, hint=hint)


def not_started(argv: list[str], error: OSError) -> EngineError:
    """Our own system does not run the command."""
    msg = f"the command {argv[0]!r} cannot be run here: {error.strerror}"
    kind = EngineDenied if isinstance(error, PermissionError) else EngineUnreachable
    return kind(msg, hint=f"install it, or change {_SETTING}", retryable=False)


def no_shell(argv: list[str], code: int | None, talk: bytes) -> EngineError:
    """Make the error of a command that ended, or stayed silent, before a shell answered."""
    evidence = talk.decode(errors="replace").strip()[-_EVIDENCE_CHARACTERS:]
    how = "nothing answered in time" if code is None else f"it ended with exit code {code}"
    msg = f"no shell answers through {shlex.join(argv)!r}: {how}"
    if evidence:
        msg += f": {evidence}"
    denied = any(word in evidence.lower() for word in _DENIALS)
    kind = EngineDenied if denied else EngineUnreachable
    return kind(msg, hint=f"try it by hand: echo 'echo it works' | {shlex.join(argv)}")


def broken(argv: list[str]) -> Ambiguous:
    """Make the error of a connection that ended before the answer was whole."""
    msg = f"the connection through {shlex.join(argv)!r} broke before the answer was whole"
    return Ambiguous(msg)


def busy(argv: list[str]) -> EngineUnreachable:
    """All allowed connections are in use until the limit."""
    msg = f"too many commands {shlex.join(argv)!r} at once: none became free in time"
    return EngineUnreachable(msg, hint=f"raise {PREFIX}CONNECTIONS")


def unexpected(verb: str, answer: list[str]) -> Ambiguous:
    """Make the error of an answer that no script of ours gives."""
    msg = f"the host answered {verb} with {' '.join(answer)[:_EVIDENCE_CHARACTERS]!r}"
    return Ambiguous(msg, hint="spawnery check")


def refused(what: str, evidence: str) -> EngineError:
    """Make the error of a host whose file system does not take what we write."""
    msg = f"the host does not {what}: {evidence.strip()[:_EVIDENCE_CHARACTERS]}"
    if "denied" in evidence.lower() or "read-only" in evidence.lower():
        hint = f"name a folder that can be written: export {PREFIX}FOLDER=..."
        return EngineDenied(msg, hint=hint)
    return EngineError(msg, hint="spawnery check")


def taken(name: str, owner: str, job_id: str) -> NameConflict:
    """Something that is not ours has the job's name."""
    msg = f"the name {name} on the host belongs to {owner}"
    return NameConflict(msg, job_id=job_id, hint="choose another job id")


def other_spec(name: str, found: str, wanted: str, job_id: str) -> SpecConflict:
    """Make the error of a name that a job of ours with another spec has."""
    msg = f"{name} exists with another spec (hash {found}, asked for {wanted})"
    hint = f"choose another job id, or remove that job: spawnery rm {job_id}"
    return SpecConflict(msg, job_id=job_id, hint=hint)


def no_setsid(job_id: str) -> SpawnFailed:
    """Make the error of a host without the utility that gives a job its process group."""
    msg = "the host has no setsid, without which a job could not be stopped as a whole"
    hint = "install it there (util-linux, or busybox)"
    return SpawnFailed(msg, cause="start.failed", job_id=job_id, hint=hint)
