"""The thin module that talks to the cluster, over urllib3.

The official client is left out: importing it costs 0.6 s and 48 MB before its first call, its
hidden retries repeat what may have been done, and its watch ends like a finished one when the
connection breaks. API: kubernetes.io/docs/reference/using-api.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit

import urllib3
from attrs import field, frozen
from spawnery.errors import EngineError, SpawnerError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from spawnery_kubernetes.access import Access
from spawnery_kubernetes.connect_errors import connect_error, refused_certificate
from spawnery_kubernetes.credentials import Identity
from spawnery_kubernetes.errors import ApiError, Broken, Unanswered
from spawnery_kubernetes.persistence import Persistence
from spawnery_kubernetes.tls import context_of
from spawnery_kubernetes.transport import LineStream, Reply, error_of, warnings_of

_IDLE: Final = 16
"""Connections that are kept for the next call."""
_PIECE: Final = 64 * 1024
_GROUPS: Final = {"jobs": "/apis/batch/v1"}
"""API group of a kind; the core one where none is named."""
_GOOD: Final = range(200, 300)
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class _UnsentError(Exception):
    """No connection came about, for the reason that is its cause."""


class _Connection(HTTPConnection):
    """A connection that tells a request that was never sent from one that was."""

    wire: socket.socket

    def connect(self) -> None:
        """Connect, by TLS and through a proxy where there is one."""
        try:
            super().connect()
        except (OSError, HTTPError, HTTPException) as error:
            raise _UnsentError from error
        self.wire = self.sock


class _TlsConnection(HTTPSConnection):
    """The same, with TLS."""

    wire: socket.socket

    def connect(self) -> None:
        """See ``_Connection``."""
        try:
            super().connect()
        except (OSError, HTTPError, HTTPException) as error:
            raise _UnsentError from error
        self.wire = self.sock
        # Else urllib3 warns at each request of what the kubeconfig asks for by name.
        self.is_verified = True


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


@frozen
class _Request:
    method: str
    path: str
    query: Mapping[str, str]
    data: bytes | None = field(repr=False)
    headers: Mapping[str, str]


class KubeClient:
    """Sends requests to one cluster; any number of threads may use it.

    Args:
        access: Where it is and who we are.

    Attributes:
        namespace: Of all jobs.
    """

    def __init__(self, access: Access) -> None:
        self.namespace = access.namespace
        self._access = access
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._line: tuple[Identity, urllib3.HTTPConnectionPool] | None = None
        self._persistence = Persistence(
            access=access, is_ready=self._is_ready, wait=self._closed.wait
        )
        forwarded = access.proxy is not None and access.server.startswith("http://")
        self._prefix = access.server if forwarded else urlsplit(access.server).path

    def path(self, kind: str, name: str | None = None, sub: str | None = None) -> str:
        """Return the path of a kind, an object or a part of it, in our namespace."""
        group = _GROUPS.get(kind, "/api/v1")
        parts = [group, "namespaces", self.namespace, kind, name, sub]
        return "/".join(part for part in parts if part)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> Reply:
        """Send a request and read the whole answer.

        It is sent again within the limit where the cluster cannot have acted upon it: a connection
        that did not come about, too many requests (429), a denial by a server that is not ready;
        and a GET after any failure that may pass.

        Args:
            method: Of HTTP.
            path: Of the API.
            query: Parameters.
            body: Sent as JSON.
            content_type: Of the body.
            headers: Further header fields.
            timeout: Limit in seconds for all of it.

        Raises:
            ApiError: The cluster answered with an error status.
            Unanswered: It was sent, or a part of it, and no answer came.
            EngineUnreachable: There is no connection: nothing happened.
            EngineDenied: Our credentials are not accepted, found again once.
            ConfigurationError: There are no credentials.
            EngineError: They took too long, or the client is closed.
        """
        fields = {"Content-Type": content_type} if body is not None else {}
        data = None if body is None else json.dumps(body).encode()
        request = _Request(method, path, query or {}, data, {**fields, **(headers or {})})

        def once(identity: Identity, left: float) -> Reply:
            until = time.monotonic() + left
            response = self._send(request, identity, left)
            answer = self._whole(request, response, until, left)
            warned = warnings_of(response.headers.getlist("Warning"))
            return Reply(response.status, response.headers, answer, warned)

        return self._persistence.get_through(method, path, once, timeout=timeout)

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float,
        idle_timeout: float | None = None,
    ) -> LineStream:
        """GET an answer that comes bit by bit; returns when its header is there.

        Args:
            path: Of the API.
            query: Parameters.
            timeout: Limit in seconds until the header is there.
            idle_timeout: The stream breaks when nothing comes for so many seconds.

        Raises:
            ApiError, Unanswered, EngineUnreachable, EngineDenied, ConfigurationError, EngineError:
                As ``call``.
        """
        # The connection is the stream's own, so that closing one can never touch another request.
        request = _Request("GET", path, query or {}, None, {"Connection": "close"})

        def once(identity: Identity, left: float) -> LineStream:
            until = time.monotonic() + left
            response = self._send(request, identity, left)
            if response.status not in _GOOD:
                self._whole(request, response, until, left)
            return _stream_of(response, idle_timeout)

        return self._persistence.get_through("GET", path, once, timeout=timeout)

    def close(self) -> None:
        """Close the connections that nobody uses; calls that go on end by themselves."""
        self._closed.set()
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line[1].close()

    # -- inside ------------------------------------------------------------------------------

    def _is_ready(self, identity: Identity, limit: float) -> bool:
        """Ask the server whether it is; who may not ask that (4xx) takes it for ready."""
        request, until = _Request("GET", "/readyz", {}, None, {}), time.monotonic() + limit
        try:
            self._whole(request, self._send(request, identity, limit), until, limit)
        except ApiError as error:
            return error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        except SpawnerError:
            return False
        return True

    def _send(
        self, request: _Request, identity: Identity, limit: float
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once and read the header of the answer."""
        fields = {"Accept": "application/json", "User-Agent": "spawnery", **request.headers}
        if identity.header is not None:
            fields["Authorization"] = identity.header.reveal()
        target = f"{self._prefix}{request.path}"
        try:
            response = self._pool(identity).urlopen(
                request.method,
                f"{target}?{urlencode(request.query)}" if request.query else target,
                body=request.data,
                headers=fields,
                timeout=urllib3.Timeout(total=limit),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
            )
        except _UnsentError as error:
            raise connect_error(self._access, _root(error), limit) from None
        except (HTTPError, OSError, HTTPException) as error:
            raise self._unanswered(request, error, limit) from None
        ends = response.chunked or "Content-Length" in response.headers
        if response.status in _GOOD and not ends:
            # A header that is cut looks like a short one, and its answer like an empty one.
            response.close()
            cut = HTTPException("its header does not tell where the answer ends")
            raise self._unanswered(request, cut, limit)
        return response

    def _whole(
        self,
        request: _Request,
        response: urllib3.BaseHTTPResponse,
        until: float,
        limit: float,
    ) -> bytes:
        """Read an answer to its end, within the limit also where it comes drop by drop."""
        wire, pieces = _wire(response), []
        try:
            while data := response.read1(_PIECE):
                pieces.append(data)
                if response.connection is None:
                    break  # it was the end, and another request may have the connection
                wire.settimeout(max(0.001, until - time.monotonic()))
        except BaseException as error:
            response.close()
            if isinstance(error, HTTPError | OSError | HTTPException):
                raise self._unanswered(request, error, limit) from None
            raise
        answer, method, path = b"".join(pieces), request.method, request.path
        if response.status not in _GOOD:
            raise error_of(response.status, response.headers, answer, method=method, path=path)
        return answer

    def _pool(self, identity: Identity) -> urllib3.HTTPConnectionPool:
        """Return the connections of an identity; another certificate needs new ones."""
        with self._lock:
            if self._closed.is_set():
                msg = "the connection to the cluster was closed by ourselves"
                raise EngineError(msg, cause="spawner.closed")
            if self._line is not None:
                before, pool = self._line
                if (before.certificate, before.key) == (identity.certificate, identity.key):
                    return pool
                pool.close()
            pool = _new_pool(self._access, identity)
            self._line = identity, pool
            return pool

    def _unanswered(self, request: _Request, error: Exception, limit: float) -> SpawnerError:
        root = _root(error)
        denied = refused_certificate(self._access, root)
        if denied is not None:
            return denied
        timed_out = isinstance(error, Urllib3Timeout | TimeoutError)
        why = f"within {limit:.3g} s" if timed_out else f"({type(root).__name__}: {root})"
        what = f"{request.method} {request.path}"
        msg = f"the cluster did not answer {what} {why} ({self._access.told})"
        return Unanswered(msg, timed_out=timed_out)


