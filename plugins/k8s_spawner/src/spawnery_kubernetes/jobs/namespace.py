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
RANGE: Final = "openshift.io/sa.scc.uid-range"
"""Annotation of a namespace whose pods get their user from the cluster, which refuses another one
(OpenShift documentation, "Managing security context constraints")."""
_PORTS: Final = {"http": 80, "https": 443}


class Namespace:
    """Reads the namespace.

    Args:
        client: The cluster.
        server: Address of its API server.
        assign_user: The setting.
    """

    def __init__(self, client: KubeClient, server: str, *, assign_user: str = "auto") -> None:
        self._client = client
        self._server = server
        self._assign_user = assign_user
        self._has_range: bool | None = None

    def read(self, timeout: float) -> Mapping[str, Any]:
        """Get the namespace as the API has it.

        Raises:
            ApiError: It is not there, or not to be read by us.
            SpawnerError: The cluster does not answer.
        """
        path = f"/api/v1/namespaces/{self._client.namespace}"
        found: Mapping[str, Any] = self._client.call("GET", path, timeout=timeout).json()
        self._has_range = RANGE in ((found.get("metadata") or {}).get("annotations") or {})
        return found

    def assigns_user(self, *, ask: bool = True) -> bool:
        """Tell whether the cluster chooses the user of a restricted job that names none.

        Args:
            ask: Read the namespace where it was not read yet.
        """
        if self._assign_user != "auto":
            return self._assign_user == "cluster"
        if self._has_range is None and ask:
            try:
                self.read(_PLACE_SECONDS)
            except ApiError:
                self._has_range = False  # not to be read by us: as if it had none
            except SpawnerError:
                return False
        return bool(self._has_range)

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
