"""The end of a log, bounded, with the values of secrets replaced; standard library only."""

from __future__ import annotations

MASK = b"***"
_SHORTEST = 4
"""As in ``spawnery.model.secret``: shorter values would be found in any text."""


class Tail:
    """Keeps the last bytes of what a job writes.

    A value is found although the cut goes through it, or although the other stream wrote between
    its halves: each stream keeps as much of what came before as the longest value is long.

    Args:
        limit: How many bytes are kept.
        secrets: Values to be replaced by ``***``; each line of one that has several, too.
    """

    def __init__(self, limit: int, secrets: list[bytes]) -> None:
        self._limit = limit
        values = {part for value in secrets for part in (value, *value.splitlines())}
        self._values = sorted((v for v in values if len(v) >= _SHORTEST), key=len, reverse=True)
        self._keep = limit + (len(self._values[0]) if self._values else 0)
        self._bytes: dict[int, bytearray] = {}
        self._runs: list[list[int]] = []
        self._total = 0

    def add(self, stream: int, data: bytes) -> None:
        """Take in what a stream wrote."""
        if not self._limit:
            return
        kept = self._bytes.setdefault(stream, bytearray())
        kept += data[-self._keep :]
        del kept[: max(0, len(kept) - self._keep)]
        size = min(len(data), self._limit)
        if self._runs and self._runs[-1][0] == stream:
            self._runs[-1][1] += size
        else:
            self._runs.append([stream, size])
        self._total += size
        self._trim()

    def _trim(self) -> None:
        while self._total > self._limit:
            first = self._runs[0]
            cut = min(first[1], self._total - self._limit)
            first[1] -= cut
            self._total -= cut
            if not first[1]:
                del self._runs[0]

    def text(self) -> str:
        """Return the end of the log, at most the limit in UTF-8."""
        at = {stream: len(kept) for stream, kept in self._bytes.items()}
        for stream, size in self._runs:
            at[stream] -= size
        spans = {stream: self._spans(bytes(kept)) for stream, kept in self._bytes.items()}
        parts: list[bytes] = []
        for stream, size in self._runs:
            parts += self._masked(stream, at[stream], at[stream] + size, spans[stream])
            at[stream] += size
        text = b"".join(parts).decode("utf-8", "replace")
        return text.encode()[-self._limit :].decode("utf-8", "ignore") if self._limit else ""

    def _spans(self, data: bytes) -> list[list[int]]:
        """Return where values are: begin, end, and whether the mask was shown already."""
        found = []
        for value in self._values:
            at = data.find(value)
            while at >= 0:
                found.append([at, at + len(value), 0])
                at = data.find(value, at + 1)
        merged: list[list[int]] = []
        for span in sorted(found):
            if merged and span[0] < merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], span[1])
            else:
                merged.append(span)
        return merged

    def _masked(self, stream: int, begin: int, end: int, spans: list[list[int]]) -> list[bytes]:
        kept, parts = self._bytes[stream], []
        for span in spans:
            if span[1] <= begin or span[0] >= end:
                continue
            parts.append(bytes(kept[begin : max(begin, span[0])]))
            if not span[2]:
                parts.append(MASK)
                span[2] = 1
            begin = min(span[1], end)
        parts.append(bytes(kept[begin:end]))
        return parts
