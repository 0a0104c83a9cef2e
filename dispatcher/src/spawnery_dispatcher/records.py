"""Core's records in Redis, so that all dispatchers of an instance share them (``JobRecords``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

import attrs
from redis.exceptions import RedisError
from spawnery.errors import JobNotFound, StateError
from spawnery.holders import is_alive
from spawnery.outcomes import Outcome
from spawnery.records import Begun, Kill, Record
from spawnery.records_codec import dump, load_kill, load_outcome

from spawnery_dispatcher.connection import is_conflict
from spawnery_dispatcher.keys import Keys

T = TypeVar("T")

_HELD_SECONDS: Final = 86400
"""How long the list of a holder's leases outlives the last of them; a dead one renews none."""
_TIMES: Final = ("intended_at", "created_at", "ended_at", "expires_at")
_CODED: Final = {"kill": load_kill, "outcome": load_outcome}


class RedisRecords:
    """See ``spawnery.records.JobRecords``; every method is one transaction.

    Args:
        redis: A ``redis.Redis`` that decodes answers and repeats nothing by itself.
        keys: Of the instance.
    """

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    # -- records -----------------------------------------------------------------------------

    def get(self, job_id: str) -> Record | None:
        """See ``JobRecords``."""
        with _in_words():
            return _loaded(self._redis.hgetall(self._keys.record(job_id)))

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """See ``JobRecords``."""
        lease = self._keys.lease(record.job_id)

        def change(pipe: Any) -> Begun:
            found = _loaded(pipe.hgetall(self._keys.record(record.job_id)))
            free = _free(pipe.get(lease), holder)
            pipe.multi()
            if found is None:
                self._write(pipe, record)
            if free:
                self._hold(pipe, (record.job_id,), holder, seconds)
            return Begun(record=found or record, inserted=found is None, leased=free)

        return self._transaction(change, self._keys.record(record.job_id), lease)

    def created(self, job_id: str, *, engine_id: str, at: datetime) -> Record:
        """See ``JobRecords``."""

        def change(pipe: Any, found: Record | None) -> Record:
            if found is None:
                msg = f"no record of job {job_id}"
                raise JobNotFound(msg, job_id=job_id)
            return self._set(pipe, found, engine_id=engine_id, created_at=at)

        return self._on_record(job_id, change)

    def withdraw(self, job_id: str) -> bool:
        """See ``JobRecords``."""

        def change(pipe: Any, found: Record | None) -> bool:
            if found is None or found.created_at or found.kill or found.outcome:
                return False
            self._delete(pipe, job_id)
            return True

        return self._on_record(job_id, change)

    def kill(self, record: Record, kill: Kill) -> Record:
        """See ``JobRecords``."""

        def change(pipe: Any, found: Record | None) -> Record:
            if found is not None and (found.kill or found.outcome):
                return found
            return self._set(pipe, found or record, kill=kill)

        return self._on_record(record.job_id, change)

    def finish(
        self, record: Record, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> tuple[Record, bool]:
        """See ``JobRecords``."""

        def change(pipe: Any, found: Record | None) -> tuple[Record, bool]:
            if found is not None and found.outcome:
                return found, False
            ended = {"outcome": outcome, "ended_at": at, "expires_at": expires_at}
            written = self._set(pipe, found or record, **ended)
            pipe.expireat(self._keys.record(record.job_id), expires_at)
            return written, True

        return self._on_record(record.job_id, change)

    def announced(self, job_id: str) -> None:
        """See ``JobRecords``."""

        def change(pipe: Any, found: Record | None) -> None:
            if found is not None:
                self._set(pipe, found, announced=True)

        self._on_record(job_id, change)

    def forget(self, job_id: str) -> None:
        """See ``JobRecords``."""

        def change(pipe: Any, _found: Record | None) -> None:
            self._delete(pipe, job_id)
            pipe.delete(self._keys.lease(job_id))

        self._on_record(job_id, change)

    def unfinished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return [record for record in self._all() if record.outcome is None]

    def finished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        ended = [record for record in self._all() if record.outcome is not None]
        return sorted(ended, key=lambda record: record.ended_at or record.intended_at)

    def _all(self) -> Iterator[Record]:
        with _in_words():
            names = sorted(self._redis.smembers(self._keys.records))
            pipe = self._redis.pipeline(transaction=False)
            for job_id in names:
                pipe.hgetall(self._keys.record(job_id))
            found = pipe.execute()
        for job_id, fields in zip(names, found, strict=True):
            record = _loaded(fields)
            if record is not None:
                yield record
            else:
                self._unlist(job_id)

    def _unlist(self, job_id: str) -> None:
        """Take a record that has expired off the list, unless it was begun anew."""

        def change(pipe: Any, found: Record | None) -> None:
            if found is None:
                pipe.multi()
                pipe.srem(self._keys.records, job_id)

        self._on_record(job_id, change)

    # -- leases ------------------------------------------------------------------------------

    def lease(self, key: str, *, holder: str, seconds: float) -> bool:
        """See ``JobRecords``."""
        name = self._keys.lease(key)

        def change(pipe: Any) -> bool:
            if not _free(pipe.get(name), holder):
                return False
            pipe.multi()
            self._hold(pipe, (key,), holder, seconds)
            return True

        return self._transaction(change, name)

    def _hold(self, pipe: Any, keys: Sequence[str], holder: str, seconds: float) -> None:
        held = self._keys.held(holder)
        for key in keys:
            pipe.set(self._keys.lease(key), holder, px=round(seconds * 1000))
        pipe.sadd(held, *keys)
        pipe.expire(held, _HELD_SECONDS)

    def leased(self, key: str) -> str | None:
        """See ``JobRecords``."""
        with _in_words():
            found = self._redis.get(self._keys.lease(key))
        return found if found is not None and is_alive(found) else None

    def renew(self, *, holder: str, seconds: float) -> None:
        """See ``JobRecords``; one that has run out is taken again where nobody else has it."""

        def change(pipe: Any, found: Mapping[str, str | None]) -> None:
            ours = [key for key, who in found.items() if who in {None, holder}]
            if ours:
                self._hold(pipe, ours, holder, seconds)
            if lost := found.keys() - ours:
                pipe.srem(self._keys.held(holder), *lost)

        self._on_leases(holder, change)

    def release(self, key: str, *, holder: str) -> None:
        """See ``JobRecords``."""
        self._release(holder, key)

    def release_all(self, *, holder: str) -> None:
        """See ``JobRecords``."""
        self._release(holder)

    def _release(self, holder: str, *keys: str) -> None:
        def change(pipe: Any, found: Mapping[str, str | None]) -> None:
            if ours := [self._keys.lease(key) for key, who in found.items() if who == holder]:
                pipe.delete(*ours)
            pipe.srem(self._keys.held(holder), *found)

        self._on_leases(holder, change, *keys)

    def _on_leases(
        self, holder: str, write: Callable[[Any, Mapping[str, str | None]], None], *keys: str
    ) -> None:
        """Change leases, by default all of a holder, in one transaction.

        ``write`` gets who has each key. The list is watched: a lease that is given back
        meanwhile is not taken again.
        """
        held = self._keys.held(holder)

        def change(pipe: Any) -> None:
            chosen = keys or sorted(pipe.smembers(held))
            names = [self._keys.lease(key) for key in chosen]
            if not names:
                return
            pipe.watch(*names)
            holders = pipe.mget(names)
            pipe.multi()
            write(pipe, dict(zip(chosen, holders, strict=True)))

        self._transaction(change, held)

    def close(self) -> None:
        """See ``JobRecords``."""
        self._redis.close()

    # -- inside ------------------------------------------------------------------------------

    def _on_record(self, job_id: str, change: Callable[[Any, Record | None], T]) -> T:
        """Run a change of one record; ``change`` writes with ``_set`` and ``_delete`` alone."""
        key = self._keys.record(job_id)
        return self._transaction(lambda pipe: change(pipe, _loaded(pipe.hgetall(key))), key)

    def _set(self, pipe: Any, record: Record, **changes: Any) -> Record:
        changed = attrs.evolve(record, **changes)
        pipe.multi()
        self._write(pipe, changed)
        return changed

    def _write(self, pipe: Any, record: Record) -> None:
        pipe.hset(self._keys.record(record.job_id), mapping=_dumped(record))
        pipe.sadd(self._keys.records, record.job_id)

    def _delete(self, pipe: Any, job_id: str) -> None:
        pipe.multi()
        pipe.delete(self._keys.record(job_id))
        pipe.srem(self._keys.records, job_id)

    def _transaction(self, change: Callable[[Any], T], *watched: str) -> T:
        while True:
            with _in_words(), self._redis.pipeline(transaction=True) as pipe:
                try:
                    pipe.watch(*watched)
                    result = change(pipe)
                    if pipe.explicit_transaction:
                        pipe.execute()
                except RedisError as error:
                    if is_conflict(error):
                        continue
                    raise
                return result


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn what redis-py raises into our error."""
    try:
        yield
    except RedisError as error:
        said = " ".join(str(error).split())[:200]
        msg = f"the records in Redis cannot be used: {type(error).__name__}: {said}"
        hint = "is Redis there? redis-cli ping"
        raise StateError(msg, hint=hint, retryable=True) from None


def _free(held_by: str | None, holder: str) -> bool:
    return held_by is None or held_by == holder or not is_alive(held_by)


def _dumped(record: Record) -> dict[str, str]:
    fields: dict[str, str] = {}
    for attribute in attrs.fields(Record):
        value = getattr(record, attribute.name)
        if value is None:
            continue
        if attribute.name in _CODED:
            fields[attribute.name] = dump(value)
        elif attribute.name in _TIMES:
            fields[attribute.name] = value.isoformat()
        elif attribute.name == "announced":
            fields[attribute.name] = str(int(value))
        else:
            fields[attribute.name] = str(value)
    return fields


def _loaded(fields: Mapping[str, str]) -> Record | None:
    if not fields:
        return None
    known = {a.name for a in attrs.fields(Record)}
    found: dict[str, Any] = {name: text for name, text in fields.items() if name in known}
    for name in _TIMES:
        if name in found:
            found[name] = datetime.fromisoformat(found[name])
    for name, load in _CODED.items():
        if name in found:
            found[name] = load(found[name])
    found["announced"] = found.get("announced") == "1"
    found["retention_seconds"] = float(found.get("retention_seconds", 0))
    return Record(**found)
