"""The web server: uvicorn on a socket of ours, which leaves signals to whoever runs it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from spawnery.errors import ConfigurationError

from spawnery_dispatcher.config import Server

STOP_SECONDS = 5
"""How long requests may go on when we stop."""


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class Listener:
    """Serves an ASGI app.

    Args:
        app: The app.
        settings: Where to listen.

    Raises:
        ConfigurationError: The address is taken, or not ours.
    """

    def __init__(self, app: Any, settings: Server) -> None:
        try:
            self._socket = socket.create_server((settings.host, settings.port), reuse_port=False)
        except OSError as error:
            msg = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            hint = "another port: export DISPATCHER_SERVER_PORT=..."
            raise ConfigurationError(msg, hint=hint) from None
        self.port: int = self._socket.getsockname()[1]
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    async def serve(self) -> None:
        """Serve until ``stop``."""
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Take no more requests; those that run have some seconds."""
        self._server.should_exit = True
