"""One stream of the engine's events for all jobs of the instance.

Events are hints: at most 256 are kept by the engine, none over its restart, and a slow reader
loses some. The list is the truth; core takes it after each reconnect and from time to time.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from spawnery.contract import (
    LABEL_JOB_ID,
    LABEL_RECORD_ID,
    JobStream,
    SpawnerRuntime,
    ThreadedStream,
    WatchRequest,
)
from spawnery.errors import SpawnerError, StreamLost
from spawnery.model import JobGone, JobSeen, Synced, WatchEvent

from spawnery_docker.cache import Cache, Entry
from spawnery_docker.client import DockerClient
from spawnery_docker.containers.past import ADDED
from spawnery_docker.containers.store import Containers
from spawnery_docker.errors import ApiError, in_words
from spawnery_docker.output.tails import Tails
from spawnery_docker.reach.http_stream import ByteStream, json_lines
from spawnery_docker.status import End, at_nano, end_of, is_ours

_ACTIONS: Final = ("create", "start", "die", "oom", "destroy", "died", "remove")
"""The last two are Podman's names of die and destroy, in filters and (4.3: remove) in events."""
_CURSOR: Final = re.compile(r"\d{1,12}\.\d{9}\Z", re.ASCII)
_SLACK_SECONDS: Final = 2
"""The engine's clock is read with one second's resolution."""

Put = Callable[[WatchEvent], bool]


class Watching:
    """Opens the stream of changes.

    Args:
        client: The engine.
        runtime: The host.
        containers, tails, cache: The other parts.
    """

    def __init__(
        self,
        client: DockerClient,
        runtime: SpawnerRuntime,
        *,
        containers: Containers,
        tails: Tails,
        cache: Cache,
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._containers = containers
        self._tails = tails
        self._cache = cache

    def open(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open the stream; with a cursor the events since then are told too.

        The list comes first in any case: the engine may have forgotten events.
        """
        cursor = request.cursor
        since = cursor if cursor is not None and _CURSOR.match(cursor) else self._now()
        events = self._events(since)

        def produce(put: Put, _closed: threading.Event) -> None:
            cursor = since
            try:
                for status in self._containers.list_jobs():
                    put(JobSeen(status=status, cursor=cursor))
                put(Synced(cursor=cursor))
                for event in json_lines(events):
                    cursor = _cursor(event) or cursor
                    for told in self._told(event, cursor):
                        put(told)
            except OSError as error:
                msg = f"the engine's events broke off: {error}"
                raise StreamLost(msg, cursor=cursor) from None
            except SpawnerError as error:
                if not error.retryable:
                    raise
                raise StreamLost(error.message, cursor=cursor) from None
            finally:
                events.close()
            msg = "the engine ended the stream of events"
            raise StreamLost(msg, cursor=cursor)

        return ThreadedStream(
            produce,
            interrupt=events.close,
            start=self._runtime.start_thread,
            name="spawnery-docker-events",
        )

    def _now(self) -> str:
        """Return the engine's time as events count it."""
        timeout = self._runtime.io_timeout_seconds
        try:
            with self._client.within(timeout) as engine:
                engine.ping()
        except ApiError as error:
            raise in_words(error, "ask the engine for its time") from None
        now = self._runtime.engine_clock.best_guess()
        return f"{int(now.timestamp()) - _SLACK_SECONDS}.000000000"

    def _events(self, since: str) -> ByteStream:
        filters = {"type": ["container"], "event": _ACTIONS, "label": [self._containers.label]}
        query = {"since": since, "filters": json.dumps(filters)}
        timeout = self._runtime.io_timeout_seconds
        try:
            return self._client.stream("GET", "/events", query=query, timeout=timeout)
        except ApiError as error:
            raise in_words(error, "open the engine's events") from None

    # -- one event ---------------------------------------------------------------------------

    def _told(self, event: Mapping[str, Any], cursor: str) -> Iterator[WatchEvent]:
        actor = event.get("Actor") or {}
        labels = actor.get("Attributes") or {}
        if not is_ours(labels, self._runtime.instance) or "ID" not in actor:
            return
        engine_id, action = str(actor["ID"]), event.get("Action")
        if action in {"destroy", "remove"}:
            self._tails.forget(engine_id)
            yield JobGone(
                job_id=labels[LABEL_JOB_ID],
                engine_id=engine_id,
                record_id=labels.get(LABEL_RECORD_ID),
                cursor=cursor,
            )
            return
        if self._cache.dropped(engine_id):
            return
        known = self._cache.get(engine_id)
        if known is not None and known.outcome is not None:
            if action == "die":
                yield JobSeen(status=known.status, cursor=cursor)
            return
        entry = self._noted(engine_id, labels, event)
        if action == "die":
            ended = self._ended(entry, event)
            if ended is not None:
                yield JobSeen(status=ended.status, cursor=cursor)
        elif action in {"create", "start"}:
            yield JobSeen(status=entry.status, cursor=cursor)

    def _noted(self, engine_id: str, labels: Mapping[str, str], event: Mapping[str, Any]) -> Entry:
        at, action = at_nano(int(event["timeNano"])), event["Action"]
        entry = Entry(
            engine_id=engine_id,
            name=labels["name"],
            labels={key: value for key, value in labels.items() if key not in ADDED},
            reference=labels.get("image"),
            accepted_at=at if action == "create" else None,
            started_at=at if action == "start" else None,
            oom=action == "oom",
        )
        return self._cache.note(entry)

    def _ended(self, entry: Entry, event: Mapping[str, Any]) -> Entry | None:
        """Take in that a container ended; None when there is no proof that it ever ran."""
        self._tails.saw_exit(entry.engine_id)
        if not self._tails.listens(entry.engine_id):
            shown = self._containers.own(entry.engine_id)
            # One that runs again was restarted by somebody: its job has ended all the same.
            if shown is not None and end_of(shown) is not None:
                self._containers.seen(shown)
                return self._cache.get(entry.engine_id)
        if entry.started_at is None:
            # A start that failed: whoever spawned it has the engine's words.
            return None
        end = End(
            code=int(event["Actor"]["Attributes"]["exitCode"]),
            started_at=entry.started_at,
            finished_at=at_nano(int(event["timeNano"])),
            oom=entry.oom or (False if self._client.podman is None else None),
        )
        return self._containers.conclude(entry, end)


def _cursor(event: Mapping[str, Any]) -> str | None:
    """Return the time of an event as ``since`` takes it."""
    nano = event.get("timeNano")
    return f"{nano // 10**9}.{nano % 10**9:09d}" if isinstance(nano, int) else None
