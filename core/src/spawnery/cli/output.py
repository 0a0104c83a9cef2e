"""Writing: data to stdout, talk to stderr, bytes as they are, colour only where it is seen."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT = "\n\t"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at the stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def coloured(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream takes colour: a terminal, and NO_COLOR (https://no-color.org) not set."""
    plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
    return is_terminal(stream) and not plain


def paint(text: str, colour: str | None, *, on: bool) -> str:
    """Return the text in a colour, where colour is on."""
    if not on or colour is None:
        return text
    from click import style

    return style(text, fg=colour)


def printable(text: str) -> str:
    """Replace control characters, so that text from elsewhere cannot drive the terminal."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _KEPT else "\N{REPLACEMENT CHARACTER}" for c in text
    )


class OutputError(Exception):
    """Our output cannot be written.

    Not ``OSError``: click would end the process by itself when the reader of a pipe is gone.

    Attributes:
        reader_gone: Whether that is because nobody reads it, which needs no words.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"our output cannot be written: {error.strerror}")
        self.reader_gone = isinstance(error, BrokenPipeError) or error.errno == errno.EIO


def write_bytes(data: bytes, stream: TextIO | None) -> None:
    """Write bytes unaltered and at once; a stream that was closed before we began takes nothing.

    Raises:
        OutputError: The disk is full, the other end of the pipe is closed, ...
    """
    if stream is None:
        return
    try:
        stream.buffer.write(data)
        stream.flush()
    except OSError as error:
        raise OutputError(error) from None


def write(text: str, stream: TextIO | None) -> None:
    """Write text, with escapes for what the stream's encoding does not have."""
    if stream is not None:
        write_bytes(text.encode(stream.encoding or "utf-8", "backslashreplace"), stream)


def say(text: str) -> None:
    """Print lines of talk; where nobody hears it, that is no failure of the command."""
    with contextlib.suppress(OutputError):
        write(f"{text}\n", sys.stderr)


def line(text: str) -> None:
    """Print one line of data."""
    write(f"{text}\n", sys.stdout)


def document(value: Any) -> None:
    """Print one JSON document, indented."""
    line(json.dumps(value, indent=2))


def json_line(value: Any) -> None:
    """Print one line of a JSON stream."""
    line(json.dumps(value))
