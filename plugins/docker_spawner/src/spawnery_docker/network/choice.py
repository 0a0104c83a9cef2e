"""The network of a job: that of the container that we run in, else ``bridge``.

The spec, the operator's setting and extensions come before (core asks them first).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from attrs import frozen
from spawnery.contract import Deadline
from spawnery.errors import SpawnFailed
from spawnery.model import Network

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError, in_words
from spawnery_docker.network.own_container import Trace, traces

FALLBACK: Final = "bridge"
_PROJECT: Final = "com.docker.compose.project"
_SHARED: Final = "container:"
_NOT_JOINED: Final = frozenset({"host", "none"})
"""A job gets neither the host's network nor none because we have it."""


@frozen(kw_only=True)
class OwnContainer:
    """The container that we run in.

    Attributes:
        id: Its id.
        way: How it was found, for a person.
        networks: Names of its networks, the preferred one first; without host and none.
        mode: Its network mode, for a person.
    """

    id: str
    way: str
    networks: tuple[str, ...] = ()
    mode: str = ""


@frozen(kw_only=True)
class _Answer:
    """What was found, once; ``own`` is None outside of containers."""

    own: OwnContainer | None = None


class Networks:
    """Finds the network that jobs join where nobody names one; asks the engine once.

    Args:
        client: The engine.
        look: Yields what tells of our own container.
    """

    def __init__(
        self, client: DockerClient, *, look: Callable[[], Iterable[Trace]] = traces
    ) -> None:
        self._client = client
        self._look = look
        self._lock = threading.Lock()
        self._answer: _Answer | None = None

    def resolve(self, *, deadline: Deadline) -> Network:
        """Return the network of our own container, else ``bridge``.

        Raises:
            EngineError: We seem to run in a container and the engine does not tell of it.
        """
        own = self.own(deadline=deadline)
        if own is None:
            return Network(name=FALLBACK, source="default: this process runs in no container")
        if not own.networks:
            source = f"default: our own container has the network mode {own.mode}"
            return Network(name=FALLBACK, source=source)
        source = f"own container {own.id[:12]}, found by {own.way}"
        return Network(name=own.networks[0], source=source)

    def own(self, *, deadline: Deadline) -> OwnContainer | None:
        """Return the container that we run in; None outside, or in one of another engine."""
        with self._lock:
            if self._answer is None:
                self._answer = _Answer(own=self._find(deadline))
            return self._answer.own

    def _find(self, deadline: Deadline) -> OwnContainer | None:
        for trace in self._look():
            shown = self._inspect(trace.container, deadline)
            if shown is None or not str(shown.get("Id", "")).startswith(trace.container):
                continue
            mode = str((shown.get("HostConfig") or {}).get("NetworkMode") or "")
            if mode.startswith(_SHARED):
                other = self._inspect(mode.removeprefix(_SHARED), deadline)
                shown = shown if other is None else {**other, "Id": shown["Id"]}
            names = preferred(shown, lambda project: self._of_project(project, deadline))
            return OwnContainer(id=shown["Id"], way=trace.way, networks=tuple(names), mode=mode)
        return None

    def _inspect(self, container: str, deadline: Deadline) -> Mapping[str, Any] | None:
        try:
            with self._client.within(deadline.remaining()) as engine:
                shown: Mapping[str, Any] = engine.inspect_container(container)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise in_words(error, "look at our own container") from None
        return shown

    def _of_project(self, project: str, deadline: Deadline) -> Sequence[str]:
        """Return the networks of a Compose project; none where we may not ask (socket proxy)."""
        try:
            with self._client.within(deadline.remaining()) as engine:
                found = engine.networks(filters={"label": [f"{_PROJECT}={project}"]})
        except ApiError:
            return ()
        return [str(network.get("Name", "")) for network in found]


def preferred(shown: Mapping[str, Any], of_project: Callable[[str], Sequence[str]]) -> list[str]:
    """Order the networks of a container: Compose project's, its network mode's, the rest.

    Args:
        shown: The container, as the engine inspects it.
        of_project: Returns the networks of a Compose project; asked only where it matters.
    """
    names = list((shown.get("NetworkSettings") or {}).get("Networks") or {})
    joined = [name for name in names if name not in _NOT_JOINED]
    if len(joined) < 2:  # noqa: PLR2004 - nothing to choose
        return joined
    project = ((shown.get("Config") or {}).get("Labels") or {}).get(_PROJECT)
    mode = (shown.get("HostConfig") or {}).get("NetworkMode")
    own = set(of_project(project)) if project else set()

    def rank(name: str) -> tuple[bool, bool, bool, int]:
        of_ours = project is not None and (name in own or name.startswith(f"{project}_"))
        return (not of_ours, name != f"{project}_default", name != mode, joined.index(name))

    return sorted(joined, key=rank)


def network_missing(network: Network, *, job_id: str | None = None) -> SpawnFailed:
    """Say that the network to join is not there, and who named it."""
    msg = f"the network {network.name} does not exist (named by: {network.source})"
    hint = f"docker network create {network.name}\nor see what there is: docker network ls"
    return SpawnFailed(msg, cause="network.not_found", hint=hint, job_id=job_id)
