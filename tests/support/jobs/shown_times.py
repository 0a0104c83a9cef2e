"""Durations as they are shown to a person, for tests of what is shown."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def seconds_in(text: str) -> list[float]:
    """Return the durations that a text shows (``0.4s``, ``3m20s``), in seconds."""
    found = re.findall(r"\b((?:[\d.]+[dhms])+)\b", text)
    pairs = [re.findall(r"([\d.]+)([dhms])", shown) for shown in found]
    return [sum(float(number) * _SECONDS[unit] for number, unit in each) for each in pairs]


def ages_in(text: str) -> list[float]:
    """Return the ages in the lines of a ``status`` (``... (6.8s ago)``), in seconds."""
    return [age for line in text.splitlines() if "ago)" in line for age in seconds_in(line)]
