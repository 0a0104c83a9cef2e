"""Lets Python programs sleep under libfaketime, which Python imports when it starts.

``time.sleep`` waits until a time of the monotonic clock (``clock_nanosleep``, TIMER_ABSTIME).
libfaketime 0.9.10 turns that into an invalid time (EINVAL) where it leaves that clock alone.
"""

from __future__ import annotations

import select
import time


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)


time.sleep = _sleep
