"""A program that tests need and that fails says why, and no test hides that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import checked

TESTS = Path(__file__).parents[2]


def test_the_output_of_a_program() -> None:
    """What it wrote to stdout comes back; stdin is empty, or what was given."""
    assert checked("sh", "-c", "cat; echo out; echo err >&2") == "out\n"
    assert checked("cat", input=b"in") == "in"


def test_a_failure_has_its_words() -> None:
    """Command, exit code and both streams are in the error."""
    with pytest.raises(RuntimeError) as caught:
        checked("sh", "-c", "echo half; echo 'no space left' >&2; exit 3")
    for part in ("sh -c", "exit code 3", "half", "no space left"):
        assert part in str(caught.value)


def test_a_program_that_hangs_has_its_words_too() -> None:
    """What it had written when it was killed is in the error."""
    with pytest.raises(RuntimeError, match=r"(?s)took over 1 s.*waiting for the disk"):
        checked("sh", "-c", "echo waiting for the disk >&2; exec sleep 60", seconds=1)


def test_a_program_that_is_not_there_is_named() -> None:
    """The error is one kind for whoever catches it."""
    with pytest.raises(RuntimeError, match="no-such-program"):
        checked("no-such-program")


def test_no_test_hides_what_a_program_said() -> None:
    """The checks of subprocess raise errors without the program's output: use ``checked``."""
    silent = re.compile(r"check=True|check_call\(|check_output\(")
    found = [
        f"{path.relative_to(TESTS)}:{number}"
        for path in TESTS.rglob("*.py")
        if path not in {Path(__file__), TESTS / "support" / "suite" / "commands.py"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if silent.search(line)
    ]
    assert found == []
