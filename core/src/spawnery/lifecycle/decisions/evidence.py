"""Whose evidence it is: whether what an engine shows belongs to the job of a record (P3); pure.

Identity decides: the record id that the object carries, and the engine's own id. Time decides only
where neither is known on both sides, and only outside of the error of the clocks.
"""

from __future__ import annotations

from datetime import timedelta

from spawnery.contract.records import Record
from spawnery.model.outcome import JobGone, JobStatus

Offset = tuple[timedelta, timedelta]
"""How far the engine's clock is ahead of ours: least and most."""


def same_object(one: JobStatus, other: JobStatus | JobGone) -> bool:
    """Tell whether two observations of a job id are of one object, as far as can be told."""
    return _match(one.record_id, other.record_id, one.engine_id, other.engine_id) is not False


def concerns(record: Record, seen: JobStatus | JobGone, *, offset: Offset | None = None) -> bool:
    """Tell whether evidence belongs to the job of a record.

    Args:
        record: The record under the job's id.
        seen: What the engine shows.
        offset: How far the engine's clock is ahead, where it is measured.
    """
    match = _match(record.record_id, seen.record_id, record.engine_id, seen.engine_id)
    if match is not None:
        return match
    if isinstance(seen, JobGone) or seen.accepted_at is None or offset is None:
        return True
    return seen.accepted_at + _RESOLUTION >= record.intended_at + offset[0]


def is_named(record: Record, seen: JobStatus) -> bool:
    """Tell whether the evidence names its object, so that nobody has to look once more."""
    match = _match(record.record_id, seen.record_id, record.engine_id, seen.engine_id)
    return match is True


_RESOLUTION = timedelta(seconds=1)
"""Engines give times in whole seconds."""


def _match(
    record_id: str | None, seen_id: str | None, engine_id: str | None, seen_engine: str | None
) -> bool | None:
    """Compare an object's ids with those of an observation; None where nothing can be compared.

    One record may have had several objects, where its spawn removed one and made another: so equal
    record ids alone do not make objects equal whose engine ids differ.
    """
    records = None if None in {record_id, seen_id} else record_id == seen_id
    engines = None if None in {engine_id, seen_engine} else engine_id == seen_engine
    return records if engines is None or records is False else engines
