"""The raw engine API over its socket: what the Docker spawner is measured against."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any, Final

SOCKET: Final = "/var/run/docker.sock"
API: Final = "/v1.41"


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


class RawEngine:
    """One kept-alive connection and no more code than a request needs."""

    def __init__(self) -> None:
        self._connection = _Connection("docker")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request; return what the engine answered, None where it said nothing.

        Raises:
            RuntimeError: The engine refused.
        """
        text = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if text else {}
        self._connection.request(method, API + path, body=text, headers=headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            msg = f"{method} {path}: {response.status} {answer[:300]!r}"
            raise RuntimeError(msg)
        return json.loads(answer) if answer else None

    def spawn(self, name: str, body: Mapping[str, Any]) -> str:
        """Create and start a container, nothing else.

        Returns:
            Its id.
        """
        created = self.call("POST", f"/containers/create?name={name}", body)["Id"]
        self.call("POST", f"/containers/{created}/start")
        return str(created)

    def remove(self, container: str) -> None:
        """Remove a container that may have removed itself."""
        try:
            self.call("DELETE", f"/containers/{container}?force=1")
        except RuntimeError as error:
            if ": 404 " not in str(error) and ": 409 " not in str(error):
                raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
