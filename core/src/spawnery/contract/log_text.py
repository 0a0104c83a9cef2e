"""The log of a job as text or lines: characters that are cut by the end of a chunk stay whole."""

from __future__ import annotations

import codecs
from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from attrs import evolve, frozen

from spawnery.contract.streams import JobStream
from spawnery.errors import SpawnerError
from spawnery.model.outcome import LogChunk

_DECODER: Final = codecs.getincrementaldecoder("utf-8")
LONGEST_LINE: Final = 1 << 20
"""Characters after which ``lines`` cuts a line that does not end."""


@frozen(kw_only=True)
class LogText:
    """A piece of a log's text, or one line of it.

    Attributes:
        stream: ``stdout`` or ``stderr``.
        text: The text; a line is without its end (LF or CR LF).
        time: When the engine received its last bytes, where known.
        lost, lost_reason: What is missing before it; see ``LogChunk``. At the end of a log it may
            come with an empty text.
    """

    stream: str
    text: str
    time: datetime | None = None
    lost: int = 0
    lost_reason: str | None = None

    @property
    def gap(self) -> bool:
        """Whether bytes are missing before it, or may be."""
        return self.lost > 0 or self.lost_reason is not None


def gap_in_words(piece: LogChunk | LogText) -> str:
    """Say what is missing of a log before a piece that has a gap."""
    if not piece.lost:
        return f"a part of the log may be missing before this point: {piece.lost_reason}"
    if piece.lost_reason is None:
        return f"{piece.lost:,} bytes of the log are missing before this point: they were not kept"
    return f"at least {piece.lost:,} bytes of the log are missing here: {piece.lost_reason}"


class TextDecoder:
    """Decodes the chunks of one log as UTF-8, each stream for itself.

    What is no UTF-8 becomes U+FFFD. Feed it every chunk in order, and call ``end`` once.
    """

    def __init__(self) -> None:
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def feed(self, chunk: LogChunk) -> Iterator[LogText]:
        """Return what is complete with this chunk; the rest of a character comes with the next."""
        if chunk.gap:
            yield from self._flush(chunk.stream)
        decoder = self._decoders.setdefault(chunk.stream, _DECODER("replace"))
        text = decoder.decode(chunk.data)
        if text or chunk.gap:
            yield LogText(
                stream=chunk.stream,
                text=text,
                time=chunk.time,
                lost=chunk.lost,
                lost_reason=chunk.lost_reason,
            )

    def end(self) -> Iterator[LogText]:
        """Return what is left of characters that were never completed."""
        for stream in list(self._decoders):
            yield from self._flush(stream)

    def _flush(self, stream: str) -> Iterator[LogText]:
        decoder = self._decoders.pop(stream, None)
        text = "" if decoder is None else decoder.decode(b"", final=True)
        if text:
            yield LogText(stream=stream, text=text)


class LineDecoder:
    """As ``TextDecoder``, in lines: each is complete, but the last one of a stream and what is cut.

    Args:
        longest: Characters after which a line is cut.
    """

    def __init__(self, *, longest: int = LONGEST_LINE) -> None:
        self._decoder = TextDecoder()
        self._longest = longest
        self._open: dict[str, LogText] = {}

    def feed(self, chunk: LogChunk) -> Iterator[LogText]:
        """Return the lines that are complete with this chunk."""
        for piece in self._decoder.feed(chunk):
            yield from self._lines(piece)

    def end(self) -> Iterator[LogText]:
        """Return the last line of each stream, where it has no end."""
        for piece in self._decoder.end():
            yield from self._lines(piece)
        for stream in list(self._open):
            yield from self._rest(stream)

    def _lines(self, piece: LogText) -> Iterator[LogText]:
        if piece.gap:
            yield from self._rest(piece.stream)
        before = self._open.pop(piece.stream, None)
        # The gap before the piece is that before its first line.
        first = piece if before is None else before
        following = evolve(piece, lost=0, lost_reason=None)
        line = evolve(piece, lost=first.lost, lost_reason=first.lost_reason)
        *complete, rest = ((before.text if before else "") + piece.text).split("\n")
        for text in complete:
            yield evolve(line, text=text.removesuffix("\r"))
            line = following
        while len(rest) > self._longest:
            yield evolve(line, text=rest[: self._longest])
            rest, line = rest[self._longest :], following
        if rest or line.gap:
            time = piece.time or (before.time if before else None)
            self._open[piece.stream] = evolve(line, text=rest, time=time)

    def _rest(self, stream: str) -> Iterator[LogText]:
        line = self._open.pop(stream, None)
        if line is not None:
            yield line


class LogStream(JobStream[LogChunk]):
    """The log of a job: an iterator over ``LogChunk``, or over ``text()`` or ``lines()`` instead.

    Text is UTF-8; what is none becomes U+FFFD. stdout and stderr are decoded each for itself, and a
    character whose bytes are in two chunks stays whole. Take one of the three ways, not several.
    """

    def text(self) -> Iterator[LogText]:
        """Read the log as text, in pieces as they come.

        Raises:
            SpawnerError: As reading the chunks does, after the text that came before.
        """
        return _decoded(self, TextDecoder())

    def lines(self) -> Iterator[LogText]:
        """Read the log line by line, each when it is complete; the last one may have no end.

        A line of more than 1,048,576 characters comes in several pieces.

        Raises:
            SpawnerError: As reading the chunks does, after the lines that came before.
        """
        return _decoded(self, LineDecoder())

    @abstractmethod
    def __next__(self) -> LogChunk:
        """Wait for the next chunk."""


def _decoded(stream: LogStream, decoder: TextDecoder | LineDecoder) -> Iterator[LogText]:
    try:
        for chunk in stream:
            yield from decoder.feed(chunk)
    except SpawnerError:
        yield from decoder.end()
        raise
    yield from decoder.end()
