"""The thin module that talks to the engine, by the client of the ``docker`` package.

No other module imports the package, and this one is imported at the first call (80 ms). What the
engine is asked goes through ``request``, where each call gets its time limit and each failure our
words. API: docs.docker.com/reference/api/engine.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import Any, Final

import requests
from docker import APIClient
from docker.errors import DockerException
from spawnery.contract import Cancellation, EngineClock
from spawnery.errors import EngineError, SpawnerError
from urllib3 import Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from spawnery_docker.errors import ApiError, Unanswered
from spawnery_docker.reach import podman
from spawnery_docker.reach.api_version import NEWEST, agree, not_docker, renegotiated
from spawnery_docker.reach.connect_errors import connect_error
from spawnery_docker.reach.endpoint import Endpoint
from spawnery_docker.reach.http_stream import ByteStream, Held
from spawnery_docker.reach.transport import Sending, UnsentError, reach, root_of, sending

__all__ = ["APIClient", "DockerClient"]

_GOOD: Final = frozenset({101, *range(200, 400)})
_REFUSED: Final = frozenset({401, 403})
"""What a socket proxy says by itself; such a reply tells nothing of the engine behind it."""
_NO_ENGINE: Final = frozenset({502, 503, 504})
"""What a proxy says of an engine that is away or did not answer it; the engine may have acted."""
_IN_VERSION: Final = re.compile(r"/v\d+\.\d+(?=/)")
_FAILURES: Final = (requests.RequestException, HTTPError, HTTPException, OSError)


class _Client(APIClient):
    """The package's client for one engine; all of its methods send through ``request``.

    Its own constructor is not called: that reads ``config.json`` of this process's user (a damaged
    one raises in 7.1 and 7.2), wants paramiko for ssh, and asks the engine for its version.
    """

    def __init__(self, endpoint: Endpoint, clock: EngineClock) -> None:
        requests.Session.__init__(self)
        self.base_url, adapter = reach(endpoint)
        self.mount(self.base_url, adapter)
        self.trust_env = False  # no netrc, no REQUESTS_CA_BUNDLE, and proxies by our own reading
        if endpoint.proxy is not None:
            self.proxies = dict.fromkeys(("http", "https"), endpoint.proxy)
        self.headers.update({"User-Agent": "spawnery", "Accept-Encoding": "identity"})
        self.timeout = 0
        self._general_configs: Mapping[str, Any] = {}
        self._version = ".".join(map(str, NEWEST))
        self._agreed = False
        self._endpoint = endpoint
        self._clock = clock
        self.podman: str | None = None

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request, in the time that the call has left, and check the answer's status.

        One that was refused for the API version is sent once more with another.
        """
        answer = self._sent(method, url, options)
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            version = renegotiated(_words_of(answer), told=self._endpoint.told)
            if version is not None:
                self._version = version
                answer = self._sent(method, _IN_VERSION.sub(f"/v{version}", url, count=1), options)
        if answer.status_code not in _GOOD:
            words, path = _words_of(answer), self._path(url)
            raise ApiError(answer.status_code, words, method=method, path=path)
        return answer

    def _sent(self, method: str, url: str, options: Mapping[str, Any]) -> requests.Response:
        now = sending()
        given = {**options, "timeout": Timeout(total=now.left), "allow_redirects": False}
        if not self._agreed:
            # The engine takes it in its own version then, and names that in the answer.
            url = _IN_VERSION.sub("", url, count=1)
        try:
            answer = super().request(method, url, **given)
            if answer.status_code in _NO_ENGINE and "Api-Version" not in answer.headers:
                raise self._not_passed_on(method, self._path(url), answer)
            self._clock.read_header(
                answer.headers.get("Date"), sent=now.sent, received=time.monotonic()
            )
            self._learn(answer)
        except UnsentError as error:
            raise connect_error(self._endpoint, error.reason, now.seconds) from None
        except _FAILURES as error:
            raise self._unanswered(method, self._path(url), error, now.seconds) from None
        finally:
            now.over()
        return answer

    def _path(self, url: str) -> str:
        """Return the path of a request for a person: without the API's version."""
        return _IN_VERSION.sub("", url.removeprefix(self.base_url), count=1)

    def _learn(self, answer: requests.Response) -> None:
        """Choose the API version by the first reply; so no request is spent on it."""
        if not self._agreed and answer.status_code not in _REFUSED:
            told, status = self._endpoint.told, answer.status_code
            self._version = agree(answer.headers, told=told, status=status)
            self._agreed = True
            self.podman = podman.version_of(answer.headers)

    def _not_passed_on(self, method: str, path: str, answer: requests.Response) -> Unanswered:
        said = f"{answer.status_code} {answer.reason}"
        told = self._endpoint.told
        msg = f"the engine at {told} did not answer {method} {path}: a proxy before it says {said}"
        answer.close()
        return Unanswered(msg, timed_out=answer.status_code == HTTPStatus.GATEWAY_TIMEOUT)

    def _unanswered(self, method: str, path: str, error: Exception, timeout: float) -> SpawnerError:
        root = root_of(error)
        told = self._endpoint.told
        if isinstance(root, ssl.SSLError) and "ALERT" in (root.reason or ""):
            # With TLS 1.3 an engine that refuses our certificate says so at the first answer.
            return connect_error(self._endpoint, root)
        if isinstance(root, BadStatusLine) and not isinstance(root, RemoteDisconnected):
            said = str(root.args[0]) if root.args else ""
            if said and not self._agreed:
                return not_docker(told, f"it says {said[:60]!r}")
        timed_out = isinstance(root, (TimeoutError, ReadTimeoutError))
        why = f"within {timeout:.3g} s" if timed_out else f"({type(root).__name__}: {root})"
        msg = f"the engine at {told} did not answer {method} {path} {why}"
        return Unanswered(msg, timed_out=timed_out)


