"""Where and how things are written."""

from __future__ import annotations

import io

import pytest
from spawnery.cli import output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
    ],
)
def test_colour_is_for_terminals_that_want_it(environ: dict[str, str], *, colour: bool) -> None:
    """NO_COLOR counts when it is not empty (https://no-color.org)."""
    assert output.coloured(Terminal(), environ) is colour
    assert output.coloured(io.StringIO(), environ) is False


def test_a_stream_that_is_closed_or_absent_is_no_terminal() -> None:
    """Python sets sys.stdout to None when the descriptor was closed before the start."""
    closed = io.StringIO()
    closed.close()
    assert not output.is_terminal(closed)
    assert not output.is_terminal(None)


def test_bytes_are_written_as_they_are() -> None:
    """Neither decoding nor newline translation happens on the way."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    output.write_bytes(b"\xff\x00\r\n", stream)
    assert raw.getvalue() == b"\xff\x00\r\n"


def test_an_absent_stream_takes_nothing() -> None:
    """Writing to it is no error."""
    output.write("x", None)
    output.write_bytes(b"x", None)


def test_text_beyond_the_encoding_is_escaped() -> None:
    """A terminal in ASCII shows an escape instead of a traceback."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    output.write("é\n", stream)
    assert raw.getvalue() == b"\\xe9\n"


def test_printable_keeps_lines_and_tabs() -> None:
    """Everything else that is not printable is replaced."""
    assert output.printable("a\tb\nc\x07\x1b") == "a\tb\nc\ufffd\ufffd"
