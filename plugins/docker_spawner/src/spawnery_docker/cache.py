"""What this process has seen of containers: the engine forgets them at once, we do not."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import evolve, frozen
from spawnery.model import JobStatus, Outcome

from spawnery_docker.status import End, status_from

_KEPT: Final = 10_000
"""Containers that are remembered; by far more than end within the time that evidence may lag."""
_DROPPED: Final = 1000
_SLACK: Final = timedelta(seconds=2)
TAIL_BYTES: Final = 8192
"""How much of a log's end is kept of a job that another process spawned."""


@frozen(kw_only=True)
class Entry:
    """One container.

    Attributes:
        engine_id, name, labels: Of the container.
        accepted_at, started_at: Times of the engine; ``started_at`` proves the start.
        start_estimated: Whether ``started_at`` is when the engine confirmed the start to us, by
            what we know of its clock: it gives way to the time that the engine itself gives.
        oom: Whether the engine told that memory ran out.
        image: Digest or id of its image, where known.
        reference: What the job called its image, where known.
        tail_bytes: How much of the end of its log an outcome carries.
        waited: How it ended by the answer to a wait, which is taken where nothing tells more.
        outcome: How it ended.
    """

    engine_id: str
    name: str
    labels: Mapping[str, str]
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    start_estimated: bool = False
    oom: bool = False
    image: str | None = None
    reference: str | None = None
    tail_bytes: int = TAIL_BYTES
    waited: End | None = None
    outcome: Outcome | None = None

    @property
    def status(self) -> JobStatus:
        """The job as this process knows it."""
        return status_from(
            self.labels,
            name=self.name,
            engine_id=self.engine_id,
            accepted_at=self.accepted_at,
            launched=self.started_at is not None or self.outcome is not None,
            started_at=self.started_at,
            outcome=self.outcome,
        )


class Cache:
    """Entries by container id, the oldest forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: collections.OrderedDict[str, Entry] = collections.OrderedDict()
        self._made: dict[str, str] = {}
        self._dropped: collections.deque[str] = collections.deque(maxlen=_DROPPED)
        self._spawning: collections.Counter[str] = collections.Counter()

    @contextmanager
    def spawning(self, name: str) -> Iterator[None]:
        """Mark a name whose container is being made here, by one caller or several."""
        with self._lock:
            self._spawning[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._spawning[name] -= 1
                if not self._spawning[name]:
                    del self._spawning[name]

    def spawns(self, name: str) -> bool:
        """Tell whether the container of this name is being made here."""
        with self._lock:
            return name in self._spawning

    def get(self, engine_id: str) -> Entry | None:
        """Return what is known of a container."""
        with self._lock:
            return self._entries.get(engine_id)

    def note(self, entry: Entry) -> Entry:
        """Take in what was found out; what was known before and is not there now stays.

        An outcome is never taken back: events and lists may be late.
        """
        with self._lock:
            if entry.engine_id in self._dropped:
                return entry
            before = self._entries.get(entry.engine_id)
            if before is not None:
                entry = _merged(before, entry)
            self._entries[entry.engine_id] = entry
            while len(self._entries) > _KEPT:
                self._drop(next(iter(self._entries)))
        return entry

    def made(self, entry: Entry) -> None:
        """Note a container that was created here just now: all others of its name are gone."""
        with self._lock:
            earlier = [key for key, known in self._entries.items() if known.name == entry.name]
        self.forget(key for key in earlier if key != entry.engine_id)
        self.note(entry)
        with self._lock:
            self._made[entry.name] = entry.engine_id

    def started(self, engine_id: str, at: datetime) -> None:
        """Note that the engine confirmed a start, where its event has not told the time."""
        entry = self.get(engine_id)
        if entry is not None and entry.started_at is None:
            self.note(evolve(entry, started_at=at, start_estimated=True))

    def waited(self, engine_id: str, end: End) -> None:
        """Note the answer to a wait."""
        entry = self.get(engine_id)
        if entry is not None:
            self.note(evolve(entry, waited=end))

    def last(self, name: str) -> Entry | None:
        """Return the newest container of this name, by the engine's times.

        Its absence may be concluded only from a look that began afterwards: another container may
        get the name at any time.
        """
        with self._lock:
            found = [entry for entry in self._entries.values() if entry.name == name]
            here = self._made.get(name)
        return max(found, key=lambda e: (_born(e, here), e.engine_id == here), default=None)

    def ids(self, name: str) -> set[str]:
        """Return the ids of all containers of this name that are known."""
        with self._lock:
            return {key for key, entry in self._entries.items() if entry.name == name}

    def dropped(self, engine_id: str) -> bool:
        """Tell whether a container was removed on purpose: its late events say nothing."""
        with self._lock:
            return engine_id in self._dropped

    def forget(self, engine_ids: Iterable[str]) -> None:
        """Drop containers that were removed on purpose.

        What late events tell of them is not taken in any more.
        """
        with self._lock:
            for engine_id in engine_ids:
                self._drop(engine_id)
                self._dropped.append(engine_id)

    def _drop(self, engine_id: str) -> None:
        entry = self._entries.pop(engine_id, None)
        if entry is not None and self._made.get(entry.name) == engine_id:
            del self._made[entry.name]


def _born(entry: Entry, here: str | None) -> datetime:
    """Return when a container was made; of one made here that is known to a second only."""
    at = entry.accepted_at or datetime.min.replace(tzinfo=UTC)
    return at + _SLACK if entry.engine_id == here and entry.accepted_at else at


def _merged(before: Entry, now: Entry) -> Entry:
    known = before if before.started_at is not None else now
    if before.start_estimated and now.started_at is not None:
        known = now
    return evolve(
        now,
        labels=before.labels,
        accepted_at=before.accepted_at or now.accepted_at,
        started_at=known.started_at,
        start_estimated=known.start_estimated,
        oom=before.oom or now.oom,
        image=before.image or now.image,
        reference=before.reference or now.reference,
        tail_bytes=before.tail_bytes if before.tail_bytes != TAIL_BYTES else now.tail_bytes,
        waited=before.waited or now.waited,
        outcome=before.outcome or now.outcome,
    )