class DockerClient:
    """Asks one engine; any number of threads may use it.

    Args:
        endpoint: Where the engine is.
        clock: Gets the engine's time from each answer.
    """

    def __init__(self, endpoint: Endpoint, *, clock: EngineClock | None = None) -> None:
        self.endpoint = endpoint
        self._clock = clock or EngineClock()
        self._lock = threading.Lock()
        self._made: _Client | None = None

    @property
    def podman(self) -> str | None:
        """Podman's version; None while nothing was answered, and where it is another engine."""
        return None if self._made is None else self._made.podman

    @contextmanager
    def within(
        self, seconds: float, *, cancellation: Cancellation | None = None
    ) -> Iterator[APIClient]:
        """Lend the package's client, for this thread and for calls that must end in time.

        Args:
            seconds: Limit for all calls, and within them for each wait for the engine.
            cancellation: Breaks the connection off when it comes; the call is unanswered then.

        Raises:
            ApiError: The engine answered with an error status.
            Unanswered: It was sent, or a part of it, and no answer came.
            EngineUnreachable, EngineDenied: There is no connection: nothing happened.
            EngineError: What answers is no engine, or too old or new.
            ConfigurationError: The certificates for it cannot be used.
        """
        with Sending(seconds, cancellation).under_way():
            try:
                yield self._client()
            except (requests.RequestException, DockerException) as error:
                msg = f"what the engine at {self.endpoint.told} answered cannot be read: {error}"
                raise EngineError(msg, hint="look at the engine: docker info") from None

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        timeout: float,
        cancellation: Cancellation | None = None,
    ) -> ByteStream:
        """Ask for what comes bit by bit; returns when the header of the answer is there.

        Args:
            method: Of HTTP.
            path: Without the API's version.
            query: Parameters.
            headers: Further header fields.
            timeout: Limit in seconds until the header is there.
            cancellation: As ``within``, until the header is there.

        Raises:
            SpawnerError, ApiError: As ``within``.
        """
        # The connection is the stream's own, so that closing one can never touch another request.
        fields = {**(headers or {}), "Connection": "close"}
        with self.within(timeout, cancellation=cancellation) as engine:
            return ByteStream(_opened(engine, method, path, query, fields))

    def hold(
        self,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> Held:
        """POST a request whose answer a selector will read (wait, attach).

        Returns when the header is there, which for ``wait`` means that the wait is registered
        (moby, container_routes.go). Args and errors as ``stream``.
        """
        with self.within(timeout) as engine:
            sending().held = True
            return Held(_opened(engine, "POST", path, query, headers))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            made = self._made
        if made is not None:
            made.close()

    def _client(self) -> _Client:
        with self._lock:
            if self._made is None:
                self._made = _Client(self.endpoint, self._clock)
            return self._made


def _opened(
    engine: APIClient,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str] | None,
) -> requests.Response:
    """Ask, and leave the body of the answer unread."""
    url = f"{engine.base_url}/v{engine.api_version}{path}"
    return engine.request(method, url, params=query, headers=headers, stream=True)


def _words_of(answer: requests.Response) -> str:
    """Return the engine's words out of an error's body (``{"message": ...}``)."""
    try:
        found = json.loads(answer.content)
    except ValueError:
        return answer.content.decode("utf-8", "replace").strip()
    except _FAILURES as error:
        return f"no more than the status came ({error})"
    if isinstance(found, dict) and "message" in found:
        return str(found["message"])
    return str(found)
