"""What ``spawnery check`` says of this machine."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from spawnery.contract.requests import CheckItem
from spawnery.errors import SpawnerError
from spawnery.local.state.store import Store
from spawnery.local.system import locks

_LITTLE_BYTES: Final = 256 * 1024 * 1024
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})
"""File systems whose locks and renames may differ from a local disk's."""


def examine(store: Store) -> list[CheckItem]:
    """Look at the state directory and at what the system offers; never raises."""
    checks: tuple[tuple[str, Callable[[Store], Iterator[CheckItem]]], ...] = (
        ("state directory", _folder),
        ("disk", _disk),
        ("locks", _locks),
        ("processes", _processes),
    )
    items = [
        CheckItem(
            name="isolation",
            level="warning",
            detail="it isolates nothing: no image, no limits, no sandbox; jobs run as you",
            hint="for development and tests; for anything else use docker or kubernetes",
        )
    ]
    for name, check in checks:
        try:
            items += check(store)
        except SpawnerError as error:
            items.append(
                CheckItem(name=name, level="failed", detail=error.message, hint=error.hint)
            )
        except OSError as error:
            items.append(CheckItem(name=name, level="failed", detail=f"{name}: {error.strerror}"))
    return items


def _folder(store: Store) -> Iterator[CheckItem]:
    store.ensure()
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".check-"):
        yield CheckItem(name="state directory", detail=f"{store.jobs} is ours and writable")


def _disk(store: Store) -> Iterator[CheckItem]:
    free = shutil.disk_usage(store.root).free
    if free < _LITTLE_BYTES:
        detail = f"only {free // 2**20} MiB are free in {store.root}"
        yield CheckItem(name="disk", level="warning", detail=detail, hint="make room")
    else:
        yield CheckItem(name="disk", detail=f"{free // 2**20} MiB free")
    kind = _file_system(store.root)
    if kind in _REMOTE:
        detail = f"{store.root} is on {kind}: locks there may not hold between machines"
        hint = "put it on a disk of this machine: export SPAWNERY_STATE_DIR=..."
        yield CheckItem(name="file system", level="warning", detail=detail, hint=hint)


def _file_system(path: Path) -> str | None:
    """Return the type of the file system of a path, where the system tells (proc_mounts(5))."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    mounts = {line.split()[1]: line.split()[2] for line in lines}
    for folder in (path, *path.parents):
        if str(folder) in mounts:
            return mounts[str(folder)]
    return None


def _locks(store: Store) -> Iterator[CheckItem]:
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".check-") as name:
        held = locks.create(Path(name))
        seen = locks.alive(Path(name))
        if held is not None:
            held.close()
        works = held is not None and seen and not locks.alive(Path(name))
    if works:
        yield CheckItem(name="locks", detail="flock works")
    else:
        detail = f"flock does not work in {store.root}"
        hint = "put it on a disk of this machine: export SPAWNERY_STATE_DIR=..."
        yield CheckItem(name="locks", level="failed", detail=detail, hint=hint)


def _processes(_store: Store) -> Iterator[CheckItem]:
    if sys.platform == "linux":
        detail = "what a job leaves behind is found (child subreaper) and ended"
        yield CheckItem(name="processes", detail=detail)
    else:
        detail = f"{sys.platform} is untested: a process that hides from its job may be missed"
        yield CheckItem(name="processes", level="warning", detail=detail)
