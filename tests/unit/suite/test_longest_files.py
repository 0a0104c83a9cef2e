"""The files that took longest are printed, with the time of all their tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import turns

SUPPORT = Path(turns.__file__).parent
LIMIT = 200.0
SLOW = """
import time, pytest

@pytest.fixture(scope="module")
def service():
    time.sleep(1.5)

@pytest.mark.parametrize("number", range(4))
def test_it(service, number):
    time.sleep(0.5)
"""
QUICK = "def test_it(): pass\n"


def test_the_longest_come_first(tmp_path: Path) -> None:
    """Tests and fixtures of a file are added up, over two workers; the shortest is left out."""
    for name, text in (("slow", SLOW), ("quick", QUICK), ("also", QUICK)):
        (tmp_path / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "longest_files", "--longest", "2"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    rows = re.findall(r"^ +([0-9.]+) min +(\d+) tests  (\S+)$", done.stdout, re.MULTILINE)
    assert len(rows) == 2, done.stdout
    assert rows[0][1:] == ("4", "test_slow.py")
    assert float(rows[0][0]) > 0
