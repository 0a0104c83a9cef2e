"""Takes Docker's framed streams apart: what the daemon sends for logs and for attach.

A frame is a byte that names the stream, three zeros, the size as four bytes in network order and
so many bytes of payload (Docker Engine API, "Attach to a container", stream format). With
``timestamps=1`` each payload of a log begins with its time and a blank, also the later parts of a
line that the daemon split because it is longer than 16 KiB.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2
NAMES: Final = {STDOUT: "stdout", STDERR: "stderr"}

LARGEST_PIECE: Final = 1 << 16
"""A longer payload is handed on in pieces of this size, so memory stays bounded."""

Message = tuple[int, int, bytes]
"""Stream, time in nanoseconds since the epoch (0 where frames carry none), data."""

_HEADER: Final = struct.Struct(">BxxxL")
_USUAL_STREAMS: Final = (b"\1\0\0\0", b"\2\0\0\0")
_ZEROS: Final = b"\0\0\0"
_TROUBLE: Final = 3
_USUAL_STAMP: Final = 31
_STAMP: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ", re.ASCII
)


class Malformed(ValueError):
    """The bytes are not a stream of frames."""


class DaemonTrouble(ValueError):
    """The daemon wrote into the stream why it cannot go on; the text is its own."""


class Demultiplexer:
    """Cuts messages out of a framed stream, however its bytes arrive.

    The same bytes give the same messages in whatever pieces they are fed. At most one frame of
    ``LARGEST_PIECE`` is held back.

    Args:
        stamped: Whether each payload begins with a time.
    """

    def __init__(self, *, stamped: bool) -> None:
        self._stamped = stamped
        self._rest = b""
        self._stream = 0
        self._stamp = 0
        self._left = 0
        self._second_dot = b""
        self._second_ns = 0

    @property
    def whole(self) -> bool:
        """Whether the stream may end here: no frame was begun."""
        return not self._rest and not self._left

    def feed(self, data: bytes) -> list[Message]:
        """Take in bytes; returns what is complete with them.

        Raises:
            Malformed: The bytes are no frames.
            DaemonTrouble: The daemon reports an error in the stream.
        """
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        found: list[Message] = []
        while True:
            if self._left:
                stop = at + min(self._left, LARGEST_PIECE)
                if stop > end:
                    break
                self._left -= stop - at
                found.append((self._stream, self._stamp, buffer[at:stop]))
                at = stop
                continue
            if end - at < _HEADER.size:
                break
            stream, size = _HEADER.unpack_from(buffer, at)
            begin = at + _HEADER.size
            stop = begin + min(size, LARGEST_PIECE)
            if (
                _USUAL_STAMP < size <= LARGEST_PIECE
                and stop <= end
                and buffer[at : at + 4] in _USUAL_STREAMS
                and buffer[begin : begin + 20] == self._second_dot
                and buffer[begin + 29 : begin + _USUAL_STAMP] == b"Z "
                and (nanos := buffer[begin + 20 : begin + 29]).isdigit()
            ):  # a line of the same second as the one before, inlined: logs consist of these
                line = buffer[begin + _USUAL_STAMP : stop]
                found.append((stream, self._second_ns + int(nanos), line))
                at = stop
                continue
            if stop > end:
                self._check(buffer, at, stream)
                break
            found += self._begin(buffer, at, stream, buffer[begin:stop])
            self._left = size - (stop - begin)
            at = stop
        self._rest = buffer[at:]
        return found

    def _begin(self, buffer: bytes, at: int, stream: int, payload: bytes) -> tuple[Message, ...]:
        """Return the message that a frame begins with, if it has data."""
        self._check(buffer, at, stream)
        if stream == _TROUBLE:
            raise DaemonTrouble(payload.decode("utf-8", "replace").strip())
        self._stream = stream or STDOUT
        if self._stamped:
            self._stamp, size = self._time(payload)
            payload = payload[size:]
        return ((self._stream, self._stamp, payload),) if payload else ()

    @staticmethod
    def _check(buffer: bytes, at: int, stream: int) -> None:
        if stream > _TROUBLE or buffer[at + 1 : at + 4] != _ZEROS:
            msg = f"no frame of stdout or stderr begins with {buffer[at : at + 4].hex(' ')}"
            raise Malformed(msg)

    def _time(self, payload: bytes) -> tuple[int, int]:
        """Return the time at the beginning of a payload, and how long its text is."""
        if payload[29:31] == b"Z " and payload[19:20] == b".":
            nanos = payload[20:29]
            if nanos.isdigit():
                return self._seconds(payload[:19]) + int(nanos), _USUAL_STAMP
        match = _STAMP.match(payload)
        if match is None:
            msg = f"no time at the beginning of a line of the log: {payload[:40]!r}"
            raise Malformed(msg)
        second, nanos, zone = match.groups(default=b"")
        text = (second + (b"+00:00" if zone == b"Z" else zone)).decode()
        whole = int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000
        return whole + int(nanos.ljust(9, b"0")), match.end()

    def _seconds(self, second: bytes) -> int:
        """Return the nanoseconds since the epoch of a second; lines come in bursts of one."""
        if second + b"." != self._second_dot:
            try:
                moment = datetime.fromisoformat(second.decode()).replace(tzinfo=UTC)
            except ValueError as error:
                msg = f"no time at the beginning of a line of the log: {second!r}"
                raise Malformed(msg) from error
            self._second_dot = second + b"."
            self._second_ns = int(moment.timestamp()) * 1_000_000_000
        return self._second_ns
