"""Programs that tests need beside an engine; without them the test that asks is skipped."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from absence import absent

BUSYBOX: Final = Path("/bin/busybox")
CATATONIT: Final = Path("/usr/libexec/podman/catatonit")
SSHD: Final = Path("/usr/sbin/sshd")
TOOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "debootstrap": ("debootstrap",),
    "docker": ("docker",),
    "docker-registry": ("docker-registry",),
    "faketime": ("faketime",),
    "kubectl": ("kubectl",),
    "openssl": ("openssl",),
    "podman": ("podman", str(CATATONIT), "ip", "nsenter"),
    "private dockerd": ("dockerd", "containerd", "docker", "ip", "nsenter"),
    "redis-server": ("redis-server",),
    "sshd": (str(SSHD), "ssh", "ssh-keygen"),
}
"""The programs of each tool, by name or by absolute path."""
_AS_ROOT: Final[Mapping[str, str]] = {
    "debootstrap": "bootstrap a Debian",
    "podman": "start Podman's service here",
    "private dockerd": "start a dockerd of its own",
    "sshd": "start an sshd",
}


def need(name: str) -> None:
    """Skip the test that asks where a tool is missing; in CI it fails.

    Args:
        name: One of ``TOOLS``, ``busybox`` or ``docker compose``.
    """
    if name in _AS_ROOT:
        need_root(_AS_ROOT[name])
    reason = why_missing(name)
    if reason is not None:
        absent(name, reason)


@functools.cache
def why_missing(name: str) -> str | None:
    """Return why a tool cannot be used here; None where it can."""
    if name == "busybox":
        return _no_static_busybox()
    if name == "docker compose":
        return _no_compose()
    # Only what may be executed counts: a sandbox hides a program behind /dev/null.
    missing = [program for program in TOOLS[name] if shutil.which(program) is None]
    return f"{', '.join(missing)} not installed" if missing else None


def need_root(what: str) -> None:
    """Skip the test that asks where we are not root: no command brings that."""
    if os.geteuid() != 0:
        pytest.skip(f"only root can {what}")


def _no_static_busybox() -> str | None:
    if not os.access(BUSYBOX, os.X_OK):
        return f"{BUSYBOX} is not there (Debian: busybox-static)"
    if b"/ld-linux" in BUSYBOX.read_bytes():
        return f"{BUSYBOX} is not statically linked (Debian: busybox-static)"
    return None


def _no_compose() -> str | None:
    if shutil.which("docker") is None:
        return "the docker command is not installed"
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return "docker compose 2 is not installed" if done.returncode else None
