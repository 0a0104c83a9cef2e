"""The ``docker`` package by itself: what the Docker spawner is measured against."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Final

from docker import APIClient
from docker.errors import APIError
from docker.transport import UnixHTTPAdapter
from requests import Response

SOCKET: Final = "/var/run/docker.sock"
_ATTACHED: Final = {"stream": 1, "stdout": 1, "stderr": 1, "logs": 0}


class _OnePool(UnixHTTPAdapter):
    """One pool for all URLs; the package's own adapter opens a connection for each URL."""

    def get_connection(self, _url: str, proxies: Mapping[str, str] | None = None) -> Any:
        return super().get_connection("", proxies)


class RawEngine:
    """The package's client with one kept connection, and no more code than the calls need."""

    def __init__(self) -> None:
        self._client = APIClient(base_url=f"unix://{SOCKET}", version="1.41")
        self._client.mount("http+docker://", _OnePool(f"http+unix://{SOCKET}"))

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container; returns its id."""
        return str(self._client.create_container_from_config(body, name)["Id"])

    def attach(self, container: str) -> socket.SocketIO:
        """Return the socket that the container's output comes by."""
        found: socket.SocketIO = self._client.attach_socket(container, _ATTACHED)
        return found

    def wait(self, container: str) -> Response:
        """Send the request of ``APIClient.wait``, which itself would block until the end."""
        client = self._client
        path = client._url("/containers/{0}/wait", container)  # noqa: SLF001 - there is no public way
        return client._post(path, params={"condition": "next-exit"}, stream=True)  # noqa: SLF001

    def start(self, container: str) -> None:
        """Start a container."""
        self._client.start(container)

    def spawn(self, name: str, body: Mapping[str, Any]) -> str:
        """Create and start a container, nothing else; returns its id."""
        container = self.create(name, body)
        self.start(container)
        return container

    def exists(self, container: str) -> bool:
        """Return whether the engine has a container."""
        try:
            self._client.inspect_container(container)
        except APIError as error:
            if error.status_code == 404:
                return False
            raise
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
