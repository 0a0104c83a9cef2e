"""Records of one id: which are of different jobs, and which are of one object."""

from __future__ import annotations

from collections.abc import Iterable

from spawnery.contract.records import Record


def is_other(one: Record, other: Record) -> bool:
    """Tell whether two records of one job id are known to be of different jobs."""
    return None not in {one.record_id, other.record_id} and one.record_id != other.record_id


def doubles(records: Iterable[Record]) -> list[tuple[Record, list[Record]]]:
    """Find records of one object, which two endpoints of one engine kept while it hid its id.

    Args:
        records: Of the present place; other jobs of one id (of cloned engines) are let be.

    Returns:
        For each such object the record that stays, and those that are to go.
    """
    jobs: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.record_id or record.engine_id:
            mark = record.record_id or record.engine_id or ""
            jobs.setdefault((record.job_id, mark), []).append(record)
    found = []
    for same in jobs.values():
        best = max(same, key=lambda r: (r.outcome is not None, r.kill is not None))
        if len(same) > 1:
            found.append((best, [record for record in same if record is not best]))
    return found
