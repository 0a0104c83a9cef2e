"""One engine's address, as ``DOCKER_HOST`` has it.

The rules are those of github.com/docker/cli (opts/hosts.go), measured with 20.10 and 28.2.

``docker.utils`` of the docker package (7.1, 7.2) differs: it wants a port in ``tcp://host``, takes
``http://`` and ``TCP://``, raises ``ValueError`` for a bad port, does not know ``DOCKER_TLS``, and
``from_env`` of 7.2 follows the active context. Its proxies are those of requests, which has one for
this machine itself too. tests/unit/docker/reach/test_endpoint_differences.py shows each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen
from spawnery.errors import ConfigurationError
from spawnery.toolkit import proxy_for

from spawnery_docker.reach.tls import TlsFiles

DEFAULT_SOCKET: Final = "/var/run/docker.sock"
_PORTS: Final = (2375, 2376)
_SSH_PORT: Final = 22
_HOST: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^:/@\[\]]+)(?::(?P<port>[0-9]{1,5}))?\Z")
_FORMS: Final = (
    "write it as unix:///path/to/docker.sock, tcp://host:2375, tcp://host:2376 with"
    " DOCKER_TLS_VERIFY=1, or ssh://user@host"
)


@frozen(kw_only=True)
class Endpoint:
    """One engine's address.

    Attributes:
        kind: ``unix``, ``tcp``, ``tls`` or ``ssh``.
        address: A path, ``host:port``, or ``[user@]host[:port]`` for ssh.
        source: Where it came from, for a person: ``DOCKER_HOST``, ``context build``, ...
        tls: Certificates, for ``tls``.
        proxy: The HTTP proxy on the way there, ``http://[user:password@]host:port``, or None. That
            of ``HTTP_PROXY`` for plain TCP, of ``HTTPS_PROXY`` for TLS, but for ``NO_PROXY``, as
            with the docker command (github.com/docker/go-connections, sockets/sockets.go).
        environ: Our own environment, for the ssh program and for hints.
    """

    kind: str
    address: str
    source: str = "the default"
    tls: TlsFiles | None = None
    proxy: str | None = field(default=None, repr=False)
    environ: Mapping[str, str] = field(factory=dict, repr=False, eq=False)

    @property
    def url(self) -> str:
        """The address as ``DOCKER_HOST`` has it."""
        scheme = "tcp" if self.kind == "tls" else self.kind
        return f"{scheme}://{self.address}"

    @property
    def normalised(self) -> str:
        """The address as text that is the same however the same address is written.

        A socket by its real path; hosts in lower case, with their port. Names are not resolved.
        """
        if self.kind == "unix":
            return f"unix://{os.path.realpath(self.address)}"
        user, at, rest = self.address.rpartition("@")
        match = _HOST.match(rest)
        host, port = (match["host"], match["port"]) if match else (rest, None)
        port = port or (_SSH_PORT if self.kind == "ssh" else None)
        return f"{self.kind}://{user}{at}{host.lower().rstrip('.')}{f':{port}' if port else ''}"

    @property
    def told(self) -> str:
        """The address, where it came from, and the proxy on the way, for a person."""
        told = f"{self.url} ({self.source})"
        return f"{told} through the proxy {self.proxy.rpartition('@')[2]}" if self.proxy else told


def parse_host(
    text: str,
    *,
    source: str,
    tls: TlsFiles | None,
    environ: Mapping[str, str],
    ports: tuple[int, int] = _PORTS,
) -> Endpoint:
    """Read an address as ``DOCKER_HOST`` has it.

    Args:
        text: The address.
        source: Where it came from.
        tls: How a ``tcp`` address is secured, None for plain TCP.
        environ: Our own environment.
        ports: Of a ``tcp`` address without one: for plain TCP, for TLS.

    Raises:
        ConfigurationError: It is none, or the proxy there is of a kind that we cannot use.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "tcp", text
    if scheme == "unix":
        path = rest or DEFAULT_SOCKET
        if not path.startswith("/"):
            raise _malformed(text, source, "the path of the socket must begin with /")
        return Endpoint(kind="unix", address=path, source=source, environ=environ)
    if scheme == "tcp":
        kind, port = ("tls", ports[1]) if tls else ("tcp", ports[0])
        address = _host_and_port(text, rest.rstrip("/"), source, port)
        try:
            proxy = proxy_for(f"{'https' if tls else 'http'}://{address}", environ)
        except ValueError:
            raise _malformed(text, source, "what is between [ and ] is no IPv6 address") from None
        return Endpoint(
            kind=kind, address=address, source=source, tls=tls, proxy=proxy, environ=environ
        )
    if scheme == "ssh":
        user, at, host = rest.rstrip("/").rpartition("@")
        if ":" in user:
            shown = f"ssh://{host}"
            raise _malformed(shown, source, "a password in it is not used: use a key")
        address = _host_and_port(text, host, source, None)
        if user.startswith("-") or address.startswith("-"):
            raise _malformed(text, source, "user and host must not begin with -")
        return Endpoint(kind="ssh", address=f"{user}{at}{address}", source=source, environ=environ)
    raise _malformed(text, source, f"{scheme}:// is not known")


def _host_and_port(text: str, rest: str, source: str, port: int | None) -> str:
    match = _HOST.match(rest)
    if match is None:
        raise _malformed(text, source, "it has no host, or something behind the port")
    given = match["port"] or port
    if given is not None and not 0 < int(given) < 2**16:
        raise _malformed(text, source, f"{given} is no port")
    return match["host"] if given is None else f"{match['host']}:{given}"


def _malformed(text: str, source: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{source}: {text!r} is no address of an engine: {why}", hint=_FORMS)


def default_config_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the docker command's files: ``DOCKER_CONFIG``, else ``~/.docker``."""
    given = environ.get("DOCKER_CONFIG")
    return Path(given) if given else Path(environ.get("HOME") or Path.home()) / ".docker"
