"""Whether a part of a log is missing: the cluster gives a node's newest file of it only: pure.

The kubelet begins a new file when it finds that the last one has grown beyond
``containerLogMaxSize`` (10 MiB by default; it looks every 10 s), and ``GET /pods/{name}/log`` reads
the newest one. The API tells nothing of the others: neither that they are there nor their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spawnery_kubernetes.objects.facts import PodFacts

ROTATED: Final = (
    "its node began a new file (containerLogMaxSize of the kubelet), and the cluster gives only"
    " the newest one"
)

_NANO: Final = 1_000_000_000
_FRAME: Final = 44
"""Bytes that the node adds to each line."""
_MUCH: Final = 1 << 20
_LATE_SECONDS: Final = 2.0
"""Starts of containers are in whole seconds."""


class Beginning:
    """Judges whether what was read of a log from its start began at the beginning.

    That is in doubt where the log is long and its first line much younger than the program: it may
    have said nothing before, or have filled the files that are gone.
    """

    def __init__(self) -> None:
        self._first = 0
        self._stored = 0

    def read(self, time: int, lines: Sequence[bytes]) -> None:
        """Take in what came: when the first of it was written, in nanoseconds, and what is new."""
        self._first = self._first or time
        self._stored += sum(len(line) + _FRAME for line in lines)

    def doubt(self, pod: PodFacts) -> str | None:
        """Return why the beginning may be missing; None where nothing hints at it."""
        main = pod.main
        if main is None or self._stored < _MUCH:
            return None
        ended = main.terminated
        began = main.running_since or (ended.started_at if ended is not None else None)
        late = 0.0 if began is None else self._first / _NANO - began.timestamp()
        if late < _LATE_SECONDS:
            return None
        return f"its first line came {late:.0f} s after the start of its program; perhaps {ROTATED}"
