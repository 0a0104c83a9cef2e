"""Outcomes, kills and steps as JSON text, for records that are kept outside the process."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import attrs

from spawnery.contract.records import Kill, Step
from spawnery.model.outcome import JobState, Outcome


def dump(value: Outcome | Kill | Step) -> str:
    """Return the JSON text of an outcome, a kill or a step."""
    pairs = attrs.asdict(value, filter=lambda _attribute, item: item is not None)
    return json.dumps(pairs, default=_plain, ensure_ascii=False)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    msg = f"{type(value).__name__} has no JSON form"
    raise TypeError(msg)


def load_outcome(text: str) -> Outcome:
    """Read an outcome; fields that a newer version wrote are left out."""
    pairs = _known(Outcome, json.loads(text))
    pairs["state"] = JobState(pairs["state"])
    return Outcome(**_times(pairs, "started_at", "finished_at"))


def load_kill(text: str) -> Kill:
    """Read a kill; fields that a newer version wrote are left out."""
    return Kill(**_times(_known(Kill, json.loads(text)), "at"))


def load_step(text: str) -> Step:
    """Read a step; fields that a newer version wrote are left out."""
    return Step(**_times(_known(Step, json.loads(text)), "since"))


def _known(kind: type[Any], pairs: dict[str, Any]) -> dict[str, Any]:
    names = {a.name for a in attrs.fields(kind)}
    return {name: value for name, value in pairs.items() if name in names}


def _times(pairs: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if pairs.get(name):
            pairs[name] = datetime.fromisoformat(pairs[name])
    return pairs
