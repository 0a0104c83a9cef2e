"""Under which keys the record of a job is: part of ``records``."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen
from spawnery.contract import Record

from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.places import Known
from spawnery_dispatcher.store.record_text import load
from spawnery_dispatcher.store.transactions import in_words

OLD: Final = ""
"""Scope of the keys that versions before 0.2 use (``Keys.record``)."""


@frozen(kw_only=True)
class Found:
    """Where a job of the present place is, or would be.

    Attributes:
        scope: Of its keys.
        record: What is kept, if anything is.
        leases: Names of all leases that bind the job.
    """

    scope: str
    record: Record | None
    leases: tuple[str, ...]


def find(reader: Any, keys: Keys, known: Known, job_id: str) -> Found:
    """Look where a job is.

    A record with the present place goes before one of versions before 0.2, whose place nobody
    knows.

    Args:
        reader: A client, or a pipeline that watches the keys.
        keys: Of the instance.
        known: What is known of places.
        job_id: The job.
    """
    names = [keys.record(job_id, scope) for scope in (OLD, *known.scopes)]
    with in_words():
        if hasattr(reader, "watching"):
            fields = [reader.hgetall(name) for name in names]
        else:
            pipe = reader.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
            fields = pipe.execute()
    old, *own = map(load, fields)
    free = old is None and known.old_keys
    shared = free or (old is not None and is_here(old, known))
    leases = [keys.lease(job_id, scope) for scope in known.scopes]
    leases += [keys.lease(job_id)] if shared else []
    there = [(s, r) for s, r in zip(known.scopes, own, strict=True) if r is not None]
    if shared and old is not None:
        there.insert(0 if old.place is not None else len(there), (OLD, old))
    scope, record = next(iter(there), (OLD if free else known.scopes[0], None))
    return Found(scope=scope, record=record, leases=tuple(leases))


def is_here(record: Record, known: Known) -> bool:
    """Tell whether a record under the keys of versions before 0.2 is to be seen now."""
    return record.place is None or record.place in known.here
