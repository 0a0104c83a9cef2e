"""Short tables: aligned with a header on a terminal, tab-separated without one elsewhere."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from spawnery.cli import output

_NARROWEST: Final = 20
_GAP: Final = "  "
_COLOURS: Final = {
    "SUCCEEDED": "green",
    "RUNNING": "green",
    "ok": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "LOST": "red",
    "failed": "red",
    "CANCELLED": "yellow",
    "warning": "yellow",
}


@frozen
class Cell:
    """A text of a table with its colour."""

    text: str
    colour: str | None = None


def state(name: str) -> Cell:
    """Return the cell of a state or a finding's level, in its colour."""
    return Cell(name, _COLOURS.get(name))


Row = Sequence[str | Cell]


def show(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows on stdout.

    On a terminal the last column is wrapped to its width. Elsewhere each row is a line, its cells
    separated by tabs, for ``cut`` and ``awk``.
    """
    cells = [[Cell(c) if isinstance(c, str) else c for c in row] for row in rows]
    if not output.is_terminal(sys.stdout):
        for row in cells:
            output.line("\t".join(" ".join(cell.text.split()) for cell in row))
        return
    width = shutil.get_terminal_size().columns
    for text in layout(columns, cells, width=width, colour=output.coloured(sys.stdout)):
        output.line(text)


def layout(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, width: int, colour: bool
) -> list[str]:
    """Return the lines of an aligned table."""
    table = [[Cell(name) for name in columns], *rows] if any(columns) else list(rows)
    table = [[Cell(output.printable(c.text), c.colour) for c in row] for row in table]
    sizes = [max(len(row[i].text) for row in table) for i in range(len(table[0]) - 1)]
    indent = sum(sizes) + len(_GAP) * len(sizes)
    room = max(width - indent, _NARROWEST)
    lines = []
    for row in table:
        head = "".join(
            output.paint(cell.text, cell.colour, on=colour) + " " * (size - len(cell.text)) + _GAP
            for cell, size in zip(row, sizes, strict=False)
        )
        first, *more = _wrapped(row[-1].text, room)
        lines.append((head + output.paint(first, row[-1].colour, on=colour)).rstrip())
        lines.extend(" " * indent + text for text in more)
    return lines


def _wrapped(text: str, room: int) -> list[str]:
    """Wrap the first line; further ones are hints, kept whole so that they can be pasted."""
    first, *hints = text.splitlines() or [""]
    wrapped = textwrap.wrap(first, room, break_on_hyphens=False, break_long_words=False)
    return [*(wrapped or [""]), *hints]
