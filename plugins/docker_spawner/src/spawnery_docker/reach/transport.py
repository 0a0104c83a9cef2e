"""The sockets under the ``docker`` package: how they are opened, kept, and cut off.

What the package's own adapters (7.1, 7.2) do otherwise: each URL has a pool of its own, so that no
connection serves twice (41 of them for 40 spawns); a full accept queue of a unix socket is an error
at once; a TCP peer that is gone without a word is waited for without end; and of a failure nobody
can tell whether the request was sent. ssh is ours too (see ``ssh``).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, cast

from requests import PreparedRequest, RequestException, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from spawnery.contract import Cancellation
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from io import BufferedReader

    from spawnery_docker.reach.endpoint import Endpoint

_KEPT: Final = 256
"""Connections that are kept for the next call: more than threads that ask, so none is dropped."""
_LEAST: Final = 0.001
_PIECE: Final = 64 * 1024
_SOCKET_OPTIONS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), seconds)
        for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
)
"""A half-open TCP connection ends after a minute."""


class UnsentError(Exception):
    """No connection came about.

    Args:
        reason: What the system, TLS or the ssh program said.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason if isinstance(reason, (OSError, ValueError)) else OSError(str(reason))


class Sending:
    """What this thread asks of the engine, and until when.

    Args:
        seconds: Limit for all of it.
        cancellation: When it is requested, the connection in use is cut off.

    Attributes:
        held: Whether the socket of the answer will be taken over.
        sent: When the last request was about to be sent, by the monotonic clock.
    """

    def __init__(self, seconds: float, cancellation: Cancellation | None) -> None:
        self.seconds = seconds
        self.held = False
        self.sent = time.monotonic()
        self._until = self.sent + seconds
        self._cancellation = cancellation
        self._undo: Callable[[], None] | None = None

    @property
    def left(self) -> float:
        """Seconds that are left, at least a millisecond."""
        return max(_LEAST, self._until - time.monotonic())

    def begin(self, wire: socket.socket) -> None:
        """Take note of the connection that the request goes by."""
        self.sent = time.monotonic()
        if self._cancellation is not None:
            self.over()
            self._undo = self._cancellation.on_cancel(functools.partial(shut, wire))

    def over(self) -> None:
        """Let a cancellation cut off nothing any more: the answer is there."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    @contextlib.contextmanager
    def under_way(self) -> Iterator[Self]:
        """Ask within this."""
        before = _sending.set(self)
        try:
            yield self
        finally:
            _sending.reset(before)
            self.over()


_sending: ContextVar[Sending] = ContextVar("sending")
"""urllib3 hands nothing down to a connection but the request itself."""


def sending() -> Sending:
    """Return what this thread asks."""
    return _sending.get()


class _Lines:
    """The lines of an answer's header; remembers the last one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._file.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Response(HTTPResponse):
    """An answer whose header is whole: Python's own (3.11 to 3.14) takes a cut one for a short one.

    A stream would then end like one that is over, for want of the field that says how it ends.
    """

    def begin(self) -> None:
        file = self.fp
        lines = _Lines(file)
        self.fp = cast("BufferedReader", lines)
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = file
        if lines.last not in {b"\r\n", b"\n"}:
            msg = "the connection was closed inside the header"
            raise RemoteDisconnected(msg)
        if sending().held and self.status < HTTPStatus.BAD_REQUEST:
            self.will_close = False  # else the connection closes its socket now, and the file later


class _Connection:
    """A connection that tells a request that was never sent from one that was.

    Attributes:
        wire: Its socket, also when the connection has let go of it.
    """

    wire: socket.socket
    response_class: Any = _Response

    def connect(self) -> None:
        """Connect.

        Raises:
            UnsentError: It did not come about within ``timeout``.
        """
        try:
            super().connect()  # type: ignore[misc]
        except (OSError, ValueError, HTTPException, HTTPError) as error:
            raise UnsentError(root_of(error)) from None
        self.wire = self.sock  # type: ignore[attr-defined]
        self.is_verified = True  # else urllib3 warns where the user has switched it off

    def request(self, *given: Any, **named: Any) -> None:
        """Send a request.

        Raises:
            UnsentError: There is no connection.
        """
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        sending().begin(self.wire)
        super().request(*given, **named)  # type: ignore[misc]


class _TcpConnection(_Connection, HTTPConnection):
    pass


