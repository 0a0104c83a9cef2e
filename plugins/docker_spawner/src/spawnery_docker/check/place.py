"""The hook ``place``: which engine this is, and what it lacks.

An engine's id (``ID`` of ``GET /info``) counts only when two reads give the same one: Podman makes
a new one at each call, also behind a proxy that hides that it is Podman.
"""

from __future__ import annotations

from typing import Any, Final

from spawnery.contract import Deadline, Place, SpawnerRuntime
from spawnery.errors import SpawnerError

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.reach import podman

_SECONDS: Final = 4.0
_LEAST: Final = 0.01


class Places:
    """Asks the engine who it is.

    Args:
        client: The engine.
        runtime: The host, which gets to know what the engine lacks.
    """

    def __init__(self, client: DockerClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime
        self._seen: str | None = None

    def place(self) -> Place:
        """Return the engine's address and its id; see the hookspec."""
        found = self._steady_id()
        if self._client.podman is not None:
            for capability, why in podman.LACKS.items():
                self._runtime.lacks(capability, why)
            found = None
        endpoint = self._client.endpoint
        return Place(endpoint=endpoint.normalised, id=found, title=endpoint.told)

    def _steady_id(self) -> str | None:
        """Return the id where this read and the one before agree; the first call reads twice."""
        deadline = Deadline.after(min(_SECONDS, self._runtime.io_timeout_seconds))
        found = self._id(deadline)
        if found is None:
            return None
        before = self._seen or self._id(deadline)
        self._seen = found
        return found if found == before else None

    def _id(self, deadline: Deadline) -> str | None:
        limit = max(_LEAST, deadline.remaining())
        try:
            with self._client.within(limit) as engine:
                info: Any = engine.info()
        except (SpawnerError, ApiError):
            return None
        found = info.get("ID") if isinstance(info, dict) else None
        return found if isinstance(found, str) and found else None
