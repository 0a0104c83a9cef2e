"""Checks of what a verb is called with: a wrong type is an ``InvalidSpec`` that names it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NoReturn

from spawnery.errors import InvalidSpec
from spawnery.model.job import JobSpec


def _refuse(name: str, value: Any, wanted: str) -> NoReturn:
    # Only numbers are shown: anything else may hold a secret.
    shown = repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"
    msg = f"{name}: must be {wanted}, not {'None' if value is None else shown}"
    raise InvalidSpec(msg, field=name)


def spec(value: Any) -> JobSpec:
    """Return a job spec.

    Raises:
        InvalidSpec: It is something else.
    """
    if isinstance(value, JobSpec):
        return value
    msg = f"spec: must be a JobSpec, not {'None' if value is None else f'a {type(value).__name__}'}"
    hint = "JobSpec(...) makes one; spawnery.jobfile.reader.load(path) reads one from a file"
    raise InvalidSpec(msg, field="spec", hint=hint)


def seconds(name: str, value: Any) -> float | None:
    """Return a number of seconds, None where there is none.

    Raises:
        InvalidSpec: It is no number, negative or not finite.
    """
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and value >= 0:
        return float(value)
    _refuse(name, value, "a number of seconds, 0 or more")


def place_in_log(cursor: Any, since: Any, tail_bytes: Any) -> None:
    """Look at where reading a log is to begin.

    Raises:
        InvalidSpec: One is of the wrong type, a time without a zone, or a negative size.
    """
    if cursor is not None and not isinstance(cursor, str):
        _refuse("cursor", cursor, "the cursor of a chunk")
    if since is not None and (not isinstance(since, datetime) or since.tzinfo is None):
        _refuse("since", since, "a datetime with a time zone")
    whole = isinstance(tail_bytes, int) and not isinstance(tail_bytes, bool)
    if not whole or tail_bytes < 0:
        _refuse("tail_bytes", tail_bytes, "a number of bytes, 0 or more")
