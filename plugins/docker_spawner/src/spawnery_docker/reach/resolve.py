"""Which engine is meant: the docker command's variables, or a context asked for by name.

The rules are those of github.com/docker/cli (cli/flags/options.go), measured with 20.10 and 28.2,
with one difference: the active context of ``docker context use`` is not followed, because a click
in a tool must not change where jobs run. ``DOCKER_CONTEXT`` is, where neither setting nor
``DOCKER_HOST`` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from spawnery_docker.reach.contexts import context_endpoint
from spawnery_docker.reach.endpoint import (
    DEFAULT_SOCKET,
    Endpoint,
    default_config_folder,
    parse_host,
)
from spawnery_docker.reach.tls import TlsFiles


class EndpointSettings(Protocol):
    """What is read of the spawner's settings."""

    @property
    def context(self) -> str | None:
        """Name of a docker context, None to go by the environment."""


def resolve_endpoint(settings: EndpointSettings, environ: Mapping[str, str]) -> Endpoint:
    """Find out where the engine is; reads files only for a context and for certificates' paths.

    Args:
        settings: A context named there wins over ``DOCKER_HOST``, and that over
            ``DOCKER_CONTEXT``. The context ``default`` is what ``DOCKER_HOST`` says, else the usual
            socket. All as with the docker command.
        environ: Our own environment.

    Raises:
        ConfigurationError: The address is none, or there is no such context.
    """
    text = environ.get("DOCKER_HOST", "").strip()
    context = settings.context or ("" if text else environ.get("DOCKER_CONTEXT", "").strip())
    if context not in {"", "default"}:
        return context_endpoint(context, environ)
    if not text:
        return Endpoint(kind="unix", address=DEFAULT_SOCKET, environ=environ)
    tls = TlsFiles.of(environ, default_config_folder(environ))
    return parse_host(text, source="DOCKER_HOST", tls=tls, environ=environ)
