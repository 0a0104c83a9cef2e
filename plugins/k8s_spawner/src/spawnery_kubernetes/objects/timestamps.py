"""The log of a container as the API sends it, with the time at the beginning of each line: pure.

The kubelet joins the parts into which the container runtime splits a long line (16 KiB) and writes
the time before the first one only; the last line may lack its end. Bytes are those of the program.
A line without a time is none of the program: the kubelet writes what went wrong into the log
("unable to retrieve container logs for ..."), and after ``sinceTime`` the rest of a line may come
whose beginning is older.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from attrs import frozen

_STAMP: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ", re.ASCII
)
_LONGEST: Final = 36
_NANO: Final = 1_000_000_000
_SAID: Final = 300


@frozen
class Piece:
    """A piece of a line.

    Attributes:
        time: Nanoseconds since the epoch, of the beginning of its line.
        data: What the program wrote.
    """

    time: int
    data: bytes


class Stamps:
    """Takes bytes as they come, cut anywhere, and gives the pieces of lines.

    Attributes:
        said: The last line that had no time, as text: the kubelet's words where it is one of its.
    """

    def __init__(self) -> None:
        self._head = b""
        self._time: int | None = None
        self._inside = False
        self._second: tuple[bytes, int] = (b"", 0)
        self.said = ""

    def feed(self, data: bytes) -> list[Piece]:
        """Take in the next bytes."""
        pieces = []
        data, self._head = self._head + data, b""
        at, size = 0, len(data)
        while at < size:
            if not self._inside:
                begin = self._begin(data, at)
                if begin is None:
                    self._head = data[at:]
                    break
                self._inside, at = True, begin
            end = data.find(b"\n", at) + 1
            if end:
                self._inside = False
            part = data[at : end or size]
            at += len(part)
            if self._time is None:
                self.said = (self.said + part.decode("utf-8", "replace"))[:_SAID]
            elif part:
                pieces.append(Piece(self._time, part))
        return pieces

    def end(self) -> None:
        """Take in that no more comes: what looked like the beginning of a time was none."""
        if self._head:
            self.said = self._head.decode("utf-8", "replace")

    def _begin(self, data: bytes, at: int) -> int | None:
        """Read the time of a line; returns where its text begins, None where more has to come."""
        match = _STAMP.match(data, at)
        if match is None and len(data) - at < _LONGEST and b"\n" not in data[at:]:
            return None
        self._time = None if match is None else self._read(*match.groups())
        if match is not None and self._time is not None:
            return match.end()
        self.said = ""
        return at

    def _read(self, day: bytes, fraction: bytes | None, zone: bytes) -> int | None:
        if self._second[0] != day + zone:
            try:
                when = datetime.fromisoformat((day + zone).decode())
            except ValueError:
                return None
            self._second = day + zone, int(when.timestamp())
        return self._second[1] * _NANO + int((fraction or b"").ljust(9, b"0"))
