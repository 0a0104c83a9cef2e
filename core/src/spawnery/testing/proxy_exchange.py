"""One request through the fault proxy: what each fault does to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from spawnery.testing.faults import Fault, Hook, Rule, Seen
from spawnery.testing.proxy_http import (
    BadMessage,
    Framing,
    Head,
    Piece,
    becomes_pipe,
    body_pieces,
    read_head,
    request_framing,
    response_framing,
)
from spawnery.testing.proxy_wire import Wire, pipe

_log = logging.getLogger(__name__)
_REPLACED = (Fault.DROP_AFTER, Fault.ERROR_500_AFTER)


class Desk(Protocol):
    """What an exchange needs from the proxy."""

    on_request: Hook | None
    on_response: Hook | None

    def record(self, method: str, path: str) -> Seen:
        """Write the request into the journal."""

    def strike(self, seen: Seen) -> Rule:
        """Return the rule that strikes the request."""

    def released(self) -> asyncio.Event:
        """Return what is set by the next ``clear()``."""

    async def upstream(self) -> Wire:
        """Connect to the engine."""


async def serve(desk: Desk, client: Wire) -> None:
    """Answer the requests of one connection until it ends."""
    while (head := await read_head(client.reader)) is not None:
        if not await Exchange(desk, client, head).run():
            return


class Exchange:
    """One request and its reply."""

    def __init__(self, desk: Desk, client: Wire, request: Head) -> None:
        self._desk = desk
        self._client = client
        self._request = request
        self._method = request.start[0]
        self._seen = desk.record(self._method, request.start[1])

    async def run(self) -> bool:
        """Carry it out; whether the connection is good for another request."""
        if not await self._tell(self._desk.on_request):
            return False
        rule = self._desk.strike(self._seen)
        special: dict[Fault, Callable[[Rule], Awaitable[bool]]] = {
            Fault.DROP_BEFORE: self._drop,
            Fault.STALL: self._stall,
            Fault.ERROR_500: self._refuse,
        }
        if rule.fault in special:
            return await special[rule.fault](rule)
        if rule.fault is Fault.DELAY:
            await self._pause(rule.delay_seconds)
        return await self._forward(rule)

    async def _tell(self, hook: Hook | None) -> bool:
        """Call a hook outside the loop; False, with the connection dropped, when it raises."""
        if hook is None:
            return True
        try:
            await asyncio.to_thread(hook, self._seen)
        except Exception:  # noqa: BLE001 - whatever a test's hook raises
            _log.exception("a hook of the fault proxy failed at request %s", self._seen)
            self._client.drop()
            return False
        return True

    async def _drop(self, _rule: Rule) -> bool:
        """Close without an answer."""
        self._client.drop()
        return False

    async def _stall(self, _rule: Rule) -> bool:
        """Wait for the release (or for the caller to go), then close."""
        await _first(self._desk.released().wait(), self._client.reader.ended.wait())
        self._client.drop()
        return False

    async def _pause(self, seconds: float) -> None:
        """Wait, or until the release."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._desk.released().wait()

    async def _refuse(self, rule: Rule) -> bool:
        """Read the request to its end and answer it ourselves."""
        patient = "100-continue" not in self._request.tokens("expect")
        if patient:
            async for _piece in body_pieces(self._client.reader, request_framing(self._request)):
                pass
        await self._answer(rule)
        return patient and self._request.keeps_alive()

    async def _answer(self, rule: Rule) -> None:
        """Send the rule's answer."""
        known = {status.value: status.phrase for status in HTTPStatus}
        fields = [*rule.headers, ("Content-Length", str(len(rule.body)))]
        lines = [f"HTTP/1.1 {rule.status} {known.get(rule.status, 'Injected')}"]
        lines += [f"{name}: {value}" for name, value in fields]
        raw = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        await self._client.send(raw if self._method == "HEAD" else raw + rule.body)

    async def _forward(self, rule: Rule) -> bool:
        """Let the engine act, and do to its reply what the rule says."""
        engine = await self._desk.upstream()
        body = asyncio.create_task(self._send_request(engine))
        watch = asyncio.create_task(self._pass_end_on(body, engine))
        try:
            return await self._reply(rule, engine, body, watch)
        finally:
            engine.drop()
            body.cancel()
            watch.cancel()
            await asyncio.gather(body, watch, return_exceptions=True)

    async def _send_request(self, engine: Wire) -> None:
        """Send head and body as they come; a caller that ends too early ends the engine's side."""
        try:
            await engine.send(self._request.raw)
            async for piece in body_pieces(self._client.reader, request_framing(self._request)):
                await engine.send(piece.data)
        except BadMessage:
            engine.drop()
        except OSError:
            # The engine took no more; its answer, if any, is still to be read.
            return

    async def _pass_end_on(self, body: asyncio.Task[None], engine: Wire) -> None:
        """When the caller sends no more or is gone, let the engine know."""
        await asyncio.wait([body])
        await self._client.reader.ended.wait()
        if self._client.lost:
            engine.drop()
        elif self._client.reader.at_eof():
            # Otherwise bytes for a pipe, or another request, are still to be read.
            engine.end()

    async def _reply(
        self, rule: Rule, engine: Wire, body: asyncio.Task[None], watch: asyncio.Task[None]
    ) -> bool:
        """Read the engine's reply and pass it on; whether the caller's connection stays good."""
        head = await self._final_head(engine)
        piped = becomes_pipe(self._method, head)
        framing = response_framing(self._method, head)
        early = await self._read_early(rule, engine, framing, piped=piped)
        if not await self._tell(self._desk.on_response):
            return False
        if rule.fault is Fault.DROP_AFTER:
            return await self._drop(rule)
        if rule.fault is Fault.ERROR_500_AFTER:
            await self._answer(rule)
            return False
        await self._client.send(head.raw)
        if rule.fault is Fault.CUT_MID_STREAM:
            kind = Framing("close") if piped else framing
            await self._cut(rule.after_bytes, _joined(early, engine, kind))
            return False
        if piped:
            watch.cancel()
            await asyncio.wait([body])
            await pipe(self._client, engine)
            return False
        async for piece in _joined(early, engine, framing):
            await self._client.send(piece.data)
        alive = self._request.keeps_alive() and head.keeps_alive()
        return alive and body.done() and framing.kind != "close"

    async def _final_head(self, engine: Wire) -> Head:
        """Return the head of the reply; interim ones (100 Continue) go to the caller at once."""
        while True:
            head = await read_head(engine.reader)
            if head is None:
                message = "the engine closed the connection without a reply"
                raise BadMessage(message)
            switched = head.status == HTTPStatus.SWITCHING_PROTOCOLS
            if switched or head.status >= HTTPStatus.OK:
                return head
            await self._client.send(head.raw)

    async def _read_early(
        self, rule: Rule, engine: Wire, framing: Framing, *, piped: bool
    ) -> list[Piece] | None:
        """Read the body before the reply goes on, where something waits for all of it.

        A hook waits for a body of known length; a stream is told of at its header, or its caller
        would wait for ever. A reply that nobody gets is read to its end, except the stream of a
        GET, which may have none: for other methods the end of the reply is the end of the action.
        """
        replaced = rule.fault in _REPLACED
        bounded = framing.kind in {"none", "length"} or (replaced and self._method != "GET")
        if piped or not bounded or not (replaced or self._desk.on_response):
            return None
        return [piece async for piece in body_pieces(engine.reader, framing)]

    async def _cut(self, after_bytes: int, pieces: AsyncIterator[Piece]) -> None:
        """Send that much of the body, then reset."""
        left = after_bytes
        while left:
            piece = await anext(pieces, None)
            if piece is None:
                break
            data = piece.data[:left] if piece.payload else piece.data
            left -= len(data) if piece.payload else 0
            await self._client.send(data)
        await self._client.flushed()
        self._client.reset()


async def _joined(
    early: list[Piece] | None, engine: Wire, framing: Framing
) -> AsyncIterator[Piece]:
    """Yield a body that was read already, or else as it comes."""
    if early is not None:
        for piece in early:
            yield piece
        return
    async for piece in body_pieces(engine.reader, framing):
        yield piece


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for the first of several."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
