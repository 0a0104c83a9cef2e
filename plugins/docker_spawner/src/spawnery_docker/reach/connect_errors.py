"""Why the engine cannot be reached, in words for a person, with what to do."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spawnery.errors import EngineDenied, EngineUnreachable, SpawnerError

from spawnery_docker.reach import socket_access

if TYPE_CHECKING:
    from spawnery_docker.reach.endpoint import Endpoint

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_WHERE: Final = "look at the address: echo $DOCKER_HOST"
_PLAIN: Final = "does it speak TLS on that port? plain TCP: unset DOCKER_TLS_VERIFY"
_PROXY: Final = "HTTP_PROXY or HTTPS_PROXY names the proxy; to go without it: export NO_PROXY="
_START: Final = "start Docker: sudo systemctl start docker (Docker Desktop: open it)"


def connect_error(
    endpoint: Endpoint, error: OSError | ValueError, timeout: float | None = None
) -> SpawnerError:
    """Say why no connection came about; nothing can have happened in the engine.

    Args:
        endpoint: Where we wanted to connect.
        error: What the system, the TLS library or the ssh program said.
        timeout: The limit in seconds, where there was one.
    """
    if isinstance(error, ssl.SSLError):
        return _tls(endpoint, error)
    if isinstance(error, socket.gaierror):
        return _unreachable(endpoint, f"its name cannot be resolved: {error.strerror}", _WHERE)
    if isinstance(error, TimeoutError):
        limit = f" within {timeout:.3g} s" if timeout is not None else ""
        hint = f"{_WHERE}; {_PLAIN}" if endpoint.kind == "tls" else _WHERE
        return _unreachable(endpoint, f"no connection{limit}", hint)
    if endpoint.kind == "unix":
        return _unix(endpoint, error)
    if isinstance(error, ConnectionRefusedError):
        hint = f"{_START}; whether it listens there: ss -ltn\n{_WHERE}"
        return _unreachable(endpoint, "nothing listens there (connection refused)", hint)
    return _unreachable(endpoint, _words(error), _WHERE)


def _unix(endpoint: Endpoint, error: OSError | ValueError) -> SpawnerError:
    path = Path(endpoint.address)
    number = getattr(error, "errno", None)
    if number in _DENIED:
        return EngineDenied(
            f"the Docker socket {endpoint.told} may not be used: {socket_access.describe(path)}",
            hint=socket_access.ways_out(path),
        )
    if number in {errno.ENOENT, errno.ENOTDIR}:
        others = socket_access.others(path, endpoint.environ)
        hint = f"{_START}, or install it: https://docs.docker.com/engine/install/"
        if others:
            hint = f"there is another socket: export DOCKER_HOST=unix://{others[0]}\nor {hint}"
        return _unreachable(endpoint, "there is no such socket", hint)
    if number == errno.ECONNREFUSED and not path.is_socket():
        hint = f"something else was made there (a mount without its source?): ls -ld {path}"
        return _unreachable(endpoint, "that is not a socket", hint)
    if number == errno.ECONNREFUSED:
        hint = f"the socket is there, but nobody listens: {_START}"
        return _unreachable(endpoint, "nobody listens (connection refused)", hint)
    return _unreachable(endpoint, _words(error), _WHERE)


def _tls(endpoint: Endpoint, error: ssl.SSLError) -> SpawnerError:
    if isinstance(error, ssl.SSLCertVerificationError):
        msg = f"the engine at {endpoint.told} cannot prove who it is: {error.verify_message}"
        hint = "ca.pem in DOCKER_CERT_PATH must be of the authority that signed its certificate"
        return EngineUnreachable(msg, hint=hint, retryable=False)
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        msg = f"the engine at {endpoint.told} does not accept our certificate: {reason}"
        hint = "it wants cert.pem and key.pem of its own authority in the folder DOCKER_CERT_PATH"
        return EngineDenied(msg, hint=hint)
    return _unreachable(endpoint, f"TLS failed: {reason}", _PLAIN, retryable=False)


def _unreachable(
    endpoint: Endpoint, why: str, hint: str, *, retryable: bool = True
) -> EngineUnreachable:
    if endpoint.proxy is not None:
        hint = f"{_PROXY}{endpoint.address.rpartition(':')[0].strip('[]')}"
    msg = f"no Docker engine answers at {endpoint.told}: {why}"
    return EngineUnreachable(msg, hint=hint, retryable=retryable)


def _words(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
