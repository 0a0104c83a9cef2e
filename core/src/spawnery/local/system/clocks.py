"""The clocks of this machine; standard library only, the supervisor uses it too.

The wall clock may be set at any time; the clock of the boot never is, and it goes on while the
machine sleeps (clock_gettime(2), CLOCK_BOOTTIME). What happened is written down by both, with the
id of the boot: ages are of the boot's clock, what people read is of the wall clock.

One process gives all times by one clock that is never set either: the wall clock as it was when
the process began, moved on by the clock of the boot. Otherwise a time that was read before a step
of the wall clock and the present after it would be an hour apart that never passed.
"""

from __future__ import annotations

import time

from spawnery.local.system import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_SAME_SECONDS = 0.05
"""A wall clock that is off by less was not set: two readings are that far apart at most."""


def since_boot() -> float:
    """Seconds that go on while the machine sleeps, where the system counts those."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Moment:
    """Now.

    Args:
        wall: The wall clock, seconds since the epoch.
        seconds: Since the boot.
        boot: The id of the boot.
        steady: The wall clock as it would be if nobody had set it since this process began; as it
            is where left out.
    """

    __slots__ = ("boot", "seconds", "steady", "wall")

    def __init__(
        self, *, wall: float, seconds: float, boot: str, steady: float | None = None
    ) -> None:
        self.wall = wall
        self.seconds = seconds
        self.boot = boot
        self.steady = wall if steady is None else steady

    def facts(self, what: str) -> dict[str, str | float]:
        """Return how this moment is written down, for example ``started_at``, ``started_boot``."""
        return {f"{what}_at": self.wall, f"{what}_boot": self.seconds, "boot": self.boot}

    def wall_time(self, facts: Mapping[str, Any], what: str) -> float | None:
        """Return when something happened, by the clock of ``steady``.

        Args:
            facts: What ``facts`` wrote; versions before 0.2 wrote the wall clock alone.
            what: What happened, for example ``started``.
        """
        wall: float | None = facts.get(f"{what}_at")
        mark = facts.get(f"{what}_boot")
        if wall is None or mark is None or not self.boot or facts.get("boot") != self.boot:
            return wall
        step = self.steady - (self.seconds - mark) - wall
        # Rounded: two looks must not tell different times.
        return wall if abs(step) < _SAME_SECONDS else wall + round(step, 1)

    def until(self, facts: Mapping[str, Any], what: str, seconds: float) -> float:
        """Return when it is so many seconds after something happened, on the clock of this boot."""
        mark = facts.get(f"{what}_boot")
        if mark is not None and self.boot and facts.get("boot") == self.boot:
            return float(mark) + seconds
        return self.seconds + float(facts[f"{what}_at"]) + seconds - self.wall


class Clocks:
    """Reads the clocks.

    Args:
        wall: Seconds since the epoch.
        seconds: Seconds since the boot.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, seconds: Callable[[], float] = since_boot
    ) -> None:
        self._wall = wall
        self._seconds = seconds
        self._boot = processes.boot()
        self._boot_at = wall() - seconds()

    def now(self) -> Moment:
        """Read both."""
        seconds = self._seconds()
        steady = self._boot_at + seconds
        return Moment(wall=self._wall(), seconds=seconds, boot=self._boot, steady=steady)
