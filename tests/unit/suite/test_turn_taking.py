"""Tests of one group never overlap, in two workers and in two runs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import turns

SUPPORT = Path(turns.__file__).parent
LIMIT = 200.0
MODULE = """
import os, pathlib, time, pytest

TIMES = pathlib.Path(__file__).with_name("times")

def note(word):
    with TIMES.open("a") as file:
        file.write(f"{word} {os.getpid()}\\n")

@pytest.fixture(scope="module", autouse=True)
def service():
    note("in")
    time.sleep(0.2)
    yield
    note("out")

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.05)
"""
GROUPED = f"{MODULE}\npytestmark = pytest.mark.group('one')\n"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start pytest on a folder of its own, with the plugin."""
    environ: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SUPPORT),
        "TMPDIR": str(folder),  # where the locks are
    }
    command = [sys.executable, "-m", "pytest", "-p", "turn_taking", "-p", "no:cacheprovider"]
    return subprocess.Popen(
        [*command, *words], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a run that is green; returns what it prints."""
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out
    return out


def overlaps(folder: Path) -> bool:
    """Tell whether a service was up in two processes at once."""
    words = [line.split() for line in (folder / "times").read_text().splitlines()]
    return any(
        (word, later) != ("in", "out") or pid != other
        for (word, pid), (later, other) in zip(words[::2], words[1::2], strict=True)
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two modules of one group, of six tests each."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(GROUPED)
    return tmp_path


def test_workers_take_turns(project: Path) -> None:
    """Workers that share the tests of a group never have its service up at the same time."""
    out = ended(start(project, "-n", "3", "--dist", "load"))
    assert "12 passed" in out
    pids = {line.split()[1] for line in (project / "times").read_text().splitlines()}
    assert len(pids) > 1  # else nothing is proved
    assert not overlaps(project)


def test_runs_take_turns(project: Path) -> None:
    """Two runs of one user on one machine do not overlap either."""
    for process in [start(project), start(project)]:
        assert "12 passed" in ended(process)
    assert not overlaps(project)


def test_without_the_mark_they_overlap(project: Path) -> None:
    """The same tests without the mark do overlap: the check above can fail."""
    both = "while TIMES.read_text().count('in') < 2: time.sleep(0.02)"
    for name in ("test_a.py", "test_b.py"):
        (project / name).write_text(MODULE.replace("time.sleep(0.2)", both))
    ended(start(project, "-n", "2", "--dist", "loadfile"))
    assert overlaps(project)


def test_waiting_is_not_part_of_the_time_limit(project: Path, tmp_path: Path) -> None:
    """A test that waits for its group longer than its time limit is not failed for it."""
    (project / "pytest.ini").write_text("[pytest]\ntimeout = 6\n")
    name = f"{project}/spawnery-test-group-one-{os.getuid()}.room"
    with Path(name).open("w") as room:
        fcntl.flock(room, fcntl.LOCK_EX)
        process = start(project)
        timer = threading.Timer(10, lambda: fcntl.flock(room, fcntl.LOCK_UN))
        timer.start()
        assert "12 passed" in ended(process)
        timer.join()


def test_groups_come_first(project: Path) -> None:
    """What runs in turn begins at once, so that it does not run alone at the end."""
    (project / "test_0.py").write_text("def test_first_by_name(): pass\n")
    out = ended(start(project, "-v"))
    assert out.index("test_b.py::") < out.index("test_0.py::")


def test_two_groups_are_refused(project: Path) -> None:
    """A test is in one group at most, so that no two processes wait for each other."""
    text = "import pytest\n@pytest.mark.group('two')\ndef test_more(): pass\n"
    (project / "test_a.py").write_text(f"{GROUPED}\n{text}")
    process = start(project)
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 4, out
