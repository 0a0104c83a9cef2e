"""Tests that share a cluster, and tests that break it for everybody: never at the same time.

Holds between the workers of a run and between runs of one user.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(what: str, *, alone: bool) -> Iterator[None]:
    """Hold something together with others, or alone.

    Args:
        what: A name for it.
        alone: Wait until nobody else holds it; who comes later waits behind.
    """
    folder = Path(tempfile.gettempdir())
    door = folder / f"spawnery-test-{what}-{os.getuid()}.door"
    room = folder / f"spawnery-test-{what}-{os.getuid()}.room"
    with room.open("w") as inside:
        # Whoever waits for the room stands in the door, so that others cannot keep it forever.
        with door.open("w") as entering:
            fcntl.flock(entering, fcntl.LOCK_EX)
            fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
