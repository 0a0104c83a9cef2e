"""The spec hash: tells whether two specs under one job id ask for the same job (promise P1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from spawnery.model.job import JobSpec
from spawnery.model.secret import SecretRef

SCHEMA: Final = "v1"
"""Goes up when the same spec would hash to something else."""
_DIGITS: Final = 48
_NOTHING: Final[dict[str, Any]] = {}


def _plain(value: object) -> object:
    if isinstance(value, SecretRef):
        return value.describe()
    if isinstance(value, Mapping):
        return dict(value)
    if attrs.has(type(value)):
        return _fields(value)
    msg = f"options hold a {type(value).__name__}: only JSON values are allowed"
    raise TypeError(msg)


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain)


def spec_hash(spec: JobSpec) -> str:
    """Hash a spec as it was submitted.

    Secrets count by name and source and never by value, the job id does not count, and neither do
    fields that are not set: a field added to the model later leaves old hashes alone.

    Returns:
        ``v1.`` and 48 hex digits, which fits a label.
    """
    text = _ENCODER.encode(_fields(spec))
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    return f"{SCHEMA}.{digest}"


_names_of: Final[dict[Any, tuple[str, ...]]] = {}


def _names(kind: Any) -> tuple[str, ...]:
    if kind not in _names_of:
        _names_of[kind] = tuple(a.name for a in attrs.fields(kind) if a.name != "job_id")
    return _names_of[kind]


def _fields(value: Any) -> dict[str, Any]:
    found = {}
    for name in _names(type(value)):
        item = getattr(value, name)
        if isinstance(item, float) and item.is_integer():
            item = int(item)  # 60 and 60.0 seconds are the same spec
        if item is not None and item != _NOTHING:
            found[name] = item
    return found
