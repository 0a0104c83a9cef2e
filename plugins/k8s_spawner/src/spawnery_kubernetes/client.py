"""The thin module that talks to the cluster, by the connections of the ``kubernetes`` package.

The package is imported at the first call: that takes 0.2 to 0.3 s. Its ``auth_settings()`` is not
used: the hook that refreshes a key gets no time limit, and leaves the token in a ``Configuration``
that all threads share. So a request would not know which credentials it was sent with, and neither
which ones to replace when they are refused, nor that a new certificate needs new connections. API:
kubernetes.io/docs/reference/using-api.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlencode

from attrs import field, frozen
from spawnery.contract import Cancellation, EngineClock
from spawnery.errors import EngineError, SpawnerError
from urllib3 import HTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from spawnery_kubernetes.access.credentials import Identity
from spawnery_kubernetes.access.resolve import Access
from spawnery_kubernetes.access.tls import context_of
from spawnery_kubernetes.calls.connect_errors import connect_error, refused_certificate
from spawnery_kubernetes.calls.connections import (
    CancelledError,
    Sending,
    UnsentError,
    pools_of,
    root_of,
    shut,
    wire_of,
)
from spawnery_kubernetes.calls.http_stream import LineStream, Reply, error_of, warnings_of
from spawnery_kubernetes.calls.persistence import Persistence
from spawnery_kubernetes.errors import ApiError, Broken, Unanswered

MERGE_PATCH: Final = "application/merge-patch+json"
"""Content type of a PATCH (RFC 7396)."""
_PIECE: Final = 64 * 1024
_GROUPS: Final = {"jobs": "/apis/batch/v1"}
"""API group of a kind; the core one where none is named."""
_GOOD: Final = range(200, 300)


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
        clock: Takes in the time that each answer says.

    Attributes:
        namespace: Of all jobs.
    """

    def __init__(self, access: Access, clock: EngineClock | None = None) -> None:
        self.namespace = access.namespace
        self._clock = clock or EngineClock()
        self._access = access
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._line: tuple[Identity, PoolManager] | None = None
        self._persistence = Persistence(
            access=access, is_ready=self._is_ready, wait=self._closed.wait
        )

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
        cancellation: Cancellation | None = None,
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
            cancellation: When it is requested, a request under way is cut off (``Unanswered``)
                and none is sent any more (``EngineError``).
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
            answer = self._send(request, identity, left, cancellation)
            body = self._whole(request, answer, until, left)
            warned = warnings_of(answer.headers.getlist("Warning"))
            return Reply(answer.status, answer.headers, body, warned)

        return self._persistence.get_through(
            method, path, once, timeout=timeout, cancellation=cancellation
        )

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
            answer = self._send(request, identity, left)
            if answer.status not in _GOOD:
                self._whole(request, answer, until, left)
            return _stream_of(answer, idle_timeout)

        return self._persistence.get_through("GET", path, once, timeout=timeout)

    def close(self) -> None:
        """Close the connections that nobody uses; calls that go on end by themselves."""
        self._closed.set()
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line[1].clear()

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
        self,
        request: _Request,
        identity: Identity,
        limit: float,
        cancellation: Cancellation | None = None,
    ) -> HTTPResponse:
        """Send a request once and read the header of the answer."""
        fields = {"Accept": "application/json", "User-Agent": "spawnery", **request.headers}
        if identity.header is not None:
            fields["Authorization"] = identity.header.reveal()
        query = f"?{urlencode(request.query)}" if request.query else ""
        pools = self._pools(identity)
        try:
            with Sending(cancellation).under_way() as sending:
                answer: HTTPResponse = pools.urlopen(  # type: ignore[assignment]
                    request.method,
                    f"{self._access.server}{request.path}{query}",
                    body=request.data,
                    headers=fields,
                    timeout=Timeout(total=limit),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
        except UnsentError as error:
            raise connect_error(self._access, error.__cause__ or error, limit) from None
        except CancelledError:
            msg = f"{request.method} {request.path} was not sent: its job was stopped"
            raise EngineError(msg, cause="cancelled") from None
        except (OSError, HTTPException, HTTPError) as error:
            raise self._unanswered(request, error, limit) from None
        said = answer.headers.get("Date")
        self._clock.read_header(said, sent=sending.sent, received=time.monotonic())
        if answer.status in _GOOD and not answer.chunked and answer.length_remaining is None:
            # A header that is cut looks like a short one, and its answer like an empty one.
            answer.close()
            cut = HTTPException("its header does not tell where the answer ends")
            raise self._unanswered(request, cut, limit)
        return answer

    def _whole(self, request: _Request, answer: HTTPResponse, until: float, limit: float) -> bytes:
        """Read an answer to its end, within the limit also where it comes drop by drop."""
        pieces = []
        try:
            while data := answer.read1(_PIECE):
                pieces.append(data)
                wire = wire_of(answer)
                if wire is not None:  # else another request may have it
                    wire.settimeout(max(0.001, until - time.monotonic()))
        except BaseException as error:
            answer.close()
            if isinstance(error, OSError | HTTPException | HTTPError):
                raise self._unanswered(request, error, limit) from None
            raise
        body, method, path = b"".join(pieces), request.method, request.path
        if answer.status not in _GOOD:
            raise error_of(answer.status, answer.headers, body, method=method, path=path)
        return body

    def _pools(self, identity: Identity) -> PoolManager:
        """Return the connections of an identity; another certificate needs new ones."""
        with self._lock:
            if self._closed.is_set():
                msg = "the connection to the cluster was closed by ourselves"
                raise EngineError(msg, cause="spawner.closed")
            if self._line is not None:
                before, pools = self._line
                if (before.certificate, before.key) == (identity.certificate, identity.key):
                    return pools
                pools.clear()
            secured = self._access.server.startswith("https://")
            context = context_of(self._access, identity) if secured else None
            pools = pools_of(self._access, context)
            self._line = identity, pools
            return pools

    def _unanswered(self, request: _Request, error: Exception, limit: float) -> SpawnerError:
        timed_out = isinstance(error, TimeoutError | ReadTimeoutError)
        reason = root_of(error)
        denied = refused_certificate(self._access, reason)
        if denied is not None:
            return denied
        why = f"within {limit:.3g} s" if timed_out else f"({type(reason).__name__}: {reason})"
        what = f"{request.method} {request.path}"
        msg = f"the cluster did not answer {what} {why} ({self._access.told})"
        return Unanswered(msg, timed_out=timed_out)


def _stream_of(answer: HTTPResponse, idle_timeout: float | None) -> LineStream:
    wire = wire_of(answer)
    if wire is not None:
        wire.settimeout(idle_timeout)

    def read(size: int) -> bytes:
        try:
            return answer.read1(size)
        except (TimeoutError, ReadTimeoutError):
            msg = f"nothing came for {idle_timeout:g} s"
            raise Broken(msg) from None
        except (OSError, HTTPException, HTTPError, ValueError) as error:
            reason = root_of(error)
            msg = f"{type(reason).__name__}: {reason}"
            raise Broken(msg) from None

    def wake() -> None:
        if wire is not None:
            shut(wire)

    return LineStream(read, wake, answer.close)
