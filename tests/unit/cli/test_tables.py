"""Tables for people and for programs."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from spawnery.cli.printing import tables
from spawnery.cli.printing.tables import Cell, layout

if TYPE_CHECKING:
    import pytest


def text(*lines: tuple[str, ...]) -> list[list[Cell]]:
    """Return rows of cells."""
    return [[Cell(word) for word in line] for line in lines]


def test_columns_are_aligned_under_their_header() -> None:
    """Each column is as wide as its widest cell."""
    lines = layout(
        ("ID", "STATE"), text(("a", "RUNNING"), ("long-id", "LOST")), width=80, colour=False
    )
    assert lines == ["ID       STATE", "a        RUNNING", "long-id  LOST"]


def test_the_last_column_is_wrapped_to_the_terminal() -> None:
    """Further lines begin under the column; a hint on a line of its own is kept whole."""
    hint = "hint: pip install this-and-that"
    rows = text(("x", f"one two three four five\n{hint}"))
    lines = layout(("A", "B"), rows, width=23, colour=False)
    assert lines == ["A  B", "x  one two three four", "   five", f"   {hint}"]


def test_a_long_word_is_not_broken() -> None:
    """A path or a command can still be copied."""
    word = "/a-very-long/path-that/does-not-fit"
    assert layout(("A", "B"), text(("x", word)), width=20, colour=False)[1] == f"x  {word}"


def test_colour_does_not_shift_columns() -> None:
    """Escapes are not counted as width."""
    rows = [[Cell("RUNNING", "green"), Cell("x")], [Cell("LOST", "red"), Cell("y")]]
    lines = layout(("S", "T"), rows, width=80, colour=True)
    assert "\x1b[32mRUNNING\x1b[0m  x" in lines
    assert "\x1b[31mLOST\x1b[0m     y" in lines


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Text of an engine cannot clear the screen."""
    lines = layout(("A",), text(("a\x1b[2Jb",)), width=80, colour=False)
    assert "\x1b" not in "".join(lines)


def test_elsewhere_cells_are_separated_by_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No header, no colour, one line for each row."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stdout)
    tables.show(("ID", "STATE"), [("a", tables.state("RUNNING")), ("b", "two\nlines\there")])
    stdout.flush()
    assert stdout.buffer.getvalue() == b"a\tRUNNING\nb\ttwo lines here\n"  # type: ignore[attr-defined]


def test_an_empty_table_has_no_lines_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is nothing."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stdout)
    tables.show(("ID",), [])
    assert stdout.buffer.getvalue() == b""  # type: ignore[attr-defined]
