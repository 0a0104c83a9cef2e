"""Core's records in Redis, so that all dispatchers of an instance share them (``JobRecords``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import evolve
from spawnery.contract import Begun, Kill, KnownPlace, Place, Record, Step
from spawnery.errors import JobNotFound
from spawnery.model import Outcome
from spawnery.records.duplicates import doubles, is_other

from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.places import Known, Places
from spawnery_dispatcher.store.record_finding import OLD, Found, find, is_here
from spawnery_dispatcher.store.record_leases import Leases
from spawnery_dispatcher.store.record_text import dump, load
from spawnery_dispatcher.store.transactions import in_words, transaction

T = TypeVar("T")


class RedisRecords:
    """See ``spawnery.contract.JobRecords``; every method is one transaction.

    Args:
        redis: A ``redis.Redis`` that decodes answers and repeats nothing by itself.
        keys: Of the instance.
    """

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._leases = Leases(redis, keys)
        self._places = Places(redis, keys)

    # -- records -----------------------------------------------------------------------------

    def get(self, job_id: str) -> Record | None:
        """See ``JobRecords``."""
        return self._find(job_id).record

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> Begun:
            free = self._leases.holder(pipe.mget(at.leases)) in {None, holder}
            pipe.multi()
            found = at.record or self._write(pipe, at, self._of_here(record), new=True)
            if free:
                name = self._keys.lease(record.job_id, at.scope)
                self._leases.hold(pipe, (name,), holder, seconds)
            return Begun(record=found, inserted=at.record is None, leased=free)

        return self._on_record(record.job_id, change)

    def created(
        self, job_id: str, *, engine_id: str, at: datetime, record_id: str | None = None
    ) -> Record:
        """See ``JobRecords``."""

        def change(pipe: Any, found: Found) -> Record:
            if found.record is None:
                msg = f"no record of job {job_id}"
                raise JobNotFound(msg, job_id=job_id)
            carried = record_id or found.record.record_id
            return self._set(
                pipe, found, found.record, engine_id=engine_id, created_at=at, record_id=carried
            )

        return self._on_record(job_id, change)

    def step(self, job_id: str, step: Step) -> None:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> None:
            if at.record is not None and at.record.created_at is None:
                self._set(pipe, at, at.record, step=step)

        self._on_record(job_id, change)

    def withdraw(self, job_id: str) -> bool:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> bool:
            found = at.record
            if found is None or found.created_at or found.kill or found.outcome:
                return False
            pipe.multi()
            self._delete(pipe, job_id, at.scope)
            return True

        return self._on_record(job_id, change)

    def kill(self, record: Record, kill: Kill, *, new: bool = False) -> Record:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> Record:
            found = at.record
            if found is None and new:
                pipe.multi()
                return self._write(pipe, at, evolve(self._of_here(record), kill=kill), new=True)
            if found is None or is_other(found, record):
                return record
            return found if found.kill or found.outcome else self._set(pipe, at, found, kill=kill)

        return self._on_record(record.job_id, change)

    def finish(
        self,
        record: Record,
        outcome: Outcome,
        *,
        at: datetime,
        expires_at: datetime,
        new: bool = False,
    ) -> tuple[Record, bool]:
        """See ``JobRecords``."""

        def change(pipe: Any, place: Found) -> tuple[Record, bool]:
            found = place.record
            if found is None and not new:
                return record, False
            if found is not None and is_other(found, record):
                return record, False
            if found is not None and found.outcome:
                return found, False
            ended = evolve(
                found or self._of_here(record),
                outcome=outcome,
                ended_at=at,
                expires_at=expires_at,
            )
            pipe.multi()
            self._write(pipe, place, ended, new=found is None)
            self._expire(pipe, place.scope, ended)
            return ended, True

        return self._on_record(record.job_id, change)

    def announced(self, job_id: str) -> None:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> None:
            if at.record is not None:
                self._set(pipe, at, at.record, announced=True)

        self._on_record(job_id, change)

    def forget(self, job_id: str) -> None:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> None:
            pipe.multi()
            if at.record is not None:
                self._delete(pipe, job_id, at.scope)
            pipe.delete(*at.leases)

        self._on_record(job_id, change)

    def unfinished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return [record for record in self._all() if record.outcome is None]

    def finished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        ended = [record for record in self._all() if record.outcome is not None]
        return sorted(ended, key=lambda record: record.ended_at or record.intended_at)

    def _all(self) -> Iterator[Record]:
        """Yield the records that are to be seen now, each job's once."""
        known = self._places.known()
        seen: set[str] = set()
        for scope in (*known.scopes, OLD):
            for record in self._in_scope(scope):
                if record.job_id not in seen and (scope != OLD or is_here(record, known)):
                    seen.add(record.job_id)
                    yield record

    def _in_scope(self, scope: str) -> Iterator[Record]:
        with in_words():
            names = sorted(self._redis.smembers(self._keys.records(scope)))
            pipe = self._redis.pipeline(transaction=False)
            for job_id in names:
                pipe.hgetall(self._keys.record(job_id, scope))
            found = pipe.execute()
        for job_id, fields in zip(names, found, strict=True):
            record = load(fields)
            if record is not None:
                yield record
            else:
                self._unlist(job_id, scope)

    def _unlist(self, job_id: str, scope: str) -> None:
        """Take a record that has expired off the list, unless it was begun anew."""
        name = self._keys.record(job_id, scope)

        def change(pipe: Any) -> None:
            if not pipe.exists(name):
                pipe.multi()
                pipe.srem(self._keys.records(scope), job_id)

        transaction(self._redis, change, name)

    # -- places ------------------------------------------------------------------------------

    @property
    def here(self) -> tuple[str, ...]:
        """The keys of the present place, ours first; empty before ``enter``."""
        return self._places.known().here

    def enter(self, place: Place) -> str:
        """See ``JobRecords``."""
        key = self._places.enter(place)
        known = self._places.known()
        if len(known.here) > 1:
            self._merge(known)
        return key

    def _merge(self, known: Known) -> None:
        """Keep one record of each object that two endpoints of the present place have one of."""
        there = [
            (scope, record)
            for scope in (*known.scopes, OLD)
            for record in self._in_scope(scope)
            if record.place in known.here
        ]
        for kept, others in doubles(record for _, record in there):
            for scope in (scope for scope, record in there if any(record is o for o in others)):
                self._drop(kept.job_id, scope)
            for other in others:
                for key in {kept.place, other.place} - {known.key, None}:
                    self._places.join(str(key))

    def _drop(self, job_id: str, scope: str) -> None:
        """Delete the record of an object that has another one."""
        name = self._keys.record(job_id, scope)

        def change(pipe: Any) -> None:
            pipe.multi()
            self._delete(pipe, job_id, scope)

        transaction(self._redis, change, name)

    def places(self) -> Sequence[KnownPlace]:
        """See ``JobRecords``."""
        known = self._places.known(fresh=True)
        old = list(self._in_scope(OLD))
        found = []
        for key, row in sorted(known.rows.items()):
            there = [*self._in_scope(key), *(record for record in old if record.place == key)]
            unfinished = sum(record.outcome is None for record in there)
            found.append(
                KnownPlace(
                    key=key,
                    place=row.place,
                    seen_at=row.seen_at,
                    unfinished=unfinished,
                    here=key in known.here,
                )
            )
        return found

    def elsewhere(self, job_id: str) -> Sequence[KnownPlace]:
        """See ``JobRecords``."""
        known = self._places.known(fresh=True)
        others = [key for key in known.rows if key not in known.here]
        with in_words():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hget(self._keys.record(job_id), "place")
            for key in others:
                pipe.exists(self._keys.record(job_id, key))
            old, *own = pipe.execute()
        there = {key for key, exists in zip(others, own, strict=True) if exists}
        there |= {old} & set(others)
        return [place for place in self.places() if place.key in there] if there else []

    def seen_here(self, record: Record) -> Record:
        """See ``JobRecords``."""
        known = self._places.known()
        if known.key is None or record.place == known.key:
            return record
        if record.place is not None:
            self._places.join(record.place)
            return record
        name = self._keys.record(record.job_id)

        def change(pipe: Any) -> None:
            found = load(pipe.hgetall(name))
            if found is not None and found.place is None:
                pipe.multi()
                pipe.hset(name, "place", known.key)

        transaction(self._redis, change, name)
        return evolve(record, place=known.key)

    def absence_counts(self, record: Record) -> bool:
        """See ``JobRecords``."""
        known = self._places.known()
        if known.key is None:
            return True
        return record.place is not None and known.one_engine(record.place)

    def give_up(
        self, key: str, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> Sequence[Record]:
        """See ``JobRecords``."""
        known = self._places.known(fresh=True)
        if key not in known.rows or key in known.here:
            raise LookupError(key)
        ended = []
        for scope in (key, OLD):
            for record in list(self._in_scope(scope)):
                if key in {scope, record.place}:
                    ended += self._end(record, scope, outcome, at, expires_at)
        return ended

    def _end(
        self, record: Record, scope: str, outcome: Outcome, at: datetime, expires_at: datetime
    ) -> list[Record]:
        """Write the outcome of a job of another place, once."""
        name = self._keys.record(record.job_id, scope)

        def change(pipe: Any) -> list[Record]:
            found = load(pipe.hgetall(name))
            if found is None or found.outcome or is_other(found, record):
                return []
            ended = evolve(found, outcome=outcome, ended_at=at, expires_at=expires_at)
            pipe.multi()
            pipe.hset(name, mapping=dump(ended))
            self._expire(pipe, scope, ended)
            return [ended]

        return transaction(self._redis, change, name)

    # -- leases ------------------------------------------------------------------------------

    def lease(self, key: str, *, holder: str, seconds: float) -> bool:
        """See ``JobRecords``."""

        def change(pipe: Any, at: Found) -> bool:
            if self._leases.holder(pipe.mget(at.leases)) not in {None, holder}:
                return False
            pipe.multi()
            name = self._keys.lease(key, at.scope)
            self._leases.hold(pipe, (name,), holder, seconds)
            return True

        return self._on_record(key, change)

    def leased(self, key: str) -> str | None:
        """See ``JobRecords``."""
        names = self._find(key).leases
        with in_words():
            return self._leases.holder(self._redis.mget(names))

    def renew(self, *, holder: str, seconds: float) -> None:
        """See ``JobRecords``; one that has run out is taken again where nobody else has it."""
        self._leases.renew(holder, seconds)

    def release(self, key: str, *, holder: str) -> None:
        """See ``JobRecords``."""
        self._leases.release(holder, *self._find(key).leases)

    def release_all(self, *, holder: str) -> None:
        """See ``JobRecords``."""
        self._leases.release(holder)

    def close(self) -> None:
        """See ``JobRecords``."""
        self._redis.close()

    # -- inside ------------------------------------------------------------------------------

    def _on_record(self, job_id: str, change: Callable[[Any, Found], T]) -> T:
        """Run a change of one job: its records and leases, wherever they are, are watched."""
        known, keys = self._places.known(), self._keys
        scopes = (*known.scopes, OLD)
        watched = [name(job_id, scope) for scope in scopes for name in (keys.record, keys.lease)]

        def apply(pipe: Any) -> T:
            return change(pipe, find(pipe, keys, known, job_id))

        return transaction(self._redis, apply, *watched)

    def _find(self, job_id: str) -> Found:
        return find(self._redis, self._keys, self._places.known(), job_id)

    def _of_here(self, record: Record) -> Record:
        return evolve(record, place=self._places.key)

    def _set(self, pipe: Any, at: Found, record: Record, **changes: Any) -> Record:
        pipe.multi()
        return self._write(pipe, at, evolve(record, **changes))

    def _write(self, pipe: Any, at: Found, record: Record, *, new: bool = False) -> Record:
        pipe.hset(self._keys.record(record.job_id, at.scope), mapping=dump(record))
        if new:
            pipe.sadd(self._keys.records(at.scope), record.job_id)
        return record

    def _expire(self, pipe: Any, scope: str, record: Record) -> None:
        """Let Redis forget an ended job; how long it is kept is counted by Redis' own clock."""
        if record.expires_at is not None and record.ended_at is not None:
            kept = max(1, round((record.expires_at - record.ended_at).total_seconds()))
            pipe.expire(self._keys.record(record.job_id, scope), kept)

    def _delete(self, pipe: Any, job_id: str, scope: str) -> None:
        pipe.delete(self._keys.record(job_id, scope))
        pipe.srem(self._keys.records(scope), job_id)
