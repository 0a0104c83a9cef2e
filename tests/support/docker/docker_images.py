"""Images for tests, made of Debian's static busybox: nothing is pulled."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import Final

from commands import checked
from tools import BUSYBOX as PROGRAM
from tools import need
from turns import turn

BUSYBOX: Final = "spawnery-test/busybox:1"


def rootfs() -> bytes:
    """Return a tar with busybox, a link for each of its tools, /etc/passwd and a /tmp."""
    need("busybox")
    names = checked(PROGRAM, "--list").split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "etc", "proc", "sys", "dev", "root"):
            _folder(archive, folder, 0o755)
        _folder(archive, "tmp", 0o1777)
        _file(archive, "bin/busybox", PROGRAM.read_bytes(), 0o755)
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        _file(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
        _file(archive, "etc/group", b"root:x:0:\n", 0o644)
    return buffer.getvalue()


def make_busybox(host: str | None = None) -> str:
    """Import the image into an engine, once; returns its name.

    One process at a time: of two imports of one name at once, Docker 28.5 failed one on the
    containerd image store. An import that fails is tried once more, then told in its own words.
    """
    where = ("docker",) if host is None else ("docker", "-H", host)
    command = [*where, "import", "-c", "ENV PATH=/bin", "-", BUSYBOX]
    with turn("busybox", alone=True):
        for _ in range(2):
            if _failure([*where, "image", "inspect", BUSYBOX]) is None:
                return BUSYBOX
            failure = _failure(command, rootfs())
            if failure is None:
                return BUSYBOX
    raise RuntimeError(f"cannot import {BUSYBOX} into {host or 'the engine'}: {failure}")


def _failure(command: list[str], data: bytes | None = None) -> str | None:
    """Run a command; returns what it said if it failed."""
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    said = (done.stderr or done.stdout).decode(errors="replace").strip()
    return None if done.returncode == 0 else said


def _folder(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _file(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))
