"""What is missing of a job's log is told to those who read it through the dispatcher."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from spawnery.contract import LogText
from spawnery.model import LogChunk
from spawnery_dispatcher.service import Service
from spawnery_dispatcher.web.api import Api

CHUNKS = [
    LogChunk(stream="stdout", data=b"one\n", cursor="1"),
    LogChunk(stream="stdout", data=b"four\n", cursor="2", lost=12),
    LogChunk(stream="stdout", data=b"", cursor="3", lost_reason="a new file was begun"),
]


class Log:
    """A log of these chunks."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to let go of."""

    async def __aiter__(self) -> Any:
        for chunk in CHUNKS:
            yield chunk

    async def text(self) -> Any:
        for chunk in CHUNKS:
            yield LogText(
                stream=chunk.stream,
                text=chunk.data.decode(),
                lost=chunk.lost,
                lost_reason=chunk.lost_reason,
            )


class Parts:
    """What is needed to read a log."""

    @property
    def spawner(self) -> Parts:
        return self

    async def logs(self, *_: object, **__: object) -> Log:
        return Log()


def test_the_text_says_where_something_is_missing() -> None:
    """In lines of their own, in place."""
    service = object.__new__(Service)
    service.parts = Parts()  # type: ignore[assignment]
    text = asyncio.run(service._read_log("job"))
    assert text.startswith("one\n\n[12 bytes of the log are missing before this point")
    assert "]\nfour\n" in text
    assert text.endswith("may be missing before this point: a new file was begun]\n")


def test_events_carry_what_is_missing() -> None:
    """As ``spawnery logs --json``: a number, or null where it is not known."""
    api = object.__new__(Api)
    api._parts = Parts()  # type: ignore[assignment]

    async def events() -> list[str]:
        return [event async for event in api._log_lines("job")]

    found = [
        json.loads(line.removeprefix("data: "))
        for event in asyncio.run(events())
        for line in event.splitlines()
        if line.startswith("data: ")
    ]
    assert [piece.get("lost_bytes", 0) for piece in found] == [0, 12, None, 0]
    assert "a new file was begun" in found[2]["lost"]
