"""The thin module that talks to the engine: HTTP/1.1 over the endpoint's socket.

The docker SDK is left out: its client costs 0.2 s to import and twice the processor time of a
spawn, its streams end like a finished job when the connection breaks (docker-py, types/daemon.py),
and a selector cannot read them. API: docs.docker.com/reference/api/engine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from attrs import frozen
from spawnery.contract import Cancellation
from spawnery.engine_clock import EngineClock
from spawnery.errors import SpawnerError
from spawnery.wires import Kept, is_dropped

from spawnery_docker import podman
from spawnery_docker.endpoint import Endpoint
from spawnery_docker.endpoint_errors import connect_error
from spawnery_docker.errors import ApiError, Unanswered
from spawnery_docker.versions import agree, not_docker, renegotiated
from spawnery_docker.wire import ByteStream, RawExchange, text_of_error

T = TypeVar("T")
_IDLE: Final = 8
"""Connections that are kept for the next call; the peak of callers at once is seldom higher."""
_GOOD: Final = range(200, 400)
_REFUSED: Final = frozenset({401, 403})
"""What a socket proxy says by itself; such a reply tells nothing of the engine behind it."""


@frozen
class Reply:
    """An answer that was read to its end.

    Attributes:
        status: HTTP status, below 400.
        headers: Its header fields.
        body: Its body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode the body; None where it is empty."""
        return json.loads(self.body) if self.body else None


class _Connection(http.client.HTTPConnection):
    """A connection whose socket comes from the endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__("docker")
        self._endpoint = endpoint

    def connect(self) -> None:
        """Open the socket; raises what ``Endpoint.connect`` raises."""
        self.sock = self._endpoint.connect(self.timeout or 30)

    @property
    def dropped(self) -> bool:
        """Whether the engine has closed it meanwhile."""
        return self.sock is None or is_dropped(self.sock)


def _cut_by(cut: Cancellation | None, sock: socket.socket) -> Callable[[], None]:
    """Break a connection off when a job is stopped; returns what undoes it."""

    def break_off() -> None:
        with contextlib.suppress(OSError):
            # Not that of a TLS socket, which takes its reader's state away.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    return (lambda: None) if cut is None else cut.on_cancel(break_off)


