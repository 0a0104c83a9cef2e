"""Whether the engine dropped a part of a log: it does not say so, so it is worked out; pure.

The daemon begins a new file when the last one has reached ``max-size``, keeps ``max-file`` of them,
and counts what it writes: for json-file the line with its escapes, stream and time, for local the
message with its frame (moby: daemon/logger). So

* a log of which fewer than ``max-file - 1`` full files are there is whole: no file was dropped;
* of what was there when somebody began to follow, the same holds;
* whoever follows a log then only misses whole files, where the daemon was behind while it read for
  us: then there is a hole between two messages, long enough to write a file, and the second was
  already written when the first came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from spawnery_docker.output.cursors import Counts, Place, Position
from spawnery_docker.output.demux import Message

_NANO: Final = 1_000_000_000
_JSON_FRAME: Final = 69
_LOCAL_FRAME: Final = 27
"""Bytes that a driver adds to each message (measured; its newline is in the data)."""
_TWO: Final = b'\n\r"\\'
_SIX: Final = bytes(byte for byte in range(32) if byte not in b"\n\r") + b"<>&"
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}".encode()
_FASTEST: Final = 50_000_000
"""Bytes per second that a daemon writes to a log at most, roughly (20 MB/s were measured)."""


@frozen
class Limits:
    """How much of a log its driver keeps.

    Attributes:
        driver: ``json-file`` or ``local``.
        size: Bytes of a file at which the next one is begun.
        files: How many are kept.
    """

    driver: str
    size: int
    files: int

    @property
    def whole(self) -> int:
        """Bytes on disk below which nothing was dropped."""
        return self.size * (self.files - 1)

    @property
    def reason(self) -> str:
        """Why a part is missing, for people."""
        return (
            f"the engine keeps at most {self.size * self.files:,} bytes of it, with what the log"
            f" driver {self.driver} adds to each line (SPAWNERY_DOCKER_LOG_MAX_BYTES)"
        )

    def is_full(self, messages: Sequence[Message]) -> bool:
        """Tell whether something may have been dropped of a log of which this is there."""
        return self.stored(messages) >= self.whole

    def stored(self, messages: Sequence[Message]) -> int:
        """Return how many bytes these messages take on the engine's disk."""
        data = b"".join(data for _, _, data in messages)
        if self.driver == "local":
            return len(data) + _LOCAL_FRAME * len(messages)
        two = len(data) - len(data.translate(None, _TWO))
        six = len(data) - len(data.translate(None, _SIX))
        escaped = two + 5 * six + 3 * data.count(_REPLACED)
        return len(data) + escaped + _JSON_FRAME * len(messages)


def limits_of(shown: Mapping[str, Any]) -> Limits | None:
    """Read the limits from a container's inspect; None where there are none that we know."""
    config = shown["HostConfig"].get("LogConfig") or {}
    options = config.get("Config") or {}
    size, files = options.get("max-size", ""), options.get("max-file", "")
    if config.get("Type") not in {"json-file", "local"} or not (size + files).isdecimal():
        return None
    return Limits(config["Type"], int(size), int(files)) if size and files else None


class Account:
    """Holds what was read of a log against what the engine keeps of it.

    Args:
        limits: What the engine keeps; None where that is not known.
        now: The engine's present, not earlier than it is.
        start: Where reading begins, which it does right afterwards.

    Attributes:
        doubtful: Whether following may have missed something, so that all is to be read again.
    """

    def __init__(
        self, limits: Limits | None, now: Callable[[], datetime], start: Place | Counts | None
    ) -> None:
        self._limits = limits
        self._now = now
        self.start = start
        self.doubtful = False
        self._given = 0
        self._followed = 0
        self._begun = now().timestamp() * _NANO
        self._backlog = 0
        self._last = (0, 0.0)
        self._kept = 0
        self._again: Position | None = None
        self._there = 0

    def check_all(self) -> None:
        """Note that what comes now is all that the engine has, from the start on."""
        self._again = Position(self.start)

    def follow(self, messages: Sequence[Message], *, from_start: bool) -> None:
        """Take in what came while the log was followed; see ``read``."""
        if self._limits is None:
            return
        arrived, (last, came) = self._now().timestamp() * _NANO, self._last
        if from_start:
            there = [message for message in messages if message[1] <= self._begun]
            self._backlog += self._limits.stored(there)
        # The first file of a log is never missed.
        if self._followed >= self._limits.size and not self.doubtful:
            hole = self._limits.size / _FASTEST * _NANO
            for _, time, _ in messages:
                self.doubtful = self.doubtful or (time - last >= hole and time <= came)
                last, came = time, arrived
        self._last = (messages[-1][1], arrived)
        self._followed += self._limits.stored(messages)

    def read(self, messages: Sequence[Message], *, from_start: bool) -> None:
        """Take in what came of a log as it is.

        Args:
            messages: Whether they were seen before or not.
            from_start: Whether the log was asked for from its start.
        """
        if self._again is not None:
            again = self._again
            self._there += sum(len(again.admit(*message)) for message in messages)
        if self._limits is not None and from_start:
            self._kept += self._limits.stored(messages)

    def gave(self, size: int) -> None:
        """Take in that a reader got so many bytes."""
        self._given += size

    def missing(self) -> tuple[int, str | None]:
        """Return how many bytes are missing for certain, and why there may be more."""
        if self._limits is None:
            return 0, None
        if self._again is not None:
            known = max(0, self._there - self._given)
            return known, self._limits.reason if self._kept >= self._limits.whole else None
        unsure = self.doubtful or max(self._kept, self._backlog) >= self._limits.whole
        return 0, self._limits.reason if unsure else None
