"""From a request to the engine's container: pure. Docker Engine API, ``ContainerCreate``."""

from __future__ import annotations

import re
from typing import Any, Final

from spawnery.contract import SpawnRequest
from spawnery.errors import InvalidSpec
from spawnery.model import (
    JobSpec,
    PullPolicy,
    Resources,
    Secret,
    Security,
    cpu_millis,
    cpu_nanos,
    defaults,
    memory_bytes,
    validators,
)

from spawnery_docker.images.store import ImageFacts
from spawnery_docker.options import DockerOptions, refuse_privilege
from spawnery_docker.output.kept_tail import LABEL_SECRETS
from spawnery_docker.settings import DockerSettings
from spawnery_docker.status import LABEL_REPLACED_USER

_NOBODY: Final = "65532:65532"
"""The user that distroless images call ``nonroot``; no host has it by default."""
_HOME: Final = "/home/job"
_LOG_FILES: Final = 4
"""A log loses a quarter at a time: fewer files lose more at once, more make followers miss more."""
_LEAST_SHARES: Final = 2
_SHARES_PER_CORE: Final = 1024
_USER: Final = re.compile(r"(?P<uid>\d+)(:\d+)?\Z")
_TOO_MANY_CPUS: Final = re.compile(r"only (?P<count>\d+) CPUs available")
_LEAST_MEMORY: Final = 6 * 1024 * 1024
"""The engine refuses less (moby, daemon_unix.go)."""


def refuse(request: SpawnRequest, settings: DockerSettings, *, podman: bool = False) -> None:
    """Refuse what the engine would take and the job would die of, or what it would ignore.

    Raises:
        InvalidSpec: Names the field.
    """
    job = request.job
    if job.image is None:
        msg = "image: a job on Docker needs one"
        hint = "name it: image=busybox"
        raise InvalidSpec(msg, field="image", hint=hint, job_id=job.job_id)
    validators.kernel_variables(request.env, request.secrets, job_id=job.job_id)
    limit = job.resources.memory_limit if job.resources else None
    if limit is not None and memory_bytes(limit) < _LEAST_MEMORY:
        msg = f"resources.memory_limit: {limit} is less than the 6Mi that Docker needs"
        raise InvalidSpec(msg, field="resources.memory_limit", job_id=job.job_id)
    refuse_privilege(_options(request), allowed=settings.allow_privileged)
    if podman and _options(request).runtime:
        name = "options.docker.runtime"
        msg = f"{name}: Podman's Docker API ignores it and runs its own default"
        raise InvalidSpec(msg, field=name, hint="leave it out", job_id=job.job_id)
    network = job.network or ""
    foreign = network == "host" or network.startswith("container:")
    if foreign and not settings.allow_privileged:
        msg = f"network: {network} is not one that a job may join: it is the host's or another's"
        hint = "the operator may allow it: export SPAWNERY_DOCKER_ALLOW_PRIVILEGED=1"
        raise InvalidSpec(msg, field="network", hint=hint, job_id=job.job_id)


def limit_refused(job: JobSpec, text: str) -> InvalidSpec | None:
    """Name the field of a limit that the engine refuses; None where it refuses another thing.

    Args:
        job: What was asked for.
        text: The engine's words (moby, daemon_unix.go: ``verifyPlatformContainerResources``).
    """
    there = _TOO_MANY_CPUS.search(text)
    asked = job.resources or Resources()
    name = "cpu_request" if asked.cpu_limit is None else "cpu_limit"
    value = asked.cpu_request if asked.cpu_limit is None else asked.cpu_limit
    if there is None or value is None:
        return None
    count = there["count"]
    field = f"resources.{name}"
    msg = f"{field}: {value} is more than the engine has ({count} CPUs)"
    hint = f"ask for at most resources.{name}={count}"
    return InvalidSpec(msg, field=field, hint=hint, job_id=job.job_id)


def pull_policy(request: SpawnRequest, settings: DockerSettings) -> PullPolicy:
    """Return the pull policy in force."""
    return request.job.pull_policy or PullPolicy(settings.pull_policy)


def body_of(
    request: SpawnRequest, settings: DockerSettings, image: ImageFacts, *, podman: bool = False
) -> dict[str, Any]:
    """Build the body of ``POST /containers/create``.

    Args:
        request: The job, complete.
        settings: Ours.
        image: What the image says of itself.
        podman: Whether the engine is Podman.
    """
    job = request.job
    restricted = _restricted(request)
    user = _user(request, image)
    workdir = job.workdir or (_HOME if restricted and not image.workdir else "")
    body: dict[str, Any] = {
        "Image": job.image,
        "Env": _environment(request, image),
        "Labels": labels_of(request, image),
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "OpenStdin": False,
        "StopSignal": "SIGTERM",
        "HostConfig": _host(request, settings, restricted=restricted, user=user, podman=podman),
    }
    if job.command is not None:
        body |= {"Entrypoint": list(job.command), "Cmd": list(job.args or ())}
    elif job.args is not None:
        body["Cmd"] = list(job.args)
    optional = {"User": user, "WorkingDir": workdir, "Hostname": _options(request).hostname}
    return body | {key: value for key, value in optional.items() if value}


def labels_of(request: SpawnRequest, image: ImageFacts) -> dict[str, str]:
    """Return the job's labels, and what whoever reads its end later has to know."""
    labels = dict(request.labels)
    if request.secrets:
        labels[LABEL_SECRETS] = ",".join(sorted(request.secrets))
    if request.job.user is None and _user(request, image) == _NOBODY:
        labels[LABEL_REPLACED_USER] = image.user or "root"
    return labels


