"""The hook ``place``: which engine this is, and what it lacks."""

from __future__ import annotations

from typing import Final

from spawnery.contract import Place
from spawnery.errors import SpawnerError
from spawnery.plugin import SpawnerRuntime

from spawnery_docker import podman
from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError

_SECONDS: Final = 4.0


class Places:
    """Asks the engine who it is.

    Args:
        client: The engine.
        runtime: The host, which gets to know what the engine lacks.
    """

    def __init__(self, client: DockerClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime

    def place(self) -> Place:
        """Return the engine's address and its id; see the hookspec."""
        found = self._id()
        if self._client.podman is not None:
            for capability, why in podman.LACKS.items():
                self._runtime.lacks(capability, why)
            found = None  # A new one at each call.
        endpoint = self._client.endpoint
        return Place(endpoint=endpoint.url, id=found, title=endpoint.told)

    def _id(self) -> str | None:
        limit = min(_SECONDS, self._runtime.io_timeout_seconds)
        try:
            info = self._client.call("GET", "/info", timeout=limit).json()
        except (SpawnerError, ApiError, ValueError):
            return None
        found = info.get("ID") if isinstance(info, dict) else None
        return found if isinstance(found, str) and found else None