def _new_pool(access: Access, identity: Identity) -> urllib3.HTTPConnectionPool:
    options: dict[str, Any] = {"maxsize": _IDLE, "block": False, "socket_options": _options()}
    if access.server.startswith("https://"):
        options["ssl_context"] = context_of(access, identity)
        if access.server_name is not None:
            options["server_hostname"] = access.server_name
    if access.proxy is None:
        manager = urllib3.PoolManager(num_pools=1, **options)
    else:
        login = urllib3.util.parse_url(access.proxy).auth
        sent = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
        manager = urllib3.ProxyManager(access.proxy, num_pools=1, proxy_headers=sent, **options)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager.connection_from_url(access.server)


def _options() -> list[tuple[int, int, int]]:
    """Return options of a socket: a peer that is gone without a word is noticed (half-open TCP)."""
    found = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, seconds in _KEEPALIVE:
        if hasattr(socket, name):
            found.append((socket.IPPROTO_TCP, getattr(socket, name), seconds))
    return found


def _wire(response: urllib3.BaseHTTPResponse) -> socket.socket:
    """Return the socket of an answer; its connection forgets it where the server closes it."""
    wire: socket.socket = response.connection.wire  # type: ignore[union-attr]
    return wire


def _root(error: BaseException) -> BaseException:
    """Return what urllib3 has wrapped."""
    inner = error.__cause__ or next(
        (item for item in error.args if isinstance(item, BaseException)), None
    )
    return error if inner is None else _root(inner)


def _stream_of(response: urllib3.BaseHTTPResponse, idle_timeout: float | None) -> LineStream:
    wire = _wire(response)
    wire.settimeout(idle_timeout)

    def read(size: int) -> bytes:
        try:
            return response.read1(size)
        except (Urllib3Timeout, TimeoutError):
            msg = f"nothing came for {idle_timeout:g} s"
            raise Broken(msg) from None
        except (HTTPError, OSError, HTTPException, ValueError) as error:
            root = _root(error)
            msg = f"{type(root).__name__}: {root}"
            raise Broken(msg) from None

    def shut() -> None:
        try:
            # Not SSLSocket's own, which takes the TLS object from a thread that reads.
            socket.socket.shutdown(wire, socket.SHUT_RDWR)
        except OSError:
            return

    return LineStream(read, shut, response.close)
