"""Images of the dispatcher, of the demo agent and of Redis, made on this machine, without a pull.

They are built on a Debian of debootstrap's, which stands in for ``python:3.11-slim`` and, since it
has redis-server too, for ``redis:7``; its tar is kept in the user's cache for the next run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from commands import checked
from tools import need

ROOT: Final = Path(__file__).resolve().parents[3]
BASE: Final = "spawnery-test/python:1"
REDIS: Final = "redis:7"
DISPATCHER: Final = "spawnery-dispatcher"
AGENT: Final = "spawnery-demo-agent"
SOCKET_PROXY: Final = "spawnery-test/socket-proxy"
_PACKAGES: Final = "python3,python3-pip,python3-venv,ca-certificates,redis-server"
_BUILT: Final = ((DISPATCHER, "dispatcher/Dockerfile"), (AGENT, "examples/agent/Dockerfile"))
_SECONDS: Final = 1800.0
"""A build fetches packages, over whatever network there is."""
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "spawnery-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_images() -> None:
    """Build all images, once per state of the sources; other processes wait meanwhile."""
    with (_cache() / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _there(BASE):
            _import_base()
        if not _there(REDIS):
            _docker("tag", BASE, REDIS)
        for name, file in _BUILT:
            _docker("build", "-q", "--build-arg", f"BASE={BASE}", "-f", file, "-t", name, ".")


def make_socket_proxy(*, timeout: str = "10m") -> str:
    """Build the proxy that stands in for tecnativa/docker-socket-proxy; returns its name.

    Args:
        timeout: How long nothing may come over a connection before it is cut, as HAProxy reads it.
    """
    make_images()
    name = f"{SOCKET_PROXY}:{timeout}"
    folder = str(Path(__file__).with_name("haproxy"))
    given = ("--build-arg", f"BASE={BASE}", "--build-arg", f"TIMEOUT={timeout}")
    _docker("build", "-q", *given, "-t", name, folder)
    return name


def _there(name: str) -> bool:
    done = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    return done.returncode == 0


def _docker(*words: str) -> None:
    environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
    checked("docker", *words, cwd=ROOT, env=environ, seconds=_SECONDS)


def _import_base() -> None:
    tar = _cache() / "base-1.tar"
    if not tar.exists():
        _make_tar(tar)
    _docker("import", "-c", "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", str(tar), BASE)


def _make_tar(tar: Path) -> None:
    """Bootstrap a Debian whose pip trusts what this machine trusts."""
    need("debootstrap")
    with tempfile.TemporaryDirectory(prefix="spawnery-base-") as folder:
        root = Path(folder) / "root"
        words = ("--variant=minbase", f"--include={_PACKAGES}", "bookworm", root)
        checked("debootstrap", *words, seconds=_SECONDS)
        shutil.copy(_CERTIFICATES, root / _CERTIFICATES.relative_to("/"))
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        (root / "usr/bin/python").symlink_to("python3")
        draft = tar.with_suffix(".draft")
        checked("tar", "-C", root, "-cf", draft, ".", seconds=_SECONDS)
        draft.rename(tar)
