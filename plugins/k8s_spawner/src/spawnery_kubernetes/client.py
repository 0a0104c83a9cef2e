"""The thin module that talks to the cluster, over urllib3.

The official client is left out: importing it costs 0.7 s and 48 MB before its first call, its
hidden retries repeat what may have been done, and its watch ends like a finished one when the
connection breaks. API: kubernetes.io/docs/reference/using-api.
"""

from __future__ import annotations

import json
import os
import random
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import urllib3
from spawnery.errors import EngineDenied, EngineError, EngineUnreachable, SpawnerError
from urllib3 import exceptions as urllib3_errors

from spawnery_kubernetes.access import Access
from spawnery_kubernetes.credentials import Identity
from spawnery_kubernetes.errors import ApiError, Broken, Unanswered, in_words
from spawnery_kubernetes.transport import LineStream, Reply, error_of, warnings_of

T = TypeVar("T")

_CONNECTIONS: Final = 16
_GROUPS: Final = {"jobs": "/apis/batch/v1"}
"""API group of a kind; the core one where none is named."""
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER: Final = 500
_GOOD: Final = range(200, 400)
_NEVER_SENT: Final = (
    urllib3_errors.NewConnectionError,  # NameResolutionError is one
    urllib3_errors.ConnectTimeoutError,
    urllib3_errors.ProxyError,
)
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_LEAST_TIMEOUT: Final = 0.001