def _restricted(request: SpawnRequest) -> bool:
    return (request.job.security or Security.RESTRICTED) is Security.RESTRICTED


def user_of(request: SpawnRequest, image: ImageFacts) -> str:
    """Return the user that the container runs as, its image's own where nothing else is said."""
    return _user(request, image) or image.user


def _user(request: SpawnRequest, image: ImageFacts) -> str:
    """Return the user of the job; empty where it is the image's own."""
    of_profile = _restricted_user(image.user) if _restricted(request) else ""
    return request.job.user or of_profile


def _options(request: SpawnRequest) -> DockerOptions:
    found = request.options
    return found if isinstance(found, DockerOptions) else DockerOptions()


def _restricted_user(of_image: str) -> str:
    """Return the image's own user where it is a number and not root, else nobody."""
    match = _USER.match(of_image)
    return of_image if match and int(match["uid"]) != 0 else _NOBODY


def home_of(request: SpawnRequest, image: ImageFacts) -> str | None:
    """Return the home folder that we give a job; None where it is its own or its image's.

    For the image's own user the engine takes it from the image's /etc/passwd, as ``docker run``
    does; any other user would find nothing there, or could not write.
    """
    own_user = bool(image.user) and _user(request, image) == image.user
    named = "HOME" in {*image.env, *request.env, *request.secrets}
    return _HOME if _restricted(request) and not own_user and not named else None


def _environment(request: SpawnRequest, image: ImageFacts) -> list[str]:
    home = home_of(request, image)
    values: dict[str, str] = {} if home is None else {"HOME": home}
    values |= request.env
    values |= {k: v.reveal() for k, v in request.secrets.items() if isinstance(v, Secret)}
    return [f"{key}={value}" for key, value in values.items()]


def _host(
    request: SpawnRequest, settings: DockerSettings, *, restricted: bool, user: str, podman: bool
) -> dict[str, Any]:
    options = _options(request)
    host: dict[str, Any] = {
        "AutoRemove": request.retention_seconds == 0,
        "RestartPolicy": {"Name": "no"},
        "Init": options.init,
        "PidsLimit": settings.pids_limit,
        "IpcMode": "private",
        "Privileged": options.privileged,
        "SecurityOpt": ["no-new-privileges"],
        "LogConfig": _log(settings),
        **_resources(request.job.resources, podman=podman),
    }
    tmpfs = {path: f"size={memory_bytes(size)}" for path, size in options.tmpfs.items()}
    if restricted:
        host["CapDrop"] = ["ALL"]
        tmpfs = _writable(settings.tmpfs_bytes, user, podman=podman) | tmpfs
    optional = {
        "NetworkMode": request.network.name if request.network else None,
        "Tmpfs": tmpfs,
        "CapAdd": list(options.cap_add),
        "Binds": [*_volumes(options), *options.binds],
        "ExtraHosts": list(options.extra_hosts),
        "Dns": list(options.dns),
        "Runtime": options.runtime,
        "ShmSize": memory_bytes(options.shm_size) if options.shm_size else None,
        "ReadonlyRootfs": options.read_only,
    }
    return host | {key: value for key, value in optional.items() if value}


def _log(settings: DockerSettings) -> dict[str, Any]:
    size = max(1, settings.log_max_bytes // _LOG_FILES)
    capped = {"max-size": f"{size}", "max-file": f"{_LOG_FILES}"}
    driver = settings.log_driver
    return {"Type": driver, "Config": capped if driver in {"json-file", "local"} else {}}


def _writable(size: int, user: str, *, podman: bool) -> dict[str, str]:
    """Return what a program may write that must not own the image's files."""
    uid, _, gid = user.partition(":")
    owner = f",uid={uid}" if uid.isdigit() else ""
    owner += f",gid={gid}" if gid.isdigit() else ""
    if podman and owner:
        owner = ",U"  # Podman knows no uid=: U gives the folder to the container's user.
    return {
        "/tmp": f"size={size},mode=1777,nosuid,nodev,exec",  # noqa: S108 - in the container
        _HOME: f"size={size},mode={'0700' if owner else '1777'},nosuid,nodev,exec{owner}",
    }


def _volumes(options: DockerOptions) -> list[str]:
    found = []
    for target, volume in options.volumes.items():
        name, _, mode = volume.partition(":")
        found.append(f"{name}:{target}:{mode or 'rw'}")
    return found


def _resources(asked: Resources | None, *, podman: bool) -> dict[str, Any]:
    """Map requests and limits; a default request never exceeds a limit that the job sets."""
    asked = asked or Resources()
    memory = memory_bytes(asked.memory_limit or defaults.RESOURCES.memory_limit or "")
    cpu = cpu_nanos(asked.cpu_limit or defaults.RESOURCES.cpu_limit or "")
    reserved = memory_bytes(asked.memory_request or defaults.RESOURCES.memory_request or "")
    millis = cpu_millis(asked.cpu_request or defaults.RESOURCES.cpu_request or "")
    if asked.memory_limit is None:
        memory = max(memory, reserved)
    if asked.cpu_limit is None:
        cpu = max(cpu, millis * 1_000_000)
    reserved, millis = min(reserved, memory), min(millis, -(-cpu // 1_000_000))
    found: dict[str, Any] = {
        "Memory": memory,
        "MemorySwap": memory,
        "MemoryReservation": reserved,
        "NanoCpus": cpu,
        "CpuShares": max(_LEAST_SHARES, millis * _SHARES_PER_CORE // 1000),
    }
    if asked.gpus is not None and not podman:
        found["DeviceRequests"] = [{"Count": asked.gpus, "Capabilities": [["gpu"]]}]
    return found
