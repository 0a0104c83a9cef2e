"""The fake's ``FaultPort``: the same faults as on the wire, at the calls to the fake engine.

A call is journalled with the method ``CALL`` and the path ``/POINT/NAME``, where POINT is create,
start, status, list, watch, logs, stop, remove or place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from spawnery.contract.requests import Deadline
from spawnery.errors import Ambiguous, EngineError, EngineTimeout, EngineUnreachable, SpawnerError
from spawnery.testing.faults import Fault, FaultBook, Hook, Rule, Seen

T = TypeVar("T")

METHOD: Final = "CALL"
_CHANGES: Final = frozenset({"create", "start", "stop", "remove"})
_STEP_SECONDS: Final = 0.02


class FakeFaults:
    """A ``FaultPort``; every caller of one engine of this process goes through it."""

    def __init__(self) -> None:
        self.on_request: Hook | None = None
        self.on_response: Hook | None = None
        self._book = FaultBook()
        self._cleared = threading.Event()
        self._used = False

    def arm(self, rule: Rule) -> None:
        """Add a rule; see ``FaultPort``."""
        self._cleared.clear()
        self._used = True
        self._book.arm(rule)

    def clear(self) -> None:
        """End every fault; see ``FaultPort``."""
        self._book.clear()
        self._cleared.set()

    def seen(self) -> tuple[Seen, ...]:
        """Return the journal; see ``FaultPort``."""
        return self._book.seen()

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """Count in the journal; see ``FaultPort``."""
        return self._book.count(method, path)

    def record(self) -> None:
        """Keep a journal from now on, also while no rule was ever armed."""
        self._used = True

    def call(self, point: str, name: str, act: Callable[[], T], deadline: Deadline) -> T:
        """Let one call to the engine through, or strike it.

        Raises:
            SpawnerError: What a spawner makes of that fault.
        """
        if not self._used and self.on_request is None and self.on_response is None:
            return act()
        return self._through(point, name, act, deadline)

    def _through(self, point: str, name: str, act: Callable[[], T], deadline: Deadline) -> T:
        seen = self._book.record(METHOD, f"/{point}/{name}")
        _tell(self.on_request, seen, point)
        rule = self._book.strike(seen)
        fault = rule.fault
        if fault is Fault.DELAY:
            self._wait(Deadline.after(rule.delay_seconds))
        elif fault is Fault.STALL:
            self._wait(deadline)
            raise _lost(point, timeout=True)
        elif fault is Fault.REFUSE:
            message = "the fake engine refuses connections"
            raise EngineUnreachable(message, hint="clear the fault")
        elif fault in {Fault.DROP_BEFORE, Fault.ERROR_500}:
            raise _lost(point, status=rule.status if fault is Fault.ERROR_500 else None)
        result = act()
        _tell(self.on_response, seen, point)
        streams = point in {"watch", "logs"}
        if fault is Fault.DROP_AFTER or (fault is Fault.CUT_MID_STREAM and not streams):
            raise _lost(point)
        if fault is Fault.ERROR_500_AFTER:
            raise _lost(point, status=rule.status)
        if fault is Fault.CUT_MID_STREAM:
            result.cut_after(rule.after_bytes)  # type: ignore[attr-defined] # only streams come here
        return result

    def _wait(self, deadline: Deadline) -> None:
        while not deadline.expired and not self._cleared.is_set():
            self._cleared.wait(min(_STEP_SECONDS, deadline.remaining()))


def _tell(hook: Hook | None, seen: Seen, point: str) -> None:
    if hook is None:
        return
    try:
        hook(seen)
    except Exception:  # noqa: BLE001 - FaultPort: an exception in a hook drops the request
        raise _lost(point) from None


def _lost(point: str, *, status: int | None = None, timeout: bool = False) -> SpawnerError:
    """Make the error of a call without a (good) reply: a change may have been made."""
    if timeout:
        return EngineTimeout(f"the fake engine did not answer {point}")
    said = "closed the connection" if status is None else f"answered {status}"
    message = f"the fake engine {said} instead of answering {point}"
    if point in _CHANGES:
        return Ambiguous(message)
    if status is not None:
        return EngineError(message, retryable=True)
    return EngineUnreachable(message)
