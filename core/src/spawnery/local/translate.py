"""What a request becomes on this machine: the record of the job, and the supervisor's order."""

from __future__ import annotations

import fnmatch
import os
import secrets
from collections.abc import Mapping
from typing import Any, Final

from spawnery.contract.requests import SpawnRequest
from spawnery.errors import InvalidSpec
from spawnery.local.settings import LocalSettings
from spawnery.local.system import processes
from spawnery.local.system.clocks import Moment
from spawnery.local.system.processes import MARKER
from spawnery.model.job import JobSpec
from spawnery.model.secret import Secret

SCHEMA: Final = 1
PASSED: Final = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
)
"""Variables of ours that each job inherits."""


def argv_of(job: JobSpec) -> list[str]:
    """Return the program and its arguments.

    Raises:
        InvalidSpec: The spec names no program.
    """
    argv = [*(job.command or ()), *(job.args or ())]
    if argv and argv[0]:
        return argv
    msg = "command: the local engine needs a program to run; the spec names none"
    hint = "for example: spawnery run -- echo hello"
    raise InvalidSpec(msg, field="command", hint=hint, job_id=job.job_id)


def record_of(
    request: SpawnRequest, settings: LocalSettings, *, instance: str, now: Moment
) -> dict[str, Any]:
    """Make what is kept of a job on disk: no value of any variable.

    Args:
        request: The job.
        settings: Ours.
        instance: The owner.
        now: The time of the deadlines starts here.
    """
    job = request.job
    return {
        "schema": SCHEMA,
        "instance": instance,
        "job_id": job.job_id,
        "name": request.name,
        "nonce": secrets.token_hex(16),
        "spec_hash": request.spec_hash,
        "labels": dict(request.labels),
        "argv": argv_of(job),
        "env": sorted({*request.env, *request.secrets}),
        "workdir": job.workdir,
        "machine": processes.machine(),
        **now.facts("accepted"),
        "deadline_seconds": job.deadline_seconds,
        "start_deadline_seconds": job.start_deadline_seconds,
        "retention_seconds": request.retention_seconds,
        "grace_seconds": request.grace_seconds,
        "tail_bytes": request.tail_bytes,
        "log_bytes": settings.log_max_bytes,
    }


def passed_env(environ: Mapping[str, str], settings: LocalSettings) -> dict[str, str]:
    """Return the variables of ours that a job inherits."""
    wanted = (*PASSED, *settings.pass_env)
    return {
        key: value
        for key, value in environ.items()
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in wanted)
    }


def order_of(
    request: SpawnRequest,
    record: Mapping[str, Any],
    environ: Mapping[str, str],
    settings: LocalSettings,
    *,
    now: Moment,
) -> dict[str, Any]:
    """Make the supervisor's order; it has the values and goes through a pipe only.

    Args:
        request: The job.
        record: What is kept of it on disk, maybe by an earlier caller.
        environ: Our own environment.
        settings: Which of it the job inherits.
        now: The order's deadline is of the clock of this boot.
    """
    hidden = {key: value for key, value in request.secrets.items() if isinstance(value, Secret)}
    env = {**passed_env(environ, settings), **request.env}
    env |= {key: secret.reveal() for key, secret in hidden.items()}
    env[MARKER] = record["nonce"]
    deadline = record["deadline_seconds"]
    return {
        "argv": [os.fsencode(word) for word in record["argv"]],
        "env": {os.fsencode(key): os.fsencode(value) for key, value in env.items()},
        "secrets": [os.fsencode(secret.reveal()) for secret in hidden.values()],
        "workdir": None if record["workdir"] is None else os.fsencode(record["workdir"]),
        "nonce": record["nonce"],
        "deadline": None if deadline is None else now.until(record, "accepted", deadline),
        "grace_seconds": record["grace_seconds"],
        "tail_bytes": record["tail_bytes"],
        "log_bytes": record["log_bytes"],
    }
