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
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII
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
        at = 0
        while at < len(data):
            if not self._inside:
                at = self._stamp(data, at)
                continue
            end = data.find(b"\n", at) + 1
            self._inside = end == 0
            part = data[at : end or len(data)]
            at += len(part)
            if self._time is None:
                self.said = (self.said + part.decode("utf-8", "replace"))[:_SAID]
            else:
                pieces.append(Piece(self._time, part))
        return pieces

    def end(self) -> None:
        """Take in that no more comes: what looked like the beginning of a time was none."""
        if self._head:
            self.said = self._head.decode("utf-8", "replace")

    def _stamp(self, data: bytes, at: int) -> int:
        """Read the time of a line, as far as it is there; returns where its text begins."""
        head = self._head + data[at : at + _LONGEST - len(self._head)]
        stamp, space, _ = head.partition(b" ")
        if not space and len(head) < _LONGEST and b"\n" not in head:
            self._head = head
            return len(data)
        self._time = self._read(stamp) if space else None
        self._inside = True
        before, self._head = len(self._head), b""
        if self._time is not None:
            return at + len(stamp) + 1 - before
        self.said = head[:before].decode("utf-8", "replace")
        return at

    def _read(self, stamp: bytes) -> int | None:
        match = _STAMP.match(stamp)
        if match is None:
            return None
        day, fraction, zone = match.groups()
        if self._second[0] != day + zone:
            try:
                when = datetime.fromisoformat((day + zone).decode())
            except ValueError:
                return None
            self._second = day + zone, int(when.timestamp())
        return self._second[1] * _NANO + int((fraction or b"").ljust(9, b"0"))
