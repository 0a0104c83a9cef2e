"""Core's records as the text fields of a Redis hash, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs
from spawnery.contract import Record
from spawnery.records.codec import dump as dump_coded
from spawnery.records.codec import load_kill, load_outcome, load_step

_TIMES: Final = ("intended_at", "created_at", "ended_at", "expires_at")
_CODED: Final = {"kill": load_kill, "outcome": load_outcome, "step": load_step}


def dump(record: Record) -> dict[str, str]:
    """Return the fields that are set."""
    fields: dict[str, str] = {}
    for attribute in attrs.fields(Record):
        value = getattr(record, attribute.name)
        if value is None:
            continue
        if attribute.name in _CODED:
            fields[attribute.name] = dump_coded(value)
        elif attribute.name in _TIMES:
            fields[attribute.name] = value.isoformat()
        elif attribute.name == "announced":
            fields[attribute.name] = str(int(value))
        else:
            fields[attribute.name] = str(value)
    return fields


def load(fields: Mapping[str, str]) -> Record | None:
    """Read a record; fields of newer versions are left out. None where there is none."""
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
