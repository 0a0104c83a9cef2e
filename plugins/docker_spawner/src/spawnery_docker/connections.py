"""Opening a connection to the engine: unix socket, TCP, TLS, ssh."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from typing import TYPE_CHECKING

from spawnery.wires import keep_alive

from spawnery_docker.endpoint_errors import connect_error

if TYPE_CHECKING:
    from spawnery_docker.endpoint import Endpoint


def connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    """Open a connection; see ``Endpoint.connect``."""
    try:
        if endpoint.kind == "unix":
            return _unix(endpoint.address, timeout)
        if endpoint.kind == "ssh":
            from spawnery_docker.ssh import dial  # noqa: PLC0415 - starts a program, seldom used

            return dial(endpoint, timeout)
        sock = _tcp(endpoint.address, timeout)
        return sock if endpoint.tls is None else _secured(sock, endpoint)
    except (OSError, ValueError) as error:
        raise connect_error(endpoint, error, timeout) from None


def _unix(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except BlockingIOError:
            _wait_in_queue(sock, path, timeout)
    except BaseException:
        sock.close()
        raise
    return sock


def _wait_in_queue(sock: socket.socket, path: str, timeout: float) -> None:
    """Connect while the engine's queue of connections is full; see unix(7), EAGAIN.

    A socket with a time limit does not wait for a place by itself; a blocking one does, for as
    long as its time limit for sending says.
    """
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout))
    try:
        sock.connect(path)
    except BlockingIOError:
        raise TimeoutError(errno.ETIMEDOUT, "the engine accepts no connection") from None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(0.0))
    sock.settimeout(timeout)


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))


def _tcp(address: str, timeout: float) -> socket.socket:
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
    keep_alive(sock)
    return sock


def _secured(sock: socket.socket, endpoint: Endpoint) -> ssl.SSLSocket:
    assert endpoint.tls is not None  # noqa: S101 - for the type checker
    host = endpoint.address.rpartition(":")[0].strip("[]")
    try:
        return endpoint.tls.context().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise
