"""Slack on loopback with Socket Mode: it gives out addresses of web sockets, and envelopes on them.

It behaves as docs.slack.dev says (apis/events-api/using-socket-mode): ``apps.connections.open``
takes only an app-level token, and only in the header; an address is good for one connection; a
connection begins with ``hello``, is pinged, and ends some time after ``disconnect`` (``warning``,
``refresh_requested``) or at once (``link_disabled``, when Socket Mode is switched off); an event
that is not acknowledged within three seconds by its ``envelope_id``, or whose connection breaks,
is sent again, on whatever connection there is then, with ``retry_attempt`` and ``retry_reason``.
What people did on a message or as a slash command is sent once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from aiohttp import WSMsgType, web
from slack_server import ACK_SECONDS, APP_TOKEN, TOKEN, SlackServer

T = TypeVar("T")

PATIENCE = 60.0


@dataclass(frozen=True)
class Ack:
    """How a delivery was acknowledged.

    Attributes:
        attempt: How many deliveries before it were not.
        payload: What came with it.
    """

    attempt: int
    payload: dict[str, Any]


@dataclass(eq=False)
class Link:
    """One connection."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport
    number: int
    pongs: int = 0
    silent: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class SlackSocketServer(SlackServer):
    """See ``SlackServer``; its dispatchers have ``intake = "socket"``.

    Attributes:
        app_token: The right one.
        lost_acks: How many acknowledgements are lost on their way, from now on.
        tickets: Those that were given out: each is in one address.
        asked: When an address was asked for, whether it was given or not; seconds, monotonic.
    """

    def __init__(self) -> None:
        super().__init__()
        self.app_token = APP_TOKEN
        self.lost_acks = 0
        self.tickets: list[str] = []
        self.asked: list[float] = []
        self._on = True
        self._unused: set[str] = set()
        self._links: list[Link] = []
        self._linked = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._socket_port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._runner = self._do(self._listen())
        self._socket_port = self._runner.addresses[0][1]
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what a test sees and does -----------------------------------------------------------

    @property
    def links(self) -> list[int]:
        """The numbers of the connections that are open, oldest first."""
        return [link.number for link in self._links]

    def deliver_envelope(
        self, payload: dict[str, Any], *, kind: str = "events_api", over: int | None = None
    ) -> Ack | None:
        """Deliver something; None where it is not acknowledged as often as it is tried.

        Args:
            payload: As over HTTP.
            kind: ``events_api``, ``interactive`` or ``slash_commands``.
            over: Number of the connection that is tried first; the newest where left out.
        """
        return self._do(self._deliver(payload, kind, over))

    def warn(self, number: int, reason: str) -> None:
        """Tell that a connection will be closed; ``close`` does it."""
        self._do(self._link(number).socket.send_json(_disconnect(reason)))

    def close(self, number: int) -> None:
        """Close a connection in order."""
        self._do(self._closed(self._link(number)))

    def cut(self, number: int) -> None:
        """Cut the TCP connection."""
        self._do(self._cut(self._link(number)))

    def fall_silent(self, number: int) -> None:
        """Say and acknowledge nothing more, as a connection that is lost on its way does."""
        self._link(number).silent = True

    def send(self, number: int, text: str) -> None:
        """Send whatever text."""
        self._do(self._link(number).socket.send_str(text))

    def ping(self, number: int) -> int:
        """Ping over a connection; returns how many pongs came so far."""
        link = self._link(number)
        self._do(link.socket.ping())
        return link.pongs

    def switch(self, *, on: bool) -> None:
        """Switch Socket Mode on or off in the app's settings."""
        self._on = on
        if not on:
            self._do(self._disable())

    # -- the API -----------------------------------------------------------------------------

    def refusal(self, method: str, authorization: str) -> str:
        """Return the error that a token is answered with."""
        if method != "apps.connections.open":
            return super().refusal(method, authorization)
        self.asked.append(time.monotonic())
        if authorization == f"Bearer {TOKEN}":
            return "not_allowed_token_type"
        return "" if authorization == f"Bearer {self.app_token}" else "invalid_auth"

    def apps_connections_open(self, _given: dict[str, Any]) -> dict[str, Any]:
        ticket = f"ticket-{next(self._numbers)}-{time.time_ns()}"
        self.tickets.append(ticket)
        self._unused.add(ticket)
        return {
            "ok": True,
            "url": f"ws://127.0.0.1:{self._socket_port}/link/?ticket={ticket}&app_id=A1",
        }

    # -- inside ------------------------------------------------------------------------------

    def _do(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(PATIENCE)

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/link/", self._connected)
        runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    def _link(self, number: int) -> Link:
        return next(link for link in self._links if link.number == number)

    async def _connected(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._unused:
            raise web.HTTPForbidden
        self._unused.discard(ticket)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        link = Link(socket, request.transport, next(self._numbers))
        if not self._on:
            await socket.send_json(_disconnect("link_disabled"))
            await socket.close()
            return socket
        await socket.send_json(_hello(len(self._links) + 1))
        self._links.append(link)
        self._linked.set()
        try:
            async for message in socket:
                await self._heard(link, message.type, message.data)
        finally:
            self._links.remove(link)
            link.gone.set()
            if not self._links:
                self._linked.clear()
        return socket

    async def _heard(self, link: Link, kind: WSMsgType, data: Any) -> None:
        if link.silent:
            return
        if kind is WSMsgType.PING:
            await link.socket.pong(data)
        elif kind is WSMsgType.PONG:
            link.pongs += 1
        elif kind is WSMsgType.TEXT:
            answer = json.loads(data)
            if self.lost_acks:
                self.lost_acks -= 1
                return
            waiting = self._waiting.get(answer["envelope_id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(answer.get("payload") or {})

    async def _deliver(self, payload: dict[str, Any], kind: str, over: int | None) -> Ack | None:
        events = kind == "events_api"
        for attempt in range(4 if events else 1):
            retry = {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
            envelope = {
                "envelope_id": f"envelope-{next(self._numbers)}",
                "type": kind,
                "payload": payload,
                "accepts_response_payload": kind == "slash_commands",
                **(retry if events else {}),
            }
            link = await self._newest() if over is None or attempt else self._link(over)
            answer = await self._acknowledged(link, envelope)
            if answer is not None:
                return Ack(attempt, answer)
        return None

    async def _newest(self) -> Link:
        async with asyncio.timeout(PATIENCE):
            await self._linked.wait()
        return self._links[-1]

    async def _acknowledged(self, link: Link, envelope: dict[str, Any]) -> dict[str, Any] | None:
        """Send an envelope; returns what it is acknowledged with, None where it is not."""
        waiting = self._waiting[envelope["envelope_id"]] = self._loop.create_future()
        gone = asyncio.ensure_future(link.gone.wait())
        with contextlib.suppress(ConnectionError):
            await link.socket.send_json(envelope)
            await asyncio.wait(
                {waiting, gone}, timeout=ACK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        gone.cancel()
        return waiting.result() if waiting.done() else None

    async def _closed(self, link: Link) -> None:
        await link.socket.close()

    async def _cut(self, link: Link) -> None:
        link.transport.abort()
        await link.gone.wait()

    async def _disable(self) -> None:
        for link in list(self._links):
            await link.socket.send_json(_disconnect("link_disabled"))
            await link.socket.close()


def _hello(connections: int) -> dict[str, Any]:
    return {
        "type": "hello",
        "num_connections": connections,
        "debug_info": {
            "host": "applink-1",
            "build_number": 1,
            "approximate_connection_time": 18060,
        },
        "connection_info": {"app_id": "A1"},
    }


def _disconnect(reason: str) -> dict[str, Any]:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}}
