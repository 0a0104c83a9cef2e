"""Logs as text and as lines: the border of a chunk is never seen."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spawnery import LogChunk, LogStream, LogText
from spawnery.contract import gap_in_words
from spawnery.contract.log_text import LineDecoder
from spawnery.errors import StreamLost


class Log(LogStream):
    """A log of chunks that are given; it breaks at its end where it is told so."""

    def __init__(self, chunks, error=None):
        self._chunks = iter(chunks)
        self._error = error

    def __next__(self):
        for chunk in self._chunks:
            return chunk
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self):
        """Nothing to let go of."""


def chunk(data, stream="stdout", lost=0):
    return LogChunk(stream=stream, data=data, cursor="c", lost=lost)


pieces = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.binary(max_size=6) | st.sampled_from(["é", "€", "😀", "\n", "a\r\n"]).map(str.encode),
    ),
    max_size=12,
)


def cut(parts):
    """Cut every piece into bytes, so that every character is cut."""
    return [chunk(bytes([byte]), stream) for stream, data in parts for byte in data]


def whole(parts, stream):
    return b"".join(data for name, data in parts if name == stream)


@given(pieces)
@example([("stdout", "é".encode()), ("stderr", "é".encode())])
def test_text_is_what_the_whole_log_decodes_to(parts):
    """Wherever the chunks end, and whatever the other stream says between them."""
    for chunks in ([chunk(data, stream) for stream, data in parts], cut(parts)):
        found = list(Log(chunks).text())
        for stream in ("stdout", "stderr"):
            text = "".join(piece.text for piece in found if piece.stream == stream)
            assert text == whole(parts, stream).decode(errors="replace")


@given(pieces)
@example([("stdout", b"a\r"), ("stderr", b"x\n"), ("stdout", b"\nb")])
def test_lines_are_those_of_the_whole_log(parts):
    """Each line once, of each stream in order; the last one may have no end."""
    for chunks in ([chunk(data, stream) for stream, data in parts], cut(parts)):
        found = list(Log(chunks).lines())
        for stream in ("stdout", "stderr"):
            *wanted, rest = whole(parts, stream).decode(errors="replace").split("\n")
            wanted = [line.removesuffix("\r") for line in wanted] + ([rest] if rest else [])
            assert [line.text for line in found if line.stream == stream] == wanted


def test_a_line_comes_when_it_is_complete():
    """A reader that follows a job is not kept waiting for the next line."""
    decoder = LineDecoder()
    assert [line.text for line in decoder.feed(chunk(b"one\ntw"))] == ["one"]
    assert [line.text for line in decoder.feed(chunk(b"o\n"))] == ["two"]


def test_a_line_without_end_is_cut():
    """What never ends does not grow in memory."""
    decoder = LineDecoder(longest=4)
    assert [line.text for line in decoder.feed(chunk(b"0123456789"))] == ["0123", "4567"]
    assert [line.text for line in decoder.end()] == ["89"]


def test_what_was_dropped_is_told_and_not_joined():
    """The halves around a gap are two lines, and two characters that are no character."""
    log = [chunk(b"begin \xc3"), chunk(b"\xa9nd\n", lost=7), chunk(b"more\n")]
    assert list(Log(log).lines()) == [
        LogText(stream="stdout", text="begin \N{REPLACEMENT CHARACTER}"),
        LogText(stream="stdout", text="\N{REPLACEMENT CHARACTER}nd", lost=7),
        LogText(stream="stdout", text="more"),
    ]


def test_a_gap_of_unknown_size_is_told_once():
    """Its reason stands at the first line behind it, or alone at the end of the log."""
    gap = LogChunk(stream="stdout", data=b"two\nthree", cursor="c", lost_reason="rotated")
    end = LogChunk(stream="stdout", data=b"", cursor="c", lost_reason="rotated")
    found = list(Log([chunk(b"on"), gap, end]).lines())
    assert [(line.text, line.lost_reason) for line in found] == [
        ("on", None),
        ("two", "rotated"),
        ("three", None),
        ("", "rotated"),
    ]
    pieces = list(Log([gap, end]).text())
    assert [(piece.text, piece.gap) for piece in pieces] == [("two\nthree", True), ("", True)]
    assert "may be missing before this point: rotated" in gap_in_words(gap)


def test_a_broken_stream_gives_what_came_before_it():
    """The half of a line is not lost with the connection."""
    lines = Log([chunk(b"one\ntwo")], error=StreamLost("cut")).lines()
    assert [next(lines).text, next(lines).text] == ["one", "two"]
    with pytest.raises(StreamLost):
        next(lines)


def test_a_real_log(fake):
    """The stream that the facade returns, in the three ways."""
    case = fake()
    job_id = case.spawn("print:grün", "err:oh", retention_seconds=60).job_id
    case.spawner.wait(job_id, timeout=60)
    with case.spawner.logs(job_id) as log:
        assert [(line.stream, line.text) for line in log.lines()] == [
            ("stdout", "grün"),
            ("stderr", "oh"),
        ]
    with case.spawner.logs(job_id) as log:
        assert "".join(piece.text for piece in log.text()) == "grün\noh\n"