class _TlsConnection(_Connection, HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        until = time.monotonic() + float(self.timeout or 0.0)
        made = super()._new_conn()
        made.settimeout(max(_LEAST, until - time.monotonic()))  # the handshake has what is left
        return made


class _LocalConnection(_Connection, HTTPConnection):
    """A connection over a unix socket or the ssh program."""

    def __init__(self, *given: Any, endpoint: Endpoint, **named: Any) -> None:
        super().__init__(*given, **named)
        self._endpoint = endpoint

    def _new_conn(self) -> socket.socket:
        timeout = float(self.timeout or 0.0)
        if self._endpoint.kind == "ssh":
            from spawnery_docker.reach.ssh import dial  # noqa: PLC0415 - starts a program, seldom used

            return dial(self._endpoint, timeout)
        return _unix(self._endpoint.address, timeout)


class _TcpPool(HTTPConnectionPool):
    ConnectionCls = _TcpConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _LocalPool(HTTPConnectionPool):
    ConnectionCls = _LocalConnection


class _LocalAdapter(HTTPAdapter):
    """One pool for all that is asked."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._pool = _LocalPool("localhost", maxsize=_KEPT, endpoint=endpoint)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    def request_url(self, request: PreparedRequest, _proxies: Mapping[str, str] | None) -> str:
        return str(request.path_url)

    def close(self) -> None:
        self._pool.close()
        super().close()


class _TcpAdapter(HTTPAdapter):
    """TCP, with our own TLS context where it is secured: requests would load other authorities."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._options: Any = {"socket_options": _SOCKET_OPTIONS, "ssl_context": context}
        super().__init__(pool_maxsize=_KEPT)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002 - the signature is that of requests
        **more: Any,
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **more, **self._options)
        _with_ours(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        return _with_ours(super().proxy_manager_for(proxy, **named, **self._options))

    def build_connection_pool_key_attributes(
        self,
        request: PreparedRequest,
        verify: bool | str,  # noqa: FBT001 - as above
        cert: Any = None,
    ) -> Any:
        host, _others = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, *_: Any) -> None:
        """Leave the context as it is."""


def _with_ours(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _TcpPool, "https": _TlsPool}
    return manager


def reach(endpoint: Endpoint) -> tuple[str, BaseAdapter]:
    """Return the base URL of an engine for the package, and what carries requests to it.

    Raises:
        ConfigurationError: A certificate cannot be used.
    """
    if endpoint.kind in {"unix", "ssh"}:
        return "http+docker://localhost", _LocalAdapter(endpoint)
    if endpoint.tls is None:
        return f"http://{endpoint.address}", _TcpAdapter(None)
    return f"https://{endpoint.address}", _TcpAdapter(endpoint.tls.context())


# -- sockets of answers ----------------------------------------------------------------------


def wire_of(answer: Response) -> socket.socket:
    """Return the socket that an answer comes by, whose body was not read."""
    wire: socket.socket = _connection(answer).wire
    return wire


def _connection(answer: Response) -> Any:
    return answer.raw.connection


def body_of(answer: Response) -> BufferedReader:
    """Return what the body of an answer is read from; it has what came with the header."""
    return cast("HTTPResponse", answer.raw._fp).fp  # noqa: SLF001 - as docker


def taken(answer: Response) -> tuple[socket.socket, bytes]:
    """Take the socket of an answer over: neither pool nor answer closes it any more.

    Returns:
        The socket, and what came of the body with its header.
    """
    wire, body = wire_of(answer), body_of(answer)
    _connection(answer).sock = None
    cast("HTTPResponse", answer.raw._fp).fp = None  # type: ignore[assignment]  # noqa: SLF001
    wire.settimeout(0)
    rest = b""
    with contextlib.suppress(ssl.SSLWantReadError):
        rest = body.peek()
        while isinstance(wire, ssl.SSLSocket) and wire.pending():
            rest += wire.recv(_PIECE)  # of which no selector knows
    body.close()  # which has a share in the socket
    return wire, rest


def shut(wire: socket.socket) -> None:
    """Wake whoever reads or writes."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's own, which takes the TLS object from a thread that reads.
        socket.socket.shutdown(wire, socket.SHUT_RDWR)


def root_of(error: BaseException) -> BaseException:
    """Return what the system, TLS or HTTP said, without what requests and urllib3 made of it."""
    while isinstance(error, (RequestException, HTTPError)):
        given = (error.__cause__, getattr(error, "reason", None), *error.args)
        inner = next((found for found in given if isinstance(found, Exception)), None)
        if inner is None:
            break
        error = inner
    return error


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
