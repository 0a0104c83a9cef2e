"""The namespace that all jobs live in: who it is, and what it says of the pods in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from spawnery.contract import Place
from spawnery.errors import SpawnerError

from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError

_PLACE_SECONDS: Final = 3.0
"""How long the hook ``place`` may wait for an answer."""
_PORTS: Final = {"http": 80, "https": 443}


class Namespace:
    """Reads the namespace.

    Args:
        client: The cluster.
        server: Address of its API server.
    """

    def __init__(self, client: KubeClient, server: str) -> None:
        self._client = client
        self._server = server

    def read(self, timeout: float) -> Mapping[str, Any]:
        """Get the namespace as the API has it.

        Raises:
            ApiError: It is not there, or not to be read by us.
            SpawnerError: The cluster does not answer.
        """
        path = f"/api/v1/namespaces/{self._client.namespace}"
        found: Mapping[str, Any] = self._client.call("GET", path, timeout=timeout).json()
        return found

    def place(self) -> Place:
        """Say where the jobs live; see the hook.

        A namespace that was deleted and made again has another uid, so nothing is kept of it here.
        """
        name = self._client.namespace
        try:
            uid = self.read(_PLACE_SECONDS)["metadata"]["uid"]
        except (ApiError, SpawnerError, LookupError, TypeError):
            uid = None
        return Place(
            endpoint=f"{normalised(self._server)}/api/v1/namespaces/{name}",
            id=uid if isinstance(uid, str) else None,
            title=f"namespace {name} of {self._server}",
        )


def normalised(server: str) -> str:
    """Write the address of a server in one way: lower case, with its port, without a last slash."""
    address = urlsplit(server)
    host = (address.hostname or "").rstrip(".")
    shown = f"[{host}]" if ":" in host else host
    port = address.port or _PORTS[address.scheme]
    return f"{address.scheme}://{shown}:{port}{address.path.rstrip('/')}"
