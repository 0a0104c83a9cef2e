"""Slack's Socket Mode: envelopes over web sockets that we open.

As docs.slack.dev says it (apis/events-api/using-socket-mode). slack-sdk's own client is not used:
it closes a connection before the next one is there, tries an address again that is good only once,
asks without a pause while Socket Mode is switched off, and repeats a call with a wrong token for
good, with a traceback each time and no word to anybody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field
from spawnery.model import Secret

from spawnery_dispatcher.slack.app import APP_TOKEN, TAKE_SECONDS
from spawnery_dispatcher.slack.errors import (
    Refusal,
    SlackError,
    answer_of,
    disconnected,
    not_answered,
    without_token,
)
from spawnery_dispatcher.store.health import Health

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse
    from slack_bolt.async_app import AsyncApp
    from slack_bolt.response import BoltResponse

_REPLACED: Final = frozenset({"warning", "refresh_requested"})
"""Slack closes the connection soon and wants us to open the next one meanwhile."""
_OPEN_SECONDS: Final = 15.0
_PING_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 15.0
_STEADY_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_OK: Final = 200
_UNHANDLED: Final = 404
"""bolt's for what nobody listens to: it is acknowledged, or Slack would deliver it again."""


@define(eq=False)
class _Link:
    """One connection.

    Attributes:
        left: It is over, or will be soon: the next one is due.
        opened: When Slack said hello, seconds of the monotonic clock; None before.
        wait: Seconds that Slack wants us to wait before the next one.
    """

    left: asyncio.Event = field(factory=asyncio.Event)
    opened: float | None = None
    wait: float = 0.0

    @property
    def steady(self) -> bool:
        """Whether it held for a while, so that the next one need not wait."""
        return self.opened is not None and time.monotonic() - self.opened >= _STEADY_SECONDS


class SocketMode:
    """Hears envelopes.

    Args:
        app: bolt's: what it hears is written down before it is acknowledged.
        token: The app-level token.
        health: Where it is noted whether Slack can be heard.
        logger: structlog's.
    """

    def __init__(self, app: AsyncApp, token: Secret, *, health: Health, logger: Any) -> None:
        self._app = app
        self._token = token
        self._health = health
        self._logger = logger
        self._open: set[_Link] = set()

    async def run(self) -> None:
        """Hear until cancelled: over one connection, and over the next before that one ends."""
        from aiohttp import ClientSession  # noqa: PLC0415 - slow to import

        self._health.slack_answers("")
        pause = 0.0
        async with ClientSession() as session, asyncio.TaskGroup() as tasks:
            while True:
                link = _Link()
                tasks.create_task(self._hear(link, session, tasks))
                await link.left.wait()
                longer = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
                pause = 0.0 if link.steady else longer
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                await asyncio.sleep(max(pause * jitter, link.wait))

    async def _hear(self, link: _Link, session: ClientSession, tasks: asyncio.TaskGroup) -> None:
        """Open a connection and hear until it ends; why it did is noted."""
        from aiohttp import ClientError  # noqa: PLC0415 - slow to import

        try:
            address = await open_address(self._app.client, self._token)
            async with asyncio.timeout(_OPEN_SECONDS):
                socket = await self._connect(session, address)
            try:
                await self._listen(link, socket, tasks)
            finally:
                await socket.close()
            problem = disconnected("")
        except SlackError as error:
            problem = error
        except (ClientError, OSError, TimeoutError) as error:
            problem = not_answered(error)
        link.wait = problem.seconds
        link.left.set()
        self._open.discard(link)
        if not self._open:
            self._note(problem)

    async def _connect(self, session: ClientSession, address: str) -> ClientWebSocketResponse:
        from aiohttp import ClientWSTimeout  # noqa: PLC0415 - slow to import

        client = self._app.client
        return await session.ws_connect(
            address,
            heartbeat=_PING_SECONDS,
            timeout=ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            proxy=client.proxy,
            ssl=True if client.ssl is None else client.ssl,
        )

    async def _listen(
        self, link: _Link, socket: ClientWebSocketResponse, tasks: asyncio.TaskGroup
    ) -> None:
        """Hear until the connection ends, or long enough after the next one was asked for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                async for message in socket:
                    said = _read(message.data)
                    if said.get("type") == "hello":
                        self._opened(link)
                    elif said.get("type") == "disconnect":
                        reason = str(said.get("reason") or "")
                        if reason not in _REPLACED:
                            raise disconnected(reason)
                        limit.reschedule(asyncio.get_running_loop().time() + _LINGER_SECONDS)
                        link.left.set()
                    elif said.get("envelope_id"):
                        tasks.create_task(self._take(socket, said))

    async def _take(self, socket: ClientWebSocketResponse, said: Mapping[str, Any]) -> None:
        """Hand an envelope to bolt, and acknowledge it when it is taken."""
        from slack_bolt.request.async_request import AsyncBoltRequest  # noqa: PLC0415 - slow
        from slack_sdk.socket_mode.response import SocketModeResponse  # noqa: PLC0415 - slow

        try:
            async with asyncio.timeout(TAKE_SECONDS):
                request = AsyncBoltRequest(mode="socket_mode", body=said.get("payload") or {})
                response = await self._app.async_dispatch(request)
        except Exception as error:  # noqa: BLE001 - one envelope is not all that comes
            self._logger.warning("event_not_taken", error=type(error).__name__)
            return
        if response.status not in {_OK, _UNHANDLED}:
            return
        payload = _payload(response) if response.status == _OK else None
        answer = SocketModeResponse(str(said["envelope_id"]), payload)
        with contextlib.suppress(ConnectionError):
            await socket.send_str(json.dumps(answer.to_dict()))

    # -- what is noted -----------------------------------------------------------------------

    def _opened(self, link: _Link) -> None:
        link.opened = time.monotonic()
        self._open.add(link)
        self._health.slack_answers(None)
        self._logger.info("slack_connected", connections=len(self._open))

    def _note(self, problem: SlackError) -> None:
        """Note why we hear nothing; it is logged once, however often it is tried."""
        words = f"{problem.cause}: {problem.message}"
        if self._health.slack_problem != words:
            log = self._logger.warning if problem.retryable else self._logger.error
            log("slack_away", cause=problem.cause, error=problem.message, hint=problem.hint)
        self._health.slack_answers(words)


async def open_address(client: Any, token: Secret) -> str:
    """Ask Slack for the address of a web socket, which is good for one connection.

    Args:
        client: slack-sdk's client of the Web API.
        token: The app-level token.

    Raises:
        SlackError: It is refused, or Slack does not answer.
    """

    def refused(found: Refusal) -> SlackError:
        hint = (
            "an app-level token (xapp-...) with the scope connections:write:"
            " api.slack.com/apps, Basic Information, App-Level Tokens"
        )
        return without_token(found, APP_TOKEN, hint=hint, otherwise="Slack opens no connection")

    call = client.apps_connections_open(app_token=token.reveal())
    answer = await answer_of(call, refused, not_answered)
    return str(answer.get("url") or "")


def _read(data: object) -> Mapping[str, Any]:
    """Read a message; empty where it is no object."""
    try:
        found = json.loads(data) if isinstance(data, str) else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _payload(response: BoltResponse) -> dict[str, Any] | None:
    """Return what goes with an acknowledgement: the words of a command's answer."""
    if not response.body:
        return None
    kind = response.first_headers().get("content-type", "")
    if kind.startswith("application/json"):
        return dict(json.loads(response.body))
    return {"text": response.body}
