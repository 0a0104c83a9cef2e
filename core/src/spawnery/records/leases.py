"""Who holds a lease: one spawner of one process, named so that its death is noticed at once."""

from __future__ import annotations

import functools
import itertools
import os
import sys

_NOT_THERE = ""


def _start_mark(pid: int) -> str:
    """Return what tells this process from a later one with the same pid; empty when it is gone."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - hot path
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return _NOT_THERE
        state, started = fields[0], fields[19]  # fields 3 and 22 of proc(5)
        return _NOT_THERE if state in "ZX" else started
    import psutil  # noqa: PLC0415 - not needed on Linux

    try:
        return f"{psutil.Process(pid).create_time():.3f}"
    except psutil.Error:
        return _NOT_THERE


@functools.cache
def _boot() -> str:
    """Return what names this boot of this host (a container has its own host name)."""
    host = os.uname().nodename
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - read once
            return f"{host}/{file.read().strip()[:8]}"
    except OSError:
        return host


@functools.lru_cache(maxsize=4)
def _own(pid: int) -> str:
    return f"{_boot()} {pid} {_start_mark(pid)}"


_numbers = itertools.count(1)


def new_holder() -> str:
    """Name one more spawner of this process."""
    return f"{_own(os.getpid())} {next(_numbers)}"


def is_alive(holder: str) -> bool:
    """Tell whether the process may still be there; one of another host counts as alive."""
    boot, pid, mark, _number = holder.rsplit(" ", 3)
    if boot != _boot():
        return True
    return _start_mark(int(pid)) == mark