class DockerClient:
    """Sends requests to one engine; any number of threads may use it.

    Args:
        endpoint: Where the engine is.
        clock: Gets the engine's time from each answer.
    """

    def __init__(self, endpoint: Endpoint, *, clock: EngineClock | None = None) -> None:
        self.endpoint = endpoint
        self._clock = clock or EngineClock()
        self._kept: Kept[_Connection] = Kept(_IDLE)
        self._version: str | None = None
        self.podman: str | None = None
        """Podman's version; None while nothing was answered, and where it is another engine."""

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float,
        cut: Cancellation | None = None,
    ) -> Reply:
        """Send a request and read the whole answer.

        One that was refused for the API version is sent once more with another.

        Args:
            method: Of HTTP.
            path: Without the API's version.
            query: Parameters.
            body: Sent as JSON; bytes as the tar archive that they are.
            headers: Further header fields.
            timeout: Limit in seconds for connecting and for each wait for the engine.
            cut: Breaks the connection off when it comes; the request is unanswered then.

        Raises:
            ApiError: The engine answered with an error status.
            Unanswered: It was sent, or a part of it, and no answer came.
            EngineUnreachable, EngineDenied: There is no connection: nothing happened.
            EngineError: What answers is no engine, or too old or new.
        """
        return self._in_its_version(
            lambda: self._call(method, path, query, body, headers, timeout=timeout, cut=cut)
        )

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | bytes | None,
        headers: Mapping[str, str] | None,
        *,
        timeout: float,
        cut: Cancellation | None,
    ) -> Reply:
        connection = self._connection(timeout)
        keep = _cut_by(cut, connection.sock)
        try:
            target, data, fields = self._request(path, query, body, headers)
            sent = time.monotonic()
            connection.request(method, target, body=data, headers=fields)
            response = connection.getresponse()
            self._clock.read_header(
                response.getheader("Date"), sent=sent, received=time.monotonic()
            )
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unanswered(method, path, error, timeout) from None
        except BaseException:
            connection.close()
            raise
        finally:
            keep()
        found = dict(response.getheaders())
        if response.will_close:
            connection.close()
        else:
            self._kept.keep(connection)
        self._learn(found, response.status)
        if response.status not in _GOOD:
            text = text_of_error(answer)
            raise ApiError(response.status, text, method=method, path=path)
        return Reply(response.status, found, answer)

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float,
        cut: Cancellation | None = None,
    ) -> ByteStream:
        """Send a request whose answer comes bit by bit; returns when its header is there.

        Args and errors as ``call``; ``timeout`` does not limit what comes after the header.
        """
        exchange = self._exchange(method, path, query, body, headers, timeout=timeout, cut=cut)
        try:
            return exchange.stream()
        except (OSError, http.client.HTTPException) as error:
            exchange.close()
            raise self._unanswered(method, path, error, timeout) from None

    def hold(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> RawExchange:
        """POST a request whose answer a selector will read (wait, attach).

        Returns when the header is there, which for ``wait`` means that the wait is registered
        (moby, container_routes.go). Args and errors as ``call``.
        """
        return self._exchange("POST", path, query, None, headers, timeout=timeout)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._kept.close()

    # -- inside ------------------------------------------------------------------------------

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        *,
        timeout: float,
        cut: Cancellation | None = None,
    ) -> RawExchange:
        return self._in_its_version(
            lambda: self._exchange_once(
                method, path, query, body, headers, timeout=timeout, cut=cut
            )
        )

    def _exchange_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        *,
        timeout: float,
        cut: Cancellation | None = None,
    ) -> RawExchange:
        target, data, fields = self._request(path, query, body, headers)
        sock = self.endpoint.connect(timeout)
        keep = _cut_by(cut, sock)
        try:
            sent = time.monotonic()
            exchange = RawExchange(sock, method, target, data, fields)
            exchange.read_head()
            date = exchange.headers.get("Date")
            self._clock.read_header(date, sent=sent, received=time.monotonic())
        except (OSError, http.client.HTTPException) as error:
            sock.close()
            raise self._unanswered(method, path, error, timeout) from None
        except BaseException:
            sock.close()
            raise
        finally:
            keep()
        try:
            self._accept(exchange, method, path)
        except BaseException:
            exchange.close()
            raise
        sock.settimeout(None)
        return exchange

    def _accept(self, exchange: RawExchange, method: str, path: str) -> None:
        self._learn(exchange.headers, exchange.status)
        if exchange.status not in {101, *_GOOD}:
            text = text_of_error(exchange.read_body())
            raise ApiError(exchange.status, text, method=method, path=path)

    def _request(
        self,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | bytes | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[str, bytes | None, dict[str, str]]:
        version = f"/v{self._version}" if self._version else ""
        target = f"{version}{path}?{urlencode(query)}" if query else f"{version}{path}"
        fields = {"Host": self.endpoint.host_header, **(headers or {})}
        if body is None:
            return target, None, fields
        if isinstance(body, bytes):
            return target, body, {**fields, "Content-Type": "application/x-tar"}
        fields["Content-Type"] = "application/json"
        return target, json.dumps(body).encode(), fields

    def _learn(self, headers: Mapping[str, str], status: int) -> None:
        """Choose the API version by the first reply; so no request is spent on it."""
        if self._version is None and status not in _REFUSED:
            self._version = agree(headers, told=self.endpoint.told, status=status)
            self.podman = podman.version_of(headers)

    def _in_its_version(self, send: Callable[[], T]) -> T:
        """Send a request; once more in another version where the engine refused ours."""
        try:
            return send()
        except ApiError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            version = renegotiated(error.message, told=self.endpoint.told)
            if version is None:
                raise
            self._version = version
        return send()

    def _connection(self, timeout: float) -> _Connection:
        connection = self._kept.take()
        if connection is not None:
            connection.sock.settimeout(timeout)
            return connection
        connection = _Connection(self.endpoint)
        connection.timeout = timeout
        connection.connect()
        return connection

    def _unanswered(
        self,
        method: str,
        path: str,
        error: OSError | http.client.HTTPException,
        timeout: float,
    ) -> SpawnerError:
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            # With TLS 1.3 an engine that refuses our certificate says so at the first answer.
            return connect_error(self.endpoint, error)
        line = str(error.args[0]) if isinstance(error, http.client.BadStatusLine) else ""
        if line and self._version is None and not isinstance(error, http.client.RemoteDisconnected):
            return not_docker(self.endpoint.told, f"it says {line[:60]!r}")
        timed_out = isinstance(error, socket.timeout)
        why = f"within {timeout:.3g} s" if timed_out else f"({type(error).__name__}: {error})"
        msg = f"the engine at {self.endpoint.told} did not answer {method} {path} {why}"
        return Unanswered(msg, timed_out=timed_out)
