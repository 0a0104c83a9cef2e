"""The ``kubernetes`` package's connections to the cluster, for one identity.

Of the package (35 to 37) it is ``Configuration`` and ``ApiClient`` that carry requests: proxies,
TLS, pooled connections. What it adds above them is not used: its generated calls refuse fields of
a newer cluster (37), its retries repeat what may have been done, and its watch ends at a cut like
at an end. Each request brings its own credentials (see ``client``).
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from kubernetes.client import ApiClient, Configuration
from spawnery.contract import Cancellation
from urllib3 import (
    HTTPConnectionPool,
    HTTPResponse,
    HTTPSConnectionPool,
    PoolManager,
    make_headers,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from spawnery_kubernetes.access.resolve import Access

_KEPT: Final = 256
"""Connections that are kept for the next call: more than threads that ask, so none is dropped."""


class UnsentError(Exception):
    """No connection came about, for the reason that is its cause."""


class CancelledError(Exception):
    """The request was not sent: its cancellation was requested."""


class Sending:
    """One request on its way.

    Args:
        cancellation: When it is requested, the connection is cut off.

    Attributes:
        sent: When the connection was there and the request was about to be sent, by the monotonic
            clock.
    """

    def __init__(self, cancellation: Cancellation | None) -> None:
        self.sent = time.monotonic()
        self._cancellation = cancellation
        self._undo: Callable[[], None] | None = None

    def begin(self, wire: socket.socket) -> None:
        """Take note of the connection.

        Raises:
            CancelledError: It is too late to send anything.
        """
        self.sent = time.monotonic()
        if self._cancellation is not None:
            self._undo = self._cancellation.on_cancel(functools.partial(shut, wire))
            if self._cancellation.requested:
                raise CancelledError

    @contextmanager
    def under_way(self) -> Iterator[Self]:
        """Send within this: afterwards a cancellation cuts off nothing any more."""
        before = _sending.set(self)
        try:
            yield self
        finally:
            _sending.reset(before)
            if self._undo is not None:
                self._undo()


_sending: ContextVar[Sending] = ContextVar("sending")
"""What this thread sends: urllib3 hands nothing down to a connection but the request itself."""


class _Connection:
    """A connection that tells a request that was never sent from one that was.

    Attributes:
        wire: Its socket, also when the connection has let go of it.
    """

    wire: socket.socket

    def _new_conn(self) -> socket.socket:
        until = time.monotonic() + (self.timeout or 0.0)  # type: ignore[attr-defined]
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        _keep_alive(made)
        made.settimeout(max(0.001, until - time.monotonic()))  # the handshake has what is left
        return made

    def connect(self) -> None:
        """Connect.

        Raises:
            UnsentError: It did not come about within ``timeout``.
        """
        try:
            super().connect()  # type: ignore[misc]
        except (OSError, HTTPException, HTTPError) as error:
            raise UnsentError from root_of(error)
        self.wire = self.sock  # type: ignore[attr-defined]
        self.is_verified = True  # else urllib3 warns; ``check`` tells of it in our words

    def request(self, *given: Any, **named: Any) -> None:
        """Send a request.

        Raises:
            UnsentError, CancelledError: Nothing was sent.
        """
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        _sending.get().begin(self.wire)
        super().request(*given, **named)  # type: ignore[misc]


class _PlainConnection(_Connection, HTTPConnection):
    pass


class _SecuredConnection(_Connection, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecuredPool(HTTPSConnectionPool):
    ConnectionCls = _SecuredConnection


def pools_of(access: Access, context: ssl.SSLContext | None) -> PoolManager:
    """Return the pooled connections of the package's client.

    Args:
        access: Where the cluster is.
        context: For TLS, with our certificate; None without.
    """
    settings = Configuration()
    settings.host = access.server
    settings.verify_ssl = access.verify
    settings.tls_server_name = access.server_name
    # By our own reading alone: the package would bypass a proxy that kubectl takes.
    settings.proxy, settings.no_proxy = access.proxy, None
    login, at, _ = urlsplit(access.proxy or "").netloc.rpartition("@")
    settings.proxy_headers = make_headers(proxy_basic_auth=unquote(login)) if at else None
    settings.connection_pool_maxsize = _KEPT
    settings.retries = False
    manager: PoolManager = ApiClient(settings).rest_client.pool_manager
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecuredPool}
    given: dict[str, Any] = manager.connection_pool_kw
    for name in ("ca_certs", "cert_file", "key_file", "ca_cert_data"):
        given.pop(name, None)  # they are in the context
    given["ssl_context"] = context
    return manager


def wire_of(answer: HTTPResponse) -> socket.socket | None:
    """Return the socket that an answer comes by; None when it was read to its end."""
    wire: socket.socket | None = getattr(answer.connection, "wire", None)
    return wire


def shut(wire: socket.socket) -> None:
    """Wake whoever reads or writes."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's own, which takes the TLS object from a thread that reads.
        socket.socket.shutdown(wire, socket.SHUT_RDWR)


def _keep_alive(wire: socket.socket) -> None:
    """Send at once, and let a peer that is gone without a word end who waits (half-open TCP)."""
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


def root_of(error: BaseException) -> BaseException:
    """Return what the system, TLS or HTTP said, without what urllib3 has wrapped it in."""
    while isinstance(error, HTTPError):
        inner = error.__cause__ or next((a for a in error.args if isinstance(a, Exception)), None)
        if inner is None:
            break
        error = inner
    return error
