"""Takes chunked bodies apart (RFC 9112, section 7.1), many small chunks at a time.

The daemon sends each line of a log as a chunk; ``http.client`` reads a chunk with several calls,
which costs several times what the rest of reading a log does.
"""

from __future__ import annotations

import http.client
from typing import Final

_LONGEST_HEAD: Final = 4096


class Dechunker:
    """Yields the bytes of a chunked body, however it arrives.

    Attributes:
        over: Whether the last chunk was seen.
    """

    def __init__(self) -> None:
        self.over = False
        self._rest = b""
        self._left = 0
        self._ending = False

    def feed(self, data: bytes) -> bytes:
        """Take in bytes of the connection; returns those of the body.

        Raises:
            http.client.HTTPException: The body is not chunked as it should be.
        """
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        parts = []
        while not self.over:
            if self._left:
                stop = min(end, at + self._left)
                parts.append(buffer[at:stop])
                self._left -= stop - at
                at = stop
                if self._left:
                    break
                self._ending = True
            if self._ending:
                if end - at < 2:  # noqa: PLR2004 - CR and LF
                    break
                at += 2
                self._ending = False
            line = buffer.find(b"\r\n", at)
            if line < 0:
                break
            self._left = _size(buffer[at:line])
            self.over = not self._left
            at = line + 2
        self._rest = buffer[at:]
        if len(self._rest) > _LONGEST_HEAD:
            msg = "chunk size"
            raise http.client.LineTooLong(msg)
        return b"".join(parts)


def _size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        msg = f"not the size of a chunk: {line[:40]!r}"
        raise http.client.HTTPException(msg) from None
