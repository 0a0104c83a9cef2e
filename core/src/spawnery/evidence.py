"""Whose evidence it is: whether what an engine shows belongs to the job of a record (P3); pure.

Identity decides: the record id that the object carries, else the engine's id. Time decides only
where neither is known on both sides, and only outside of the error of the clocks.
"""

from __future__ import annotations

from datetime import timedelta

from spawnery.outcomes import JobGone, JobStatus
from spawnery.records import Record

Offset = tuple[timedelta, timedelta]
"""How far the engine's clock is ahead of ours: least and most."""


def same_object(one: JobStatus, other: JobStatus | JobGone) -> bool:
    """Tell whether two observations of a job id are of one object, as far as can be told."""
    told = _told_apart(one.record_id, other.record_id)
    if told is None:
        told = _told_apart(one.engine_id, other.engine_id)
    return True if told is None else told


def concerns(record: Record, seen: JobStatus | JobGone, *, offset: Offset | None = None) -> bool:
    """Tell whether evidence belongs to the job of a record.

    Args:
        record: The record under the job's id.
        seen: What the engine shows.
        offset: How far the engine's clock is ahead, where it is measured.
    """
    told = _told_apart(record.record_id, seen.record_id)
    if told is None:
        told = _told_apart(record.engine_id, seen.engine_id)
    if told is not None:
        return told
    if isinstance(seen, JobGone) or seen.accepted_at is None or offset is None:
        return True
    return seen.accepted_at + _RESOLUTION >= record.intended_at + offset[0]


def is_named(record: Record, seen: JobStatus) -> bool:
    """Tell whether the evidence names its object, so that nobody has to look once more."""
    told = _told_apart(record.record_id, seen.record_id)
    return told or _told_apart(record.engine_id, seen.engine_id) is True


_RESOLUTION = timedelta(seconds=1)
"""Engines give times in whole seconds."""


def _told_apart(one: str | None, other: str | None) -> bool | None:
    """Compare two ids; None where one of them is not known."""
    return None if one is None or other is None else one == other
