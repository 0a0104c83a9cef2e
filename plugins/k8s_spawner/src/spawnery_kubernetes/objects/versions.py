"""Resource versions: which of two is later, and up to which all was told: pure.

They count up, and may be compared as numbers (Kubernetes KEP-5504); what is no number is of an API
server that does not hold to it, and is taken as unknown.
"""

from __future__ import annotations

import re
from typing import Final, Self

from attrs import frozen

_CURSOR: Final = re.compile(r"(\d{1,20})\.(\d{1,20})", re.ASCII)


def is_newer(version: str, than: str) -> bool:
    """Tell whether a resource version is later, where that can be told."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)


def is_covered(version: str, by: str) -> bool:
    """Tell whether a resource version is the same or earlier, where that can be told."""
    return version == by or is_newer(by, version)


@frozen
class Cursor:
    """Up to which versions of Jobs and of pods all was told."""

    jobs: str
    pods: str

    def __str__(self) -> str:
        """Write it as text."""
        return f"{self.jobs}.{self.pods}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read it; None where it is none of ours."""
        match = _CURSOR.fullmatch(text or "")
        return None if match is None else cls(*match.groups())

    def beyond(self, other: Self) -> bool:
        """Tell whether it is later than another one."""
        return is_newer(self.jobs, other.jobs) or is_newer(self.pods, other.pods)
