"""Answers: read whole, or as they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from attrs import field, frozen

from spawnery_kubernetes.errors import ApiError

_PIECE: Final = 64 * 1024
_LINE_LIMIT: Final = 16 * 1024 * 1024
"""No object of etcd is larger than 1.5 MiB; its JSON may be several times that."""


@frozen
class Reply:
    """An answer that was read to its end.

    Attributes:
        status: HTTP status, below 400.
        headers: Its header fields, by name in any case.
        body: Its body.
        warnings: Texts of its ``Warning`` header fields.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    warnings: tuple[str, ...] = ()

    def json(self) -> Any:
        """Decode the body; None where it is empty."""
        return json.loads(self.body) if self.body else None


class LineStream:
    """The body of an answer, as it comes. One thread reads; any thread may close.

    Args:
        read: Waits for the next bytes; empty at a clean end. Raises ``Broken``.
        shut: Ends the connection and wakes who waits in ``read``.
        release: Frees the connection; may be called again.
    """

    def __init__(
        self, read: Callable[[int], bytes], shut: Callable[[], None], release: Callable[[], None]
    ) -> None:
        self._read = read
        self._shut = shut
        self._release = release
        self._over = False
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def read1(self, size: int = _PIECE) -> bytes:
        """Wait for the next bytes; empty at a clean end and after ``close``.

        Raises:
            Broken: The connection broke, or stayed silent for too long.
        """
        if self._closed.is_set() or self._over:
            return b""
        try:
            data = self._read(size)
        except Exception:
            self._over = True
            self._release()
            if self._closed.is_set():
                return b""
            raise
        if not data:
            self._over = True
            self._release()
        return b"" if self._closed.is_set() else data

    def lines(self) -> Iterator[bytes]:
        """Yield the lines without their ends; one that is far too long is left out.

        Raises:
            Broken: See ``read1``. The beginning of a line that was cut is left out.
        """
        parts: list[bytes] = []
        length = 0
        while data := self.read1():
            *whole, rest = data.split(b"\n")
            for line in whole:
                if length + len(line) <= _LINE_LIMIT:
                    yield b"".join([*parts, line])
                parts, length = [], 0
            length += len(rest)
            parts = [*parts, rest] if length <= _LINE_LIMIT else []
        last = b"".join(parts)
        if last and not self.closed:
            yield last

    def close(self) -> None:
        """End it and free the connection: a reader that waits wakes up at once."""
        if not self._closed.is_set():
            self._closed.set()
            self._shut()
            self._release()


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str
) -> ApiError:
    """Make the error of an answer: a metav1.Status, or whatever a proxy says."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    known = said if isinstance(said, dict) and said.get("kind") == "Status" else {}
    text = known.get("message") or body.decode("utf-8", "replace")
    return ApiError(
        status,
        text,
        reason=known.get("reason") or "",
        details=known.get("details") or {},
        retry_after=_seconds(headers.get("Retry-After")),
        method=method,
        path=path,
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def warnings_of(values: list[str]) -> tuple[str, ...]:
    """Return the texts of ``Warning`` header fields (RFC 7234: code, agent, quoted text)."""
    texts = (value.partition('"')[2].rpartition('"')[0] for value in values)
    return tuple(text.replace('\\"', '"') for text in texts if text)
