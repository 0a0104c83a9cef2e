"""Which promise a test of the kit proves, written on the test itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

PROMISES: Final = {
    "P1": "one id, one object",
    "P2": "no false success",
    "P3": "one outcome",
    "P4": "same words on every engine",
    "P5": "nothing ignored",
    "P6": "nothing left",
    "P7": "secrets stay secret",
    "P8": "deadlines hold",
    "P9": "light",
    "streams": "logs and watch",
}
"""All numbers, with the words of the design."""

_ATTRIBUTE: Final = "__spawnery_promise__"
PROPERTY: Final = "spawnery_promise"
SPAWNER_PROPERTY: Final = "spawnery_spawner"
REFUSED_PROPERTY: Final = "spawnery_refused"


def promise(number: str) -> Callable[[F], F]:
    """Mark a test with the promise that it proves."""
    if number not in PROMISES:
        msg = f"there is no promise {number}: {', '.join(PROMISES)}"
        raise ValueError(msg)

    def mark(test: F) -> F:
        setattr(test, _ATTRIBUTE, number)
        return test

    return mark


def promise_of(test: object) -> str | None:
    """Return the promise that a test proves."""
    found = getattr(test, _ATTRIBUTE, None)
    return found if isinstance(found, str) else None
