"""What the rooms of the Docker spawner need of their host, for tests of one room."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from spawnery.contract import SpawnerRuntime
from spawnery.model import JobEvent
from spawnery_docker.reach.endpoint import Endpoint
from spawnery_docker.reach.resolve import resolve_endpoint

if TYPE_CHECKING:
    from spawnery_docker.client import DockerClient


def endpoint_of(environ: Mapping[str, str], context: str | None = None) -> Endpoint:
    """Resolve an endpoint as the spawner does."""
    return resolve_endpoint(SimpleNamespace(context=context), environ)


def client_of(environ: Mapping[str, str]) -> DockerClient:
    """Return a client for the engine that an environment names."""
    from spawnery_docker.client import DockerClient

    return DockerClient(endpoint_of(environ))


def runtime_of(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    emit: Callable[[JobEvent], None] = lambda _event: None,
    *,
    io_timeout_seconds: float = 60.0,
) -> SpawnerRuntime:
    """Return a host for a spawner, whose events go to ``emit``."""
    return SpawnerRuntime(
        instance="room-test",
        name_prefix="agentsmith",
        state_dir=folder,
        io_timeout_seconds=io_timeout_seconds,
        environ={"HOME": str(folder), "PATH": "/usr/bin:/bin", **(environ or {})},
        logger=logging.getLogger("spawnery.docker"),
        emit=emit,
    )
