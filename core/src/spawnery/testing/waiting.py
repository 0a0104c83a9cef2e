"""Waiting in tests: ask again and again, never sleep and hope."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = float(os.environ.get("SPAWNERY_TEST_PATIENCE", "30"))
"""Seconds for what normally takes one: a busy machine must not make a test fail.

``SPAWNERY_TEST_PATIENCE`` sets it: more for a slow engine, less where failures are expected.
"""
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.2


def eventually(
    probe: Callable[[], T], *, within: float = PATIENCE, message: str | None = None
) -> T:
    """Call ``probe`` until it returns something true; return that.

    Args:
        probe: What to ask. An ``AssertionError`` of it counts as "not yet".
        within: Seconds.
        message: What was waited for, for the failure.

    Raises:
        AssertionError: It was not true in time.
    """
    end = time.monotonic() + within
    pause = _FIRST_PAUSE
    last: AssertionError | None = None
    while True:
        try:
            found = probe()
        except AssertionError as error:
            last = error
        else:
            if found:
                return found
        if time.monotonic() > end:
            what = message or getattr(probe, "__doc__", None) or "what was waited for"
            text = f"not within {within:g} s: {what}"
            raise AssertionError(text) from last
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
