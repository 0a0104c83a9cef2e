"""Answers: read whole, or as they come."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from attrs import field, frozen
from spawnery.errors import EngineError

from spawnery_kubernetes.errors import ApiError

_PIECE: Final = 64 * 1024
_LINE_LIMIT: Final = 16 * 1024 * 1024
"""No object of etcd is larger than 1.5 MiB; its JSON may be several times that."""
_WARNING: Final = re.compile(r'\b\d{3} [^ ,"]+ "((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")


@frozen
class Reply:
    """An answer that was read to its end.

    Attributes:
        status: HTTP status, 200 to 299.
        headers: Its header fields, by name in any case.
        body: Its body.
        warnings: Texts of its ``Warning`` header fields.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    warnings: tuple[str, ...] = ()

    def json(self) -> Any:
        """Decode the body; None where it is empty.

        Raises:
            EngineError: It is no JSON, so what answers is no Kubernetes API.
        """
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            text = self.body[:60].decode("utf-8", "replace")
            msg = f"what answers in the place of the cluster is no Kubernetes API: {text!r}"
            hint = "look at the server of the kubeconfig: kubectl cluster-info"
            raise EngineError(msg, hint=hint) from None


class LineStream:
    """The body of an answer, as it comes. One thread reads; any thread may close.

    Args:
        read: Waits for the next bytes; empty at a clean end. Raises ``Broken``.
        shut: Wakes who waits in ``read``.
        free: Closes the connection, when nobody is in ``read``; may be called again.
    """

    def __init__(
        self, read: Callable[[int], bytes], shut: Callable[[], None], free: Callable[[], None]
    ) -> None:
        self._read = read
        self._shut = shut
        self._free = free
        self._over = False
        self._reading = threading.Lock()
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
        try:
            with self._reading:
                data = b"" if self._over or self.closed else self._read(size)
                self._over = not data
        except Exception:
            self._over = True
            if self.closed:
                return b""
            raise
        finally:
            if self._over or self.closed:
                self._free()
        return b"" if self.closed else data

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
            if length > _LINE_LIMIT:
                parts = []
            else:
                parts.append(rest)
        if (last := b"".join(parts)) and not self.closed:
            yield last

    def close(self) -> None:
        """End it and free the connection: a reader that waits wakes up at once."""
        self._closed.set()
        self._shut()
        # Who is still reading frees it, when it sees that it is closed.
        if self._reading.acquire(blocking=False):
            try:
                self._free()
            finally:
                self._reading.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str
) -> ApiError:
    """Make the error of an answer: a metav1.Status, or whatever a proxy says."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    known = said if isinstance(said, dict) and said.get("kind") == "Status" else {}
    return ApiError(
        status,
        str(known.get("message") or body.decode("utf-8", "replace")),
        reason=known.get("reason") or "",
        details=known.get("details") or {},
        retry_after=_seconds(headers.get("Retry-After")),
        method=method,
        path=path,
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def warnings_of(values: Sequence[str]) -> tuple[str, ...]:
    """Return the texts of ``Warning`` header fields (RFC 7234: code, agent, quoted text)."""
    return tuple(_ESCAPED.sub(r"\1", text) for value in values for text in _WARNING.findall(value))
