"""Durations for people: ``90``, ``90s``, ``15m``, ``1h30m``, ``2d``, ``500ms``."""

from __future__ import annotations

import re
from typing import Final

from spawnery.errors import InvalidSpec

FORMS: Final = "seconds, or for example 90s, 15m, 1h30m, 2d"
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
PATTERN: Final = rf"(?:{_PLAIN.pattern}|(?:{_PART.pattern})+)"
"""The whole grammar as a regular expression."""


def seconds_of(text: str) -> float | None:
    """Return a duration in seconds; None when the text is none."""
    if _PLAIN.fullmatch(text):
        return float(text)
    if re.fullmatch(rf"(?:{_PART.pattern})+", text):
        return sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(text))
    return None


def parse_duration(text: str, *, field: str) -> float:
    """Return a duration in seconds.

    Args:
        text: A number of seconds, or numbers with the units ms, s, m, h, d.
        field: Named in the error.

    Raises:
        InvalidSpec: It is no duration.
    """
    found = seconds_of(text)
    if found is None:
        msg = f"{field}: must be {FORMS}, not {text[:60]!r}"
        raise InvalidSpec(msg, field=field)
    return found
