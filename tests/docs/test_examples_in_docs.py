"""The Python of the pages runs as it stands, on this machine's engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from spawnery.testing.fake import FakeOptions, program

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
REFUSED = """
from spawnery import Spawner
with Spawner.open("local", extensions=[EXTENSION]) as spawner:
    try:
        spawner.spawn(JobSpec(command=("true",)))
    except JobRefused as refused:
        print(refused.cause)
"""


def blocks(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def run(code: str, folder: Path) -> str:
    """Run code in an interpreter of its own, with its own state, and return what it prints."""
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "SPAWNER_TYPE": "local",
        "SPAWNERY_STATE_DIR": str(folder / "state"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "hello\nSUCCEEDED 0 exit.zero\n"), (1, "SUCCEEDED\n"), (2, ""), (3, "CANCELLED\n")],
)
def test_library_page_runs(number: int, expected: str, tmp_path: Path) -> None:
    """Each block of docs/library.md runs and prints what its text says."""
    assert run(blocks("library.md")[number], tmp_path) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "b'working\\n'\nFAILED 3\n"),
        (1, "True {'agentsmith-a'}\nengine.error\n"),
    ],
)
def test_testing_page_runs(number: int, expected: str, tmp_path: Path) -> None:
    """Each block of docs/testing.md runs and prints what its text says."""
    assert run(blocks("testing.md")[number], tmp_path) == expected


@pytest.mark.parametrize(("page", "count"), [("library.md", 4), ("testing.md", 2)])
def test_pages_have_no_other_block(page: str, count: int) -> None:
    """A block that is added to a page is added to a test above."""
    assert len(blocks(page)) == count


def test_testing_page_knows_every_option() -> None:
    """Each option and each step of the fake stands in docs/testing.md."""
    page = (DOCS / "testing.md").read_text(encoding="utf-8")
    assert all(f"`{item.name}`" in page for item in attrs.fields(FakeOptions))
    steps = re.findall(r"^``([a-z-]+)", program.__doc__, re.MULTILINE)
    assert len(steps) > 10
    assert all(re.search(rf"`{step}[:`]", page) for step in steps)


def test_extension_page_refuses(tmp_path: Path) -> None:
    """The extension of docs/writing-an-extension.md refuses a job when it is handed over."""
    (code,) = blocks("writing-an-extension.md")
    assert run(code + REFUSED, tmp_path) == "job.refused\n"


def test_spawner_page_declares(tmp_path: Path) -> None:
    """The declaration of docs/writing-a-spawner.md is one that core can read settings for."""
    (code,) = blocks("writing-a-spawner.md")
    code += """
from spawnery.settings import load
environ = {"SPAWNERY_MY_ENGINE_ADDRESS": "there:1"}
print(load(environ, plugin=PLUGIN).plugin.address)
"""
    assert run(code, tmp_path) == "there:1\n"
