"""Lists and watches one kind of object: ``GET ...?watch=1`` from a whole list on.

The end of a watch says nothing: the server ends it after ``timeoutSeconds``, a proxy or a restart
at any time. It goes on from the last resource version; where that is too old (410), or where a line
could not be read, the whole list is taken again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

from attrs import frozen
from spawnery.contract import LABEL_INSTANCE
from spawnery.errors import EngineError

from spawnery_kubernetes.calls.http_stream import LineStream
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, Broken, in_words
from spawnery_kubernetes.objects.facts import JobFacts, PodFacts

F = TypeVar("F", bound=JobFacts | PodFacts)

_PAGE: Final = "500"
_SERVER_SECONDS: Final = "290"
"""After this time the server ends a watch, so that no connection is for ever."""
_SILENT_SECONDS: Final = 100.0
"""The server sends a bookmark each minute; a connection with nothing for longer is dead."""
_MALFORMED: Final = (ValueError, LookupError, TypeError, AttributeError)
"""What reading an object raises that is not as the API has it."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0


@frozen(kw_only=True)
class Listing(Generic[F]):
    """A whole list.

    Attributes:
        items: All objects.
        version: Where a watch goes on.
    """

    items: tuple[F, ...]
    version: str


@frozen(kw_only=True)
class Change(Generic[F]):
    """One line of a watch.

    Attributes:
        item: The object as it is now, or was last; None: only the version moved on.
        gone: Whether it went.
        version: Where to go on behind it.
    """

    item: F | None
    gone: bool = False
    version: str


def ours(instance: str) -> str:
    """Return the label selector of all objects of an instance."""
    return f"{LABEL_INSTANCE}={instance}"


def list_all(
    client: KubeClient,
    kind: str,
    selector: str,
    facts_of: Callable[[Mapping[str, Any]], F],
    *,
    timeout: float,
) -> Listing[F]:
    """Take a whole list, page by page.

    Args:
        client: The cluster.
        kind: ``jobs`` or ``pods``.
        selector: By labels.
        facts_of: What is kept of each object.
        timeout: Limit in seconds for each page.

    Raises:
        SpawnerError: The cluster does not answer, or does not let us.
    """
    query = {"labelSelector": selector, "limit": _PAGE}
    items: list[F] = []
    while True:
        try:
            reply = client.call("GET", client.path(kind), query=query, timeout=timeout)
        except ApiError as error:
            if error.status == HTTPStatus.GONE and "continue" in query:
                del query["continue"]  # it took too long: from the start again
                items = []
                continue
            raise in_words(error, f"list the {kind}") from None
        try:
            page = reply.json()
            items += [facts_of(item) for item in page.get("items") or ()]
            version, more = page["metadata"]["resourceVersion"], page["metadata"].get("continue")
        except _MALFORMED as error:
            msg = (
                f"what answers is no Kubernetes API: its list of {kind} cannot be read ({error!r})"
            )
            raise EngineError(msg, hint="kubectl cluster-info") from None
        if not more:
            return Listing(items=tuple(items), version=version)
        query["continue"] = more


class Reflector(Generic[F]):
    """Follows all objects of one kind with our label. One thread reads; any thread may close.

    Args:
        client: The cluster.
        kind: ``jobs`` or ``pods``.
        selector: By labels.
        facts_of: What is kept of each object.
        timeout: Limit in seconds until an answer begins.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: str,
        selector: str,
        facts_of: Callable[[Mapping[str, Any]], F],
        *,
        timeout: float,
    ) -> None:
        self._client = client
        self._kind = kind
        self._selector = selector
        self._facts_of = facts_of
        self._timeout = timeout
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._stream: LineStream | None = None
        self._version = ""
        self._stale = False

    def list(self) -> Listing[F]:
        """Take a whole list; see ``list_all``."""
        return list_all(
            self._client, self._kind, self._selector, self._facts_of, timeout=self._timeout
        )

    def begin(self, version: str) -> None:
        """Open the watch behind a resource version, so that who may not is told at once.

        Raises:
            SpawnerError: The cluster does not answer, or does not let us.
        """
        self._version = version
        try:
            self._open()
        except _Stale:
            self._stale = True

    def follow(self) -> Iterator[Change[F] | Listing[F]]:
        """Tell what changes after ``begin``, until ``close``; never ends by itself.

        Raises:
            SpawnerError: The cluster does not answer any more, or does not let us.
        """
        pause = _FIRST_PAUSE
        while not self._closed.is_set():
            before = self._version
            try:
                for change in self._watch():
                    self._version = change.version
                    yield change
            except _Stale:
                listing = self.list()
                self._version = listing.version
                yield listing
            pause = _FIRST_PAUSE if self._version != before else min(pause * 2, _LONGEST_PAUSE)
            self._closed.wait(pause)

    def _watch(self) -> Iterator[Change[F]]:
        """Read one answer to its end, whatever that is."""
        if self._stale:
            self._stale = False
            raise _Stale
        stream = self._stream or self._open()
        try:
            for line in stream.lines():
                if line.strip():
                    yield self._change(line)
        except Broken:
            return
        finally:
            with self._lock:
                self._stream = None
            stream.close()

    def _open(self) -> LineStream:
        query = {
            "watch": "1",
            "labelSelector": self._selector,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": _SERVER_SECONDS,
        }
        try:
            stream = self._client.stream(
                self._client.path(self._kind),
                query=query,
                timeout=self._timeout,
                idle_timeout=_SILENT_SECONDS,
            )
        except ApiError as error:
            if error.status == HTTPStatus.GONE:
                raise _Stale from None
            raise in_words(error, f"watch the {self._kind}") from None
        with self._lock:
            self._stream = stream
        if self._closed.is_set():
            stream.close()
        return stream

    def _change(self, line: bytes) -> Change[F]:
        """Read one line.

        Raises:
            _Stale: It tells of an error, or cannot be read: something may have been missed.
        """
        try:
            event = json.loads(line)
            kind, shown = event["type"], event["object"]
            version = shown["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                return Change(item=None, version=version)
            if kind in {"ADDED", "MODIFIED", "DELETED"}:
                item = self._facts_of(shown)
                return Change(item=item, gone=kind == "DELETED", version=version)
        except _MALFORMED:
            pass
        raise _Stale

    def close(self) -> None:
        """End ``follow``; a reader that waits wakes up."""
        self._closed.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()


class _Stale(Exception):
    """What was seen so far may not be all: the whole list is to be taken."""