class KubeClient:
    """Sends requests to one cluster; any number of threads may use it.

    Args:
        access: Where it is and who we are.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._identity: Identity | None = None
        self.namespace = access.namespace

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

        What the cluster did not act upon is sent again within the limit: too many requests (429),
        a connection that never came about, and any failure of a GET. Nothing else is.

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
            EngineDenied: Our credentials are not accepted.
            ConfigurationError: There are no credentials.
        """
        fields = {"Content-Type": content_type, **(headers or {})} if body is not None else headers
        data = None if body is None else json.dumps(body).encode()
        until = time.monotonic() + timeout

        def once(left: float) -> Reply:
            response = self._request(method, path, query, data, fields, timeout=left, read=left)
            try:
                answer = response.read(decode_content=True)
            except (urllib3_errors.HTTPError, OSError) as error:
                raise self._unanswered(method, path, error, timeout) from None
            finally:
                response.release_conn()
            if response.status not in _GOOD:
                raise error_of(response.status, response.headers, answer, method=method, path=path)
            warned = warnings_of(response.headers.getlist("Warning"))
            return Reply(response.status, response.headers, answer, warned)

        return self._persistently(once, method, until)

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
            ApiError, Unanswered, EngineUnreachable, EngineDenied, ConfigurationError: As ``call``.
        """
        until = time.monotonic() + timeout

        def once(left: float) -> LineStream:
            response = self._request("GET", path, query, None, None, timeout=left, read=left)
            if response.status not in _GOOD:
                self._whole(response, "GET", path, timeout)
            return _stream_of(response, idle_timeout)

        return self._persistently(once, "GET", until)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            pool, self._pool, self._identity = self._pool, None, None
        if pool is not None:
            pool.clear()

    # -- inside ------------------------------------------------------------------------------

    def _persistently(self, once: Callable[[float], T], method: str, until: float) -> T:
        """Send again what may be sent again, as long as there is time."""
        pause, reloaded = _FIRST_PAUSE, False
        while True:
            try:
                return once(max(_LEAST_TIMEOUT, until - time.monotonic()))
            except ApiError as error:
                if error.status == _UNAUTHORIZED:
                    if reloaded or not self._access.credentials.reload():
                        raise in_words(error, f"{method} {error.path}") from None
                    reloaded = True
                    continue
                if not _not_acted_upon(error, method):
                    raise
                wait = error.retry_after or pause
                last: Exception = error
            except (Unanswered, EngineUnreachable) as error:
                if isinstance(error, Unanswered) and method != "GET":
                    raise
                wait, last = pause, error
            wait *= random.uniform(0.7, 1.0) if wait == pause else 1.0  # noqa: S311 - jitter
            if time.monotonic() + wait >= until:
                raise last
            time.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _whole(
        self, response: urllib3.BaseHTTPResponse, method: str, path: str, timeout: float
    ) -> bytes:
        """Read an answer to its end; raises ``ApiError`` where it tells of an error."""
        try:
            answer = response.read(decode_content=True)
        except (urllib3_errors.HTTPError, OSError) as error:
            raise self._unanswered(method, path, error, timeout) from None
        finally:
            response.release_conn()
        if response.status not in _GOOD:
            raise error_of(response.status, response.headers, answer, method=method, path=path)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        timeout: float,
        read: float,
    ) -> urllib3.BaseHTTPResponse:
        pool, identity = self._connected()
        target = f"{self._access.server}{path}" + (f"?{urlencode(query)}" if query else "")
        fields = {"Accept": "application/json", "User-Agent": "spawnery", **(headers or {})}
        if identity.header is not None:
            fields["Authorization"] = identity.header.reveal()
        try:
            return pool.request(
                method,
                target,
                body=data,
                headers=fields,
                timeout=urllib3.Timeout(connect=timeout, read=read),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (urllib3_errors.HTTPError, OSError) as error:
            raise self._failed(method, path, error, timeout) from None

    def _connected(self) -> tuple[urllib3.PoolManager, Identity]:
        with self._lock:
            identity = self._access.credentials.identity()
            before = self._identity
            if self._pool is None or before is None or _other_certificate(before, identity):
                self._pool = self._new_pool(identity)
            self._identity = identity
            return self._pool, identity

    def _new_pool(self, identity: Identity) -> urllib3.PoolManager:
        access = self._access
        options: dict[str, Any] = {"maxsize": _CONNECTIONS, "block": False}
        if access.server.startswith("https://"):
            options["ssl_context"] = _tls(access, identity)
            if access.server_name is not None:
                options["server_hostname"] = access.server_name
                options["assert_hostname"] = access.server_name
            if not access.verify:
                options["assert_hostname"] = False
        if access.proxy is not None:
            return urllib3.ProxyManager(access.proxy, **options)
        return urllib3.PoolManager(**options)

    def _failed(self, method: str, path: str, error: Exception, timeout: float) -> SpawnerError:
        """Tell a request that was never sent from one that may have been acted upon."""
        server = self._access.server
        if isinstance(error, urllib3_errors.SSLError | ssl.SSLError):
            return _tls_error(server, error)
        never = (urllib3_errors.NewConnectionError, urllib3_errors.ConnectTimeoutError)
        if isinstance(
            error, (*never, urllib3_errors.ProxyError, urllib3_errors.NameResolutionError)
        ):
            msg = f"nothing answers at {server} ({self._access.told}): {_reason(error)}"
            hint = "is the cluster there? kubectl cluster-info"
            return EngineUnreachable(msg, hint=hint)
        return self._unanswered(method, path, error, timeout)

    def _unanswered(self, method: str, path: str, error: Exception, timeout: float) -> Unanswered:
        timed_out = isinstance(error, urllib3_errors.TimeoutError | TimeoutError)
        why = f"within {timeout:.3g} s" if timed_out else f"({_reason(error)})"
        msg = f"the cluster at {self._access.server} did not answer {method} {path} {why}"
        return Unanswered(msg, timed_out=timed_out)


def _not_acted_upon(error: ApiError, method: str) -> bool:
    """Tell whether a request that was answered by an error may be sent again."""
    if error.status == _TOO_MANY:
        return True
    return method == "GET" and error.status >= _SERVER


def _other_certificate(before: Identity, now: Identity) -> bool:
    return (before.certificate, before.key) != (now.certificate, now.key)


def _tls(access: Access, identity: Identity) -> ssl.SSLContext:
    """Make the TLS context; Python takes a client certificate from a file alone."""
    authority = access.authority.decode() if access.authority else None
    try:
        context = ssl.create_default_context(cadata=authority)
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif access.server_name is not None:
            context.check_hostname = True
        if identity.certificate is not None and identity.key is not None:
            _load_certificate(context, identity.certificate, identity.key.reveal())
    except (ssl.SSLError, ValueError) as error:
        msg = f"the certificates of {access.told} cannot be used: {error}"
        raise EngineError(msg, hint="kubectl config view --raw shows them") from None
    return context


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: str) -> None:
    handle, name = tempfile.mkstemp(prefix="spawnery-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate + b"\n" + key.encode())
        context.load_cert_chain(name)
    finally:
        os.unlink(name)  # noqa: PTH108 - as it was made


def _tls_error(server: str, error: Exception) -> SpawnerError:
    reason = _reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason or "doesn't match" in reason:
        msg = f"the certificate of {server} is not one that we trust: {reason}"
        return EngineDenied(msg, hint="is it the right kubeconfig? kubectl cluster-info")
    if "ALERT" in reason:
        msg = f"{server} does not accept our client certificate: {reason}"
        return EngineDenied(msg, hint="kubectl auth whoami")
    return EngineUnreachable(
        f"no TLS connection to {server}: {reason}", hint="kubectl cluster-info"
    )


def _reason(error: BaseException) -> str:
    """Return the innermost words of an exception, without objects' addresses."""
    inner = getattr(error, "reason", None) or next(
        (arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _reason(inner)
    text = str(error.args[-1]) if error.args else type(error).__name__
    return text.rpartition("object at 0x")[2].partition(">: ")[2] or text


def _stream_of(response: urllib3.BaseHTTPResponse, idle_timeout: float | None) -> LineStream:
    connection: Any = response.connection
    sock = getattr(connection, "sock", None)
    if sock is not None:
        sock.settimeout(idle_timeout)

    def read(size: int) -> bytes:
        try:
            return response.read1(size, decode_content=True)
        except (urllib3_errors.HTTPError, OSError, ValueError, AttributeError) as error:
            raise Broken(_reason(error)) from None

    def shut() -> None:
        try:
            response.shutdown()
        except (OSError, ValueError, AttributeError):
            return

    return LineStream(read, shut, response.close)
