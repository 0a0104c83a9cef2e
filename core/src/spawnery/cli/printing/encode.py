"""Turning what the facade returns into what JSON can carry."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from spawnery.model.secret import Secret, SecretRef

if TYPE_CHECKING:
    from spawnery.model.outcome import LogChunk


def plain(value: Any) -> Any:
    """Return the value as dicts, lists, text, numbers and None; secrets as a mask."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, SecretRef):
        return value.describe()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if attrs.has(type(value)):
        return {a.name: plain(getattr(value, a.name)) for a in attrs.fields(type(value))}
    return _leaf_or_list(value)


def _leaf_or_list(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, AbstractSet):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if not isinstance(value, Secret) else "***"


def log_line(chunk: LogChunk) -> dict[str, Any]:
    """Return a piece of a log: its bytes as ``text`` where they are UTF-8, else in base64."""
    found: dict[str, Any] = {"stream": chunk.stream}
    try:
        found["text"] = chunk.data.decode()
    except UnicodeDecodeError:
        found["data_base64"] = base64.b64encode(chunk.data).decode()
    found["cursor"] = chunk.cursor
    found["time"] = plain(chunk.time)
    if chunk.gap:
        found["lost_bytes"] = chunk.lost or None
    if chunk.lost_reason is not None:
        found["lost_reason"] = chunk.lost_reason
    return found
