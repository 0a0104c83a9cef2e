"""Entries as the text fields of a Redis hash, and back."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import attrs
from cattrs.preconf.json import JsonConverter, make_converter

from spawnery_dispatcher.model.models import Entry

_PLAIN = frozenset(
    {
        "message",
        "read",
        "notice",
        "cancelled_by",
        "spec",
        "engine_place",
        "answered",
        "pinged",
    }
)
"""Fields that are text already."""


@functools.cache
def _converter() -> JsonConverter:
    return make_converter()


def dump_field(name: str, value: Any) -> str:
    """Return one field of an entry as text; None is empty."""
    if name in _PLAIN:
        return str(value)
    if value is None:
        return ""
    return json.dumps(_converter().unstructure(value), ensure_ascii=False)


def dump(entry: Entry) -> dict[str, str]:
    """Return the fields of an entry that are set, as text.

    A field that is not there can be written once by whoever is first (``HSETNX``).
    """
    pairs = ((a.name, getattr(entry, a.name)) for a in attrs.fields(Entry))
    return {name: text for name, value in pairs if (text := dump_field(name, value))}


def load(fields: Mapping[str, str]) -> Entry:
    """Read an entry; fields of others and of newer versions are left out, missing ones unset."""
    found: dict[str, Any] = {}
    for attribute in attrs.fields(attrs.resolve_types(Entry)):
        text = fields.get(attribute.name)
        if not text:
            continue
        plain = attribute.name in _PLAIN
        kind: Any = attribute.type
        found[attribute.name] = text if plain else _converter().loads(text, kind)
    return Entry(**found)
