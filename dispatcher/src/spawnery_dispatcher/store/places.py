"""The places where the jobs of an instance live, as they are kept in Redis.

A place is kept by endpoint, as in core (``spawnery.records.places``): the rows of one engine
that was reached in two ways share its id. The jobs of the first place of all are kept under the
keys that versions before 0.2 use, so that a dispatcher of such a version and we see each other's
records and leases; those of every other place have keys of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import evolve, frozen
from spawnery.contract import Place
from spawnery.records.places import PlaceRow, key_of, known_row

from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.transactions import in_words, transaction

_FRESH_SECONDS: Final = 1.0
"""How long what was read of the places is good; they change when an engine gets a new address."""
_NOWHERE: Final = "-"
"""Scope of records whose place nobody has told (an engine that has none)."""


@frozen(kw_only=True)
class Known:
    """What is known of all places.

    Attributes:
        rows: By their keys.
        first: Key of the first place of all; None where there is none yet.
        joined: Pairs of keys (in order, with a blank between them) that lead to one engine.
        key: That of the present place; None before ``enter``.
        read_at: When it was read, seconds of the monotonic clock.
    """

    rows: Mapping[str, PlaceRow]
    first: str | None
    joined: frozenset[str]
    key: str | None
    read_at: float

    @property
    def here(self) -> tuple[str, ...]:
        """The keys of the present place: ours first, then its other endpoints."""
        ours = self.rows.get(self.key or "")
        if ours is None:
            return () if self.key is None else (self.key,)
        same = (
            row.key
            for row in self.rows.values()
            if row.key != self.key and ours.place.id is not None and row.place.id == ours.place.id
        )
        return (ours.key, *same)

    @property
    def scopes(self) -> tuple[str, ...]:
        """Of the keys in Redis that belong to the present place alone."""
        return self.here or (_NOWHERE,)

    @property
    def old_keys(self) -> bool:
        """Whether new jobs of the present place go under the keys of versions before 0.2."""
        return self.key is None or self.first in self.here

    def one_engine(self, key: str) -> bool:
        """Tell whether a place is known to be the engine that is reached at the present one."""
        return key == self.key or (self.key is not None and _pair(key, self.key) in self.joined)


class Places:
    """Reads and writes them.

    Args:
        redis: A ``redis.Redis`` that decodes answers and repeats nothing by itself.
        keys: Of the instance.
    """

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._key: str | None = None
        self._known = Known(rows={}, first=None, joined=frozenset(), key=None, read_at=-1e9)

    @property
    def key(self) -> str | None:
        """Key of the present place; None before ``enter``. Nothing is read for it."""
        return self._key

    def known(self, *, fresh: bool = False) -> Known:
        """Return what is known; ``fresh`` reads it in any case."""
        known = self._known
        now = time.monotonic()
        if not fresh and (self._key is None or now - known.read_at < _FRESH_SECONDS):
            return known
        with in_words():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(self._keys.places).smembers(self._keys.joined_places)
            fields, joined = pipe.execute()
        return self._keep(_rows(fields), _first(fields), frozenset(joined))

    def _keep(
        self, rows: Mapping[str, PlaceRow], first: str | None, joined: frozenset[str]
    ) -> Known:
        now = time.monotonic()
        self._known = Known(rows=rows, first=first, joined=joined, key=self._key, read_at=now)
        return self._known

    def enter(self, place: Place) -> str:
        """Find a place or write down a new one; see ``JobRecords.enter``."""
        names = self._keys

        def change(pipe: Any) -> str:
            fields = pipe.hgetall(names.places)
            seconds, microseconds = pipe.time()
            rows, first = _rows(fields), _first(fields)
            found = known_row(rows.values(), place)
            row = PlaceRow(
                key=key_of(place) if found is None else found.key,
                place=evolve(
                    place,
                    id=place.id or (found.place.id if found is not None else None),
                    title=place.title or place.endpoint,
                ),
                seen_at=datetime.fromtimestamp(seconds + microseconds / 1e6, UTC),
            )
            first = first or row.key
            pipe.multi()
            pipe.hset(names.places, row.key, _text(row, first=row.key == first))
            return row.key

        self._key = transaction(self._redis, change, names.places)
        self.known(fresh=True)
        return self._key

    def join(self, key: str) -> None:
        """Note that a place is the engine that is reached at the present one."""
        known = self._known
        if known.key is None or known.one_engine(key):
            return
        pair = _pair(key, known.key)
        with in_words():
            self._redis.sadd(self._keys.joined_places, pair)
        self._known = evolve(known, joined=known.joined | {pair})


def _pair(one: str, other: str) -> str:
    return " ".join(sorted((one, other)))


def _text(row: PlaceRow, *, first: bool) -> str:
    pairs = {
        "endpoint": row.place.endpoint,
        "id": row.place.id,
        "title": row.place.title,
        "seen_at": row.seen_at.isoformat(),
        "first": first,
    }
    return json.dumps(pairs, ensure_ascii=False)


def _rows(fields: Mapping[str, str]) -> dict[str, PlaceRow]:
    rows = {}
    for key, text in fields.items():
        pairs = json.loads(text)
        place = Place(endpoint=pairs["endpoint"], id=pairs["id"], title=pairs["title"])
        seen_at = datetime.fromisoformat(pairs["seen_at"])
        rows[key] = PlaceRow(key=key, place=place, seen_at=seen_at)
    return rows


def _first(fields: Mapping[str, str]) -> str | None:
    return next((key for key, text in fields.items() if json.loads(text)["first"]), None)
