"""Who may use a unix socket, and what somebody who may not can do."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_USUAL: Final = (
    "/var/run/docker.sock",
    "{XDG_RUNTIME_DIR}/docker.sock",
    "{HOME}/.docker/run/docker.sock",
    "{HOME}/.docker/desktop/docker.sock",
    "{HOME}/.colima/default/docker.sock",
    "{HOME}/.rd/docker.sock",
    "{XDG_RUNTIME_DIR}/podman/podman.sock",
    "/run/podman/podman.sock",
)
"""Where Docker, its rootless mode, Docker Desktop, Colima, Rancher Desktop and Podman listen."""


def describe(path: Path) -> str:
    """Say whose a socket is and who we are, or which folder on the way keeps us out."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK):
            return f"the folder {_owned(folder)} keeps us out; {_us()}"
    return f"it is {_owned(path)}; {_us()}"


def ways_out(path: Path) -> str:
    """Name what gives access: the group, a rootless engine, a socket proxy."""
    group = _socket_group(path)
    lines = [
        "either a rootless engine of your own: https://docs.docker.com/engine/security/rootless/",
        "or a socket proxy that allows only what is needed: export DOCKER_HOST=tcp://127.0.0.1:2375",
    ]
    if group is not None:
        user = _name(pwd.getpwuid, os.geteuid())
        lines.insert(
            0,
            f"either join the group {group}, which is as good as root on this machine:"
            f" sudo usermod -aG {group} {user}, then log in again",
        )
        lines[1] = lines[1].replace("either", "or", 1)
    return "\n".join(lines)


def others(path: Path, environ: Mapping[str, str]) -> list[Path]:
    """List sockets of engines that are there, apart from the given one."""
    found = []
    for form in _USUAL:
        names = {name: environ.get(name, "") for name in ("HOME", "XDG_RUNTIME_DIR")}
        if any(f"{{{name}}}" in form and not value for name, value in names.items()):
            continue
        other = Path(form.format(**names))
        if other != path and _is_socket(other):
            found.append(other)
    return found


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return False


def _owned(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError as error:
        return f"{path} ({error.strerror})"
    owner, group = _name(pwd.getpwuid, facts.st_uid), _name(grp.getgrgid, facts.st_gid)
    return f"{path}, {stat.filemode(facts.st_mode)}, owner {owner}, group {group}"


def _us() -> str:
    groups = sorted({os.getegid(), *os.getgroups()})
    names = ", ".join(_name(grp.getgrgid, number) for number in groups)
    return f"we are {_name(pwd.getpwuid, os.geteuid())} in {names}"


def _socket_group(path: Path) -> str | None:
    """Return the group that may use the socket, None where joining it would not help."""
    try:
        facts = path.stat()
    except OSError:
        return None
    may = facts.st_mode & stat.S_IWGRP and facts.st_gid != 0
    return _name(grp.getgrgid, facts.st_gid) if may else None


def _name(look_up: Callable[[int], tuple[object, ...]], number: int) -> str:
    """Return the name of a user or group with its number, as ``id`` shows it."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)
