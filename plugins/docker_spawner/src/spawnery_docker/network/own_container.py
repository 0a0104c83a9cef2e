"""Which container this process runs in, from what the kernel shows of us; nothing is asked.

Three traces, the surest last to be missing: the hostname (Docker makes it the beginning of the id,
unless it was given or is the host's), the mounts of ``/etc/hostname`` and its neighbours, which
come from the engine's folder of the container, and the cgroup (v1, or v2 without a namespace).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

_SHORT_ID: Final = re.compile(r"[0-9a-f]{12}\Z")
_MOUNTED: Final = re.compile(
    r"/(?:overlay-)?containers/(?P<id>[0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf)\Z"
)
_CGROUP: Final = re.compile(r"(?:/|docker-|libpod-)(?P<id>[0-9a-f]{64})(?:\.scope)?(?:/|\Z)")
_ETC: Final = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})


@frozen(kw_only=True)
class Trace:
    """A container that may be ours, and what says so (for a person)."""

    container: str
    way: str


def traces(proc: Path = Path("/proc/self"), hostname: str | None = None) -> Iterator[Trace]:
    """Yield what tells of our own container, each id once.

    Args:
        proc: Our folder in the proc file system.
        hostname: Our host name; the system's when absent.
    """
    seen: set[str] = set()
    for trace in _all(proc, socket.gethostname() if hostname is None else hostname):
        if not any(known.startswith(trace.container) for known in seen):
            seen.add(trace.container)
            yield trace


def _all(proc: Path, hostname: str) -> Iterator[Trace]:
    if _SHORT_ID.match(hostname):
        yield Trace(container=hostname, way=f"host name {hostname}")
    for line in _lines(proc / "mountinfo"):
        # Fields: proc_pid_mountinfo(5); the fourth is the root of the mount, the fifth its place.
        fields = line.split()
        if len(fields) > 4 and fields[4] in _ETC and (match := _MOUNTED.search(fields[3])):  # noqa: PLR2004
            yield Trace(container=match["id"], way=f"mount of {fields[4]}")
    for line in _lines(proc / "cgroup"):
        if match := _CGROUP.search(line.rpartition(":")[2]):
            yield Trace(container=match["id"], way="cgroup")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
