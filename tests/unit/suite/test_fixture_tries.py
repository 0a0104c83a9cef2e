"""A fixture that many tests share and that fails once fails one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import turns

SUPPORT = Path(turns.__file__).parent
LIMIT = 200.0
MODULE = """
import pathlib, pytest

TRIES = pathlib.Path(__file__).with_name("tries")

@pytest.fixture(scope="{scope}")
def engine():
    with TRIES.open("a") as file:
        file.write("x")
    if len(TRIES.read_text()) <= {failures}:
        {how}
    yield "engine"

@pytest.fixture(scope="{scope}")
def image(engine):
    return "image"

@pytest.mark.parametrize("number", range(6))
def test_it(image, number):
    pass
"""


def outcome(folder: Path, **words: object) -> tuple[str, int]:
    """Run the module; returns pytest's last line and how often the fixture was made."""
    text = MODULE.format(**{"how": "raise RuntimeError('slow')", "scope": "session", **words})
    (folder / "test_it.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "fixture_tries",
        "-p",
        "no:cacheprovider",
    ]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    return done.stdout.splitlines()[-1].partition(" in ")[0], len((folder / "tries").read_text())


@pytest.mark.parametrize("scope", ["session", "module"])
def test_one_failure_by_chance_is_one_error(tmp_path: Path, scope: str) -> None:
    """The next test makes the fixture anew, and so do those that stand on it."""
    assert outcome(tmp_path, failures=1, scope=scope) == ("5 passed, 1 error", 2)


def test_what_fails_twice_is_not_tried_for_every_test(tmp_path: Path) -> None:
    """An engine that is down costs two waits, not one for each test."""
    assert outcome(tmp_path, failures=9) == ("6 errors", 2)


def test_a_skip_stands_at_once(tmp_path: Path) -> None:
    """What is missing stays missing: nobody looks twice."""
    assert outcome(tmp_path, failures=9, how="pytest.skip('none')") == ("6 skipped", 1)
