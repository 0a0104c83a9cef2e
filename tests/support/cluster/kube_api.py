"""A person at the API server, without kubectl: tests look often, and a process costs more."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

_TRIES: Final = 60
_PAUSE: Final = 0.5
_SECONDS: Final = 30.0
_PASSING: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
"""A server that has just started knows no rights yet."""


class KubeApi:
    """Requests to one namespace, again while the API server restarts; thread-safe.

    Args:
        server: Its address, ``https://host:port``.
        authority: Its certificate authority, as PEM.
        token: Returns a token of whom to be; asked for again when it is no longer good.
        namespace: Where to look.
    """

    def __init__(
        self, server: str, authority: str, token: Callable[[], str], namespace: str
    ) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._context = ssl.create_default_context(cadata=authority)
        self._new_token = token
        self._token = token()
        self.namespace = namespace
        self._lock = threading.Lock()
        self._connection = self._connect()

    def path(self, kind: str, name: str = "") -> str:
        """Return the path of objects, or of one: ``jobs``, ``pods``, ``secrets``, ..."""
        group = "apis/batch/v1" if kind == "jobs" else "api/v1"
        return f"/{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        found: list[dict[str, Any]] = self.call("GET", self.path(kind))["items"]
        return found

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object; None where there is none."""
        return self.call("GET", self.path(kind, name)) or None

    def create(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object; one that is there already is what an earlier try has made."""
        made = self.call("POST", self.path(kind), body)
        found = made or self.get(kind, body["metadata"]["name"])
        assert found is not None
        return found

    def delete(self, kind: str, name: str, **options: Any) -> None:
        """Ask for the removal of an object, which may be gone."""
        self.call("DELETE", self.path(kind, name), options)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask; what is not found or there already is an empty answer."""
        error: object = None
        for _ in range(_TRIES):
            try:
                status, answer = self._once(method, path, body)
            except (OSError, http.client.HTTPException) as broken:
                error = broken
            else:
                if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                    return {}
                if status < HTTPStatus.BAD_REQUEST:
                    found: dict[str, Any] = json.loads(answer)
                    return found
                error = f"{status} {answer.decode(errors='replace')}"
                if status == HTTPStatus.UNAUTHORIZED:
                    self._token = self._new_token()
                elif status not in _PASSING and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    break
            time.sleep(_PAUSE)
        text = f"{method} {path}: {error}"
        raise AssertionError(text)

    @contextlib.contextmanager
    def lines(self, path: str, **query: Any) -> Iterator[tuple[Iterator[bytes], socket.socket]]:
        """Open a stream; yields its lines, and the socket whose shutdown ends them."""
        connection = self._connect()
        try:
            connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers())
            sock = connection.sock
            reply = connection.getresponse()
            if reply.status != HTTPStatus.OK:
                message = f"{path}: {reply.status}"
                raise http.client.HTTPException(message)
            sock.settimeout(None)
            yield iter(reply.readline, b""), sock
        finally:
            connection.close()

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=_SECONDS, context=self._context
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        text = None if body is None else json.dumps(body)
        with self._lock:
            try:
                self._connection.request(method, path, text, self._headers())
                reply = self._connection.getresponse()
                return reply.status, reply.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                raise
