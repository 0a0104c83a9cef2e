"""From a request to an object of the fake engine: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import asdict

from spawnery.contract.requests import PlanRequest, SpawnRequest
from spawnery.errors import SpawnFailed
from spawnery.model.secret import MASK, Secret
from spawnery.testing.fake.job import FakeJob
from spawnery.testing.fake.options import FakeOptions
from spawnery.testing.fake.program import UnknownProgram, parse

MISSING: Final = "missing"
"""An image or a network whose name begins so does not exist."""


def job_of(request: SpawnRequest, *, instance: str, auto_remove: bool) -> FakeJob:
    """Make the object that a request asks for, without an id yet."""
    spec = request.job
    secrets = {
        key: value.reveal() for key, value in request.secrets.items() if isinstance(value, Secret)
    }
    return FakeJob(
        name=request.name,
        engine_id="",
        created_at=0.0,
        job_id=spec.job_id,
        instance=instance,
        spec_hash=request.spec_hash,
        labels=dict(request.labels),
        words=words_of(request),
        env={**request.env, **secrets},
        secret_keys=list(secrets),
        carried=carried_by(request),
        limits={
            "deadline": spec.deadline_seconds,
            "start_deadline": spec.start_deadline_seconds,
            "retention": request.retention_seconds,
        },
        script=asdict(request.options or FakeOptions()),
        auto_remove=auto_remove and request.retention_seconds == 0,
        tail_bytes=request.tail_bytes,
    )


def words_of(request: SpawnRequest) -> list[str]:
    """Return the program of a job; an image without a command exits 0."""
    words = [*(request.job.command or ()), *(request.job.args or ())]
    return [f"print:{request.job.workdir or '/'}" if word == "workdir" else word for word in words]


def carried_by(request: SpawnRequest) -> dict[str, Any]:
    """Return what an object carries only to be looked at."""
    spec = request.job
    return {
        "image": spec.image,
        "network": request.network.name if request.network else None,
        "resources": asdict(spec.resources) if spec.resources else None,
        "workdir": spec.workdir,
        "user": spec.user,
        "pull_policy": spec.pull_policy,
        "security": spec.security,
    }


def refuse_missing(request: SpawnRequest) -> None:
    """Refuse an image or a network that does not exist.

    Raises:
        SpawnFailed: ``image.not_found`` or ``network.not_found``.
    """
    options = request.options or FakeOptions()
    image, network = request.job.image, request.network
    if options.missing_image or (image or "").startswith(MISSING):
        msg = f"the fake engine has no image {image}"
        hint = f"build it: docker build -t {image} ."
        raise SpawnFailed(msg, cause="image.not_found", hint=hint, job_id=request.job.job_id)
    if network is not None and network.name.startswith(MISSING):
        msg = f"the fake engine has no network {network.name} (asked for by: {network.source})"
        hint = "name one that exists: network=fake"
        raise SpawnFailed(msg, cause="network.not_found", hint=hint, job_id=request.job.job_id)


def refuse_start(request: SpawnRequest) -> None:
    """Refuse what cannot start.

    Raises:
        SpawnFailed: With the cause that the script names, or ``start.command_not_found``.
    """
    options = request.options or FakeOptions()
    job_id = request.job.job_id
    if options.start_error is not None:
        raise SpawnFailed(
            options.start_message,
            cause=options.start_error,
            hint=options.start_hint or "leave options.fake.start_error out",
            job_id=job_id,
        )
    words = words_of(request)
    try:
        parse(tuple(words))
    except UnknownProgram as unknown:
        msg = f"the fake engine knows no program {str(unknown)!r}"
        hint = "steps are: print:TEXT, err:TEXT, sleep:SECONDS, exit:CODE, ..."
        cause = "start.command_not_found"
        raise SpawnFailed(msg, cause=cause, hint=hint, job_id=job_id) from None


def planned(request: PlanRequest) -> Mapping[str, Any]:
    """Return the object as ``plan`` shows it; the values of secrets are masked."""
    spawn = request.spawn
    return {
        "name": spawn.name,
        **{key: value for key, value in carried_by(spawn).items() if value is not None},
        "program": words_of(spawn),
        "env": {**spawn.env, **dict.fromkeys(spawn.secrets, MASK)},
        "labels": dict(spawn.labels),
        "retention_seconds": spawn.retention_seconds,
    }
