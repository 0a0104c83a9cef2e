"""What ``spawnery check`` says of the engine and of our place in it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any, Final

from attrs import frozen
from spawnery.contract import CheckItem, Deadline, SpawnerRuntime
from spawnery.errors import SpawnerError

from spawnery_docker.check.engine_facts import engine_items
from spawnery_docker.check.package import usable
from spawnery_docker.client import APIClient, DockerClient
from spawnery_docker.errors import ApiError, in_words
from spawnery_docker.network.choice import Networks
from spawnery_docker.reach.endpoint import Endpoint

_FEW_FILES: Final = 4096
_BUILT_IN: Final = frozenset({"none", "host", "default"})
"""Network modes that need no network of that name."""
_FILES_PER_JOB: Final = 2
"""A live job holds the socket of its wait and, where its tail is kept, that of its log."""


@frozen(kw_only=True)
class Doctor:
    """Looks at everything that a spawn needs; never raises.

    Attributes:
        client: The engine.
        endpoint: Its address.
        runtime: The host.
        networks: Finds our own container.
        network: The operator's choice (``DOCKER_NETWORK``), None without.
    """

    client: DockerClient
    endpoint: Endpoint
    runtime: SpawnerRuntime
    networks: Networks
    network: str | None = None

    def examine(self) -> list[CheckItem]:
        """Collect the findings; one that the engine does not answer ends the list."""
        items = [CheckItem(name="package", detail=usable())]
        items.append(CheckItem(name="endpoint", detail=self.endpoint.told))
        try:
            with self._engine() as engine:
                version = engine.version()
        except (SpawnerError, ApiError) as error:
            return [*items, failed("engine", error), *self._files()]
        checks: tuple[tuple[str, Callable[[], Iterator[CheckItem]]], ...] = (
            ("engine", lambda: engine_items(version, self._info())),
            ("events", self._events),
            ("network", self._network),
        )
        for name, check in checks:
            try:
                items += check()
            except (SpawnerError, ApiError) as error:
                items.append(failed(name, error))
        return [*items, *self._files()]

    def _engine(self) -> AbstractContextManager[APIClient]:
        return self.client.within(self.runtime.io_timeout_seconds)

    def _info(self) -> Mapping[str, Any] | None:
        """Return what the engine says of itself, None where we may not ask (socket proxy)."""
        try:
            with self._engine() as engine:
                found: Mapping[str, Any] = engine.info()
        except ApiError as error:
            if error.status in {401, 403, 404, 405}:
                return None
            raise
        return found

    def _events(self) -> Iterator[CheckItem]:
        """Look whether jobs can be watched: the engine's time, and no event of a past second."""
        with self._engine() as engine:
            engine.ping()
        limit = self.runtime.io_timeout_seconds
        query = {"since": "1", "until": "1"}
        self.client.stream("GET", "/events", query=query, timeout=limit).close()
        yield CheckItem(name="events", detail="the engine tells them")

    def _network(self) -> Iterator[CheckItem]:
        deadline = Deadline.after(self.runtime.io_timeout_seconds)
        own = self.networks.own(deadline=deadline)
        if own is None:
            detail = "this process runs in no container of this engine"
        else:
            joined = ", ".join(own.networks) or "none that a job could join"
            detail = f"{own.id[:12]}, found by {own.way}; networks: {joined}"
        yield CheckItem(name="own container", detail=detail)
        if self.network:
            yield self._exists(self.network, "DOCKER_NETWORK")
        else:
            chosen = self.networks.resolve(deadline=deadline)
            yield self._exists(chosen.name, chosen.source)

    def _exists(self, name: str, source: str) -> CheckItem:
        detail = f"{name} ({source})"
        if name in _BUILT_IN or name.startswith("container:"):
            return CheckItem(name="network", detail=detail)
        try:
            with self._engine() as engine:
                found = engine.inspect_network(name)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                hint = f"docker network create {name}"
                detail = f"the network {detail} does not exist"
                return CheckItem(name="network", level="failed", detail=detail, hint=hint)
            detail = f"{detail}; whether it exists is not to be asked here ({error.status})"
            return CheckItem(name="network", detail=detail)
        return CheckItem(name="network", detail=f"{detail}, driver {found.get('Driver')}")

    def _files(self) -> Iterator[CheckItem]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= _FEW_FILES:
            yield CheckItem(name="open files", detail=f"limit {soft}")
            return
        detail = f"limit {soft}: room for about {soft // _FILES_PER_JOB} jobs at once"
        more = f"ulimit -n {hard}" if hard > soft else "raise the hard limit too (limits.conf)"
        yield CheckItem(name="open files", level="warning", detail=detail, hint=more)


def failed(name: str, error: SpawnerError | ApiError) -> CheckItem:
    """Turn an error into a finding."""
    if isinstance(error, ApiError):
        error = in_words(error, f"ask the engine for {error.path}")
    return CheckItem(name=name, level="failed", detail=error.message, hint=error.hint)
