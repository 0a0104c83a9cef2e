"""Images for tests, made of Debian's static busybox: nothing is pulled."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import Final

from tools import BUSYBOX as PROGRAM
from tools import need

BUSYBOX: Final = "spawnery-test/busybox:1"


def rootfs() -> bytes:
    """Return a tar with busybox, a link for each of its tools, /etc/passwd and a /tmp."""
    need("busybox")
    names = subprocess.run(
        [PROGRAM, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
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
    """Import the image into an engine, once; returns its name."""
    where = ("docker",) if host is None else ("docker", "-H", host)
    there = subprocess.run([*where, "image", "inspect", BUSYBOX], capture_output=True, check=False)
    if there.returncode:
        command = [*where, "import", "-c", "ENV PATH=/bin", "-", BUSYBOX]
        subprocess.run(command, input=rootfs(), check=True, capture_output=True)
    return BUSYBOX


def _folder(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _file(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))
