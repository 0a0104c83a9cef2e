"""Who belongs to a job."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from spawnery.local.system import processes
from spawnery.local.system.processes import Process


def process(pid, parent, *, group=1, session=1):
    return Process(pid=pid, parent=parent, group=group, session=session, start="1", zombie=False)


def test_descent_is_followed_through_all_generations():
    """The roots themselves are left out."""
    found = {p.pid: p for p in (process(2, 1), process(3, 2), process(4, 3), process(9, 1))}
    assert sorted(p.pid for p in processes.descendants(found, [2])) == [3, 4]
    assert sorted(p.pid for p in processes.descendants(found, [2, 3])) == [3, 4]


def test_we_are_in_the_table():
    """With our parent and a start that stays."""
    me = processes.table()[os.getpid()]
    assert (me.parent, me.session) == (os.getppid(), os.getsid(0))
    assert processes.identity(os.getpid()) == processes.identity(os.getpid())
    assert processes.identity(2**22 + 1) is None


def test_a_marked_process_is_found_and_ended_and_others_stay():
    """By the variable alone, with its children."""
    code = "import time; time.sleep(600)"
    kwargs = {"env": {processes.MARKER: "nonce-1"}, "start_new_session": True}
    ours = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], **kwargs)
    kwargs = {"env": {processes.MARKER: "nonce-12"}, "start_new_session": True}
    other = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], **kwargs)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = processes.members(processes.table(), nonce="nonce-1", session=None)
            if found:
                break
        assert [p.pid for p in found] == [ours.pid]
        assert processes.end_members(nonce="nonce-1", session=None, seconds=60)
        assert ours.wait(60) == -9
        assert other.poll() is None
    finally:
        for child in (ours, other):
            child.kill()
            child.wait(60)


def test_a_pid_that_is_somebody_else_by_now_gets_no_signal():
    """The start time tells."""
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    try:
        found = processes.find(child.pid)
        found.start = "0"
        processes.send(found, 9)
        assert child.poll() is None
        processes.send(processes.find(child.pid), 9)
        assert child.wait(60) == -9
    finally:
        child.kill()
        child.wait(60)
