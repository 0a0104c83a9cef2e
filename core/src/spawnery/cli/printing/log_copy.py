"""Copying a job's log: its bytes as they are, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spawnery.cli import output
from spawnery.cli.printing import encode
from spawnery.contract.log_text import gap_in_words

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.model.outcome import LogChunk


def copy_log(
    app: App, chunks: Iterable[LogChunk], *, before: Callable[[], None] | None = None
) -> int:
    """Write a log, stdout to stdout and stderr to stderr, each piece at once.

    Args:
        app: Says whether JSON is wanted (then all goes to stdout).
        chunks: The log.
        before: Called before each piece.

    Returns:
        How many pieces there were.

    Raises:
        OutputError: Our output cannot be written.
    """
    count = 0
    for chunk in chunks:
        count += 1
        if before is not None:
            before()
        if app.json:
            output.json_line(encode.log_line(chunk))
            continue
        if chunk.gap:
            app.warn(gap_in_words(chunk))
        if not chunk.data:
            continue
        output.write_bytes(chunk.data, sys.stderr if chunk.stream == "stderr" else sys.stdout)
        app.mid_line = not chunk.data.endswith(b"\n")
    return count
