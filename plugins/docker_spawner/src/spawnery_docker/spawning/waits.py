"""Waits: the engine's word on the exit code, registered before the start.

With AutoRemove the engine forgets the code with the container, and events are lost when the
connection is (``since`` reaches back 256 events, moby, daemon/events). A wait that was registered
before the start has the code in any case.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable
from typing import Any

from spawnery_docker.client import DockerClient
from spawnery_docker.reach.sockets import Sockets


class Waits:
    """Registers waits; their sockets are read by the one thread of ``Sockets``.

    Args:
        client: The engine.
        sockets: Reads them.
        heard: Called with container id, exit code and the engine's words on a failed start.
    """

    def __init__(
        self, client: DockerClient, sockets: Sockets, heard: Callable[[str, int, str], None]
    ) -> None:
        self._client = client
        self._sockets = sockets
        self._heard = heard

    def register(self, engine_id: str, *, timeout: float) -> Callable[[], None]:
        """Register a wait for the next exit; it is registered when this returns.

        Args:
            engine_id: The container, not started yet.
            timeout: Limit in seconds.

        Returns:
            Call it when the start has failed and nothing is to be waited for.
        """
        path = f"/containers/{engine_id}/wait"
        exchange = self._client.hold(path, query={"condition": "next-exit"}, timeout=timeout)
        received: list[bytes] = []

        def hear(data: bytes) -> None:
            received.append(data)
            # The connection stays open behind the answer, and what is no whole answer is none.
            with contextlib.suppress(http.client.HTTPException, ValueError, KeyError, TypeError):
                answer: Any = json.loads(exchange.decode(b"".join(received)))
                problem = (answer.get("Error") or {}).get("Message") or ""
                self._heard(engine_id, int(answer["StatusCode"]), problem)
                self._sockets.drop(exchange.sock)

        self._sockets.add(exchange.sock, hear, _nothing, first=exchange.rest)
        return lambda: self._sockets.drop(exchange.sock)


def _nothing() -> None:
    """A connection that breaks says nothing of the job: events and list go on."""
