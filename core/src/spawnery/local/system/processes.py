"""The processes of this machine: who descends from whom, who belongs to a job, ending them.

Standard library only, the supervisor uses it. Linux: /proc (proc(5)); elsewhere ps(1), by
construction and untested. A process is its pid and its start time together: pids are used again.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Mapping
else:
    import _signal as signal

MARKER = "SPAWNERY_LOCAL_JOB"
"""Variable that every process of a job inherits; its value is the job's nonce."""
_LINUX = sys.platform == "linux"
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_MACHINE_ID_LENGTH = 32
PAUSE = 0.01
"""Seconds between two looks at processes that are dying."""


class Process:
    """One process at one moment."""

    __slots__ = ("group", "parent", "pid", "session", "start", "zombie")

    def __init__(
        self, *, pid: int, parent: int, group: int, session: int, start: str, zombie: bool
    ) -> None:
        self.pid = pid
        self.parent = parent
        self.group = group
        self.session = session
        self.start = start
        self.zombie = zombie


def table() -> dict[int, Process]:
    """Return all processes by pid."""
    if not _LINUX:
        return _ps()
    found = (_read(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def find(pid: int) -> Process | None:
    """Return one process, None when it is not there."""
    return _read(pid) if _LINUX else _ps().get(pid)


def identity(pid: int) -> str | None:
    """Return what tells a process from a later one with the same pid: boot and start time."""
    process = find(pid)
    return None if process is None else f"{boot()}/{process.start}"


def boot() -> str:
    """Return the id of this boot of the machine, empty where it has none."""
    if sys.platform == "darwin":
        with os.popen("sysctl -n kern.bootsessionuuid") as output:  # noqa: S605 - constant
            return output.read().strip()
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().strip().decode()
    except OSError:
        return ""


def machine() -> str | None:
    """Return the id that this machine keeps over reboots (machine-id(5)); None without one."""
    for path in _MACHINE_IDS:
        try:
            with open(path, "rb") as file:
                found = file.read().strip()
        except OSError:
            continue
        if len(found) == _MACHINE_ID_LENGTH and found.isalnum():
            return found.decode()
    return None


def _read(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start=fields[19].decode(),
        zombie=fields[0] in {b"Z", b"X"},
    )


def _ps() -> dict[int, Process]:
    with os.popen("ps -axo pid=,ppid=,pgid=,state=,lstart=") as output:  # noqa: S605 - constant
        lines = [line.split(None, 4) for line in output]
    found = {}
    for pid, parent, group, state, start in lines:
        found[int(pid)] = Process(
            pid=int(pid),
            parent=int(parent),
            group=int(group),
            session=_session(int(pid)),
            start=start.strip(),
            zombie=state.startswith("Z"),
        )
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def descendants(processes: Mapping[int, Process], roots: Iterable[int]) -> list[Process]:
    """Return all that descend from the roots, the roots left out."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    todo = list(roots)
    while todo:
        new = children.pop(todo.pop(), [])
        found += new
        todo += [process.pid for process in new]
    return found


def members(processes: Mapping[int, Process], *, nonce: str, session: int | None) -> list[Process]:
    """Return what lives of a job whose supervisor is gone.

    Found by the session and the process group that the job began with, by the variable that all
    its processes inherit, and by descent from those. A session's number is not given to anybody
    else while one of its processes lives.

    Args:
        processes: The process table.
        nonce: The job's value of ``MARKER``.
        session: The job's session and group, None where it is unknown or of another boot.
    """
    uid, own = os.geteuid(), os.getpid()
    found = {
        process.pid: process
        for process in processes.values()
        if (session is not None and session in {process.session, process.group})
        or _marked(process.pid, nonce)
    }
    for process in descendants(processes, list(found)):
        found[process.pid] = process
    found.pop(own, None)
    return [p for p in found.values() if not p.zombie and _owner(p.pid) in {uid, None}]


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _marked(pid: int, nonce: str) -> bool:
    wanted = f"{MARKER}={nonce}".encode()
    if not _LINUX:
        with os.popen(f"ps -Eww -o command= -p {pid}") as output:  # noqa: S605 - a number
            return wanted.decode() in output.read()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return wanted in file.read().split(b"\0")
    except OSError:
        return False


def send(process: Process, number: int) -> None:
    """Send a signal to a process, unless its pid belongs to another one by now."""
    try:
        if not hasattr(os, "pidfd_open"):
            os.kill(process.pid, number)
            return
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = find(process.pid)
        if now is not None and now.start == process.start:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
    finally:
        os.close(fd)


def end_members(*, nonce: str, session: int | None, seconds: float) -> bool:
    """Kill what lives of a job whose supervisor is gone; False when something still lives.

    Args:
        nonce: See ``members``.
        session: See ``members``.
        seconds: How long to try.
    """
    until = time.monotonic() + seconds
    while True:
        living = members(table(), nonce=nonce, session=session)
        if not living:
            return True
        if time.monotonic() > until:
            return False
        for process in living:
            send(process, signal.SIGKILL)
        time.sleep(PAUSE)
