"""``JobSpec.options["docker"]``: the extras that Docker has, from an allow-list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from attrs import field, frozen
from spawnery.errors import InvalidSpec
from spawnery.model import memory_bytes

_PATH: Final = re.compile(r"/[^:\0]*\Z")
_HOST: Final = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:(host-gateway|[0-9a-fA-F.:]+)\Z"
)
_VOLUME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}\Z")
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?\Z")
"""The kernel takes at most 64 characters (sethostname(2))."""
_CAPABILITY: Final = re.compile(r"[A-Z][A-Z_]*\Z")
_OPERATOR: Final = "the operator may allow it: export SPAWNERY_DOCKER_ALLOW_PRIVILEGED=1"


def _refuse(name: str, problem: str, hint: str | None = None) -> NoReturn:
    path = f"options.docker.{name}"
    msg = f"{path}: {problem}"
    raise InvalidSpec(msg, field=path, hint=hint)


def _target(name: str, path: str) -> None:
    if not _PATH.match(path) or path == "/":
        _refuse(f"{name}.{path}", "the key is an absolute path in the container")


def _volumes(_instance: object, _attribute: object, value: Mapping[str, str]) -> None:
    for target, volume in value.items():
        _target("volumes", target)
        name, _, mode = volume.partition(":")
        if not _VOLUME.match(name) or mode not in {"", "ro", "rw"}:
            problem = f"{volume!r} is no name of a volume (name, name:ro); paths are not allowed"
            _refuse(f"volumes.{target}", problem)


def _sizes(_instance: object, _attribute: object, value: Mapping[str, str]) -> None:
    for target, size in value.items():
        _target("tmpfs", target)
        memory_bytes(size, field=f"options.docker.tmpfs.{target}")


def _quantity(_instance: object, attribute: Any, value: str | None) -> None:
    if value is not None:
        memory_bytes(value, field=f"options.docker.{attribute.name}")


def _hosts(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for entry in value:
        if not _HOST.match(entry):
            _refuse("extra_hosts", f"{entry!r} is not name:address or name:host-gateway")


def _hostname(_instance: object, attribute: Any, value: str | None) -> None:
    if value is not None and not _HOSTNAME.match(value):
        problem = "must be at most 64 letters, digits, dots and hyphens, none of these two last"
        raise _refuse(attribute.name, problem)


def _capabilities(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for name in value:
        if not _CAPABILITY.match(name):
            _refuse("cap_add", f"{name!r} is no capability, such as NET_BIND_SERVICE")


@frozen(kw_only=True)
class DockerOptions:
    """What a job may say to Docker beside its spec. Unset leaves the engine's default.

    Attributes:
        volumes: Path in the container to a named volume (``cache``, ``cache:ro``).
        tmpfs: Path in the container to the size of a file system in memory (``64Mi``).
        extra_hosts: ``name:address`` lines for /etc/hosts; ``name:host-gateway``.
        dns: Addresses of name servers.
        runtime: The engine's runtime, for example ``runsc`` (gVisor).
        shm_size: Size of /dev/shm (``128Mi``).
        read_only: A root file system that cannot be written.
        hostname: Host name in the container.
        init: Whether the engine's own init is process 1, which passes signals on and reaps orphans.
            False for images whose own init insists on it (s6-overlay, systemd): the job's program
            is process 1 and must handle SIGTERM itself, or it is killed after the grace.
        privileged: All rights on the host; only where the operator allows it.
        cap_add: Capabilities beside the profile's; only where the operator allows it.
        binds: Paths of the host (``/host:/container:ro``); only where the operator allows it.
    """

    volumes: Mapping[str, str] = field(factory=dict, validator=_volumes)
    tmpfs: Mapping[str, str] = field(factory=dict, validator=_sizes)
    extra_hosts: tuple[str, ...] = field(default=(), validator=_hosts)
    dns: tuple[str, ...] = ()
    runtime: str | None = None
    shm_size: str | None = field(default=None, validator=_quantity)
    read_only: bool = False
    hostname: str | None = field(default=None, validator=_hostname)
    init: bool = True
    privileged: bool = False
    cap_add: tuple[str, ...] = field(default=(), validator=_capabilities)
    binds: tuple[str, ...] = ()


def refuse_privilege(options: DockerOptions, *, allowed: bool) -> None:
    """Refuse what gives a job the host, unless the operator's setting permits it.

    Raises:
        InvalidSpec: Names the option.
    """
    if allowed:
        return
    for name in ("privileged", "cap_add", "binds"):
        if getattr(options, name):
            _refuse(name, "it would give the job rights over the host", _OPERATOR)
