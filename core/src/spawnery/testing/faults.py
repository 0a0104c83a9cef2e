"""The vocabulary of fault injection, the same for a transport proxy and for a fake engine.

A ``Rule`` says which requests a fault strikes, a ``FaultPort`` takes rules and keeps a journal of
every request, a ``FaultBook`` is the thread-safe part that every ``FaultPort`` needs.
"""

from __future__ import annotations

import enum
import re
import threading
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from attrs import field, frozen

from spawnery.errors import ConfigurationError

Hook = Callable[["Seen"], None]


class Fault(enum.Enum):
    """What happens to a request that a rule selects."""

    PASS = "pass"  # noqa: S105 - the opposite of a fault, no password
    """Nothing: the request and its reply go through. Shields requests from later rules."""
    DELAY = "delay"
    """The request waits ``delay_seconds`` before it goes to the engine; ``clear()`` ends it."""
    DROP_BEFORE = "drop_before"
    """The caller's connection is closed; the engine never sees the request."""
    DROP_AFTER = "drop_after"
    """The engine acts and replies; the connection is closed with no byte of that reply sent."""
    CUT_MID_STREAM = "cut_mid_stream"
    """The header and the first ``after_bytes`` bytes of the body arrive, then a reset."""
    STALL = "stall"
    """No answer, and the engine sees nothing; ``clear()`` closes the caller's connection."""
    ERROR_500 = "error_500"
    """``status`` and ``body`` of the rule are the answer; the engine never sees the request."""
    ERROR_500_AFTER = "error_500_after"
    """The engine acts; ``status`` and ``body`` of the rule replace its reply."""
    REFUSE = "refuse"
    """New connections are refused from ``arm`` until ``clear()``; open ones go on."""


def _pattern(_rule: object, _attribute: object, value: str | None) -> None:
    """Refuse a path that is not a regular expression."""
    try:
        re.compile(value or "")
    except re.error as wrong:
        message = f"Rule.path {value!r} is not a regular expression: {wrong}."
        raise ConfigurationError(message, hint="Escape plain text with re.escape().") from wrong


def _positive(_rule: object, attribute: object, value: int | None) -> None:
    """Refuse counts below one."""
    if value is not None and value < 1:
        name = getattr(attribute, "name", "")
        message = f"Rule.{name} is {value}; requests are counted from 1."
        raise ConfigurationError(message, hint=f"Give {name}=1 or more, or leave it out.")


def _not_negative(_rule: object, attribute: object, value: float) -> None:
    """Refuse amounts below zero."""
    if value < 0:
        message = f"Rule.{getattr(attribute, 'name', '')} is {value}; it cannot be negative."
        raise ConfigurationError(message)


@frozen
class Rule:
    """A fault and the requests that it strikes; all conditions must hold.

    Args:
        fault: What happens.
        method: The request's method, such as ``POST``; any when None.
        path: A regular expression searched in the request target (path and query).
        nth: Strike only the nth request that matches method and path since ``arm``, from 1.
        times: Strike at most that many requests; no limit when None.
        delay_seconds: For ``DELAY``.
        after_bytes: For ``CUT_MID_STREAM``: bytes of body (chunk framing not counted).
        status: For ``ERROR_500*``: the status code of the answer.
        body: For ``ERROR_500*``: the body of the answer.
        headers: For ``ERROR_500*``: header fields beside Content-Length.

    Raises:
        ConfigurationError: A value is out of range, or ``REFUSE`` has conditions (it is about
            connections, not requests).
    """

    fault: Fault
    method: str | None = field(default=None, kw_only=True)
    path: str | None = field(default=None, validator=_pattern, kw_only=True)
    nth: int | None = field(default=None, validator=_positive, kw_only=True)
    times: int | None = field(default=None, validator=_positive, kw_only=True)
    delay_seconds: float = field(default=0.0, validator=_not_negative, kw_only=True)
    after_bytes: int = field(default=0, validator=_not_negative, kw_only=True)
    status: int = field(default=500, kw_only=True)
    body: bytes = field(default=b'{"message": "injected fault"}', kw_only=True)
    headers: tuple[tuple[str, str], ...] = field(
        default=(("Content-Type", "application/json"),), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        """Refuse conditions that could never be looked at."""
        conditions = (self.method, self.path, self.nth, self.times)
        if self.fault is Fault.REFUSE and any(part is not None for part in conditions):
            message = "Rule(REFUSE) cannot have method, path, nth or times: it refuses connections."
            hint = "For one request use DROP_BEFORE, or call refuse() in the on_request hook."
            raise ConfigurationError(message, hint=hint)

    def matches(self, method: str, path: str) -> bool:
        """Whether method and path are the rule's (``nth`` and ``times`` not considered)."""
        return _matches(self.method, self.path, method, path)


@frozen(kw_only=True)
class Seen:
    """A request in the journal.

    Args:
        index: Which request it is, from 1, over the life of the port.
        method: Such as ``POST``.
        path: The request target: path and query.
        at: Arrival in seconds of ``time.monotonic()``.
    """

    index: int
    method: str
    path: str
    at: float


@runtime_checkable
class FaultPort(Protocol):
    """Where a test injects faults between a spawner and its engine; every method thread-safe.

    ``on_request`` is called once per request, before the rules are looked at and before the engine
    gets it; ``on_response`` after the engine's reply is read and before the caller gets a byte of
    it. The request waits for the hook to return, which is how a test kills the caller at exactly
    that point; other requests go on. A hook may arm rules; an exception in it drops the request.
    """

    on_request: Hook | None
    on_response: Hook | None

    def arm(self, rule: Rule) -> None:
        """Add a rule; of several that strike the same request, the one armed first wins."""

    def clear(self) -> None:
        """End every fault: forget the rules, release what waits. The journal stays."""

    def seen(self) -> tuple[Seen, ...]:
        """The journal: every request so far, in order of arrival."""

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """How many requests of the journal match, with the conditions of ``Rule``."""


class FaultBook:
    """The rules and the journal of a ``FaultPort``; every method is thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._journal: list[Seen] = []

    def arm(self, rule: Rule) -> None:
        """Add a rule behind the others."""
        with self._lock:
            self._armed.append(_Armed(rule))

    def clear(self) -> None:
        """Forget all rules; the journal stays."""
        with self._lock:
            self._armed.clear()

    def record(self, method: str, path: str) -> Seen:
        """Write a request into the journal."""
        with self._lock:
            index = len(self._journal) + 1
            seen = Seen(index=index, method=method, path=path, at=time.monotonic())
            self._journal.append(seen)
            return seen

    def strike(self, seen: Seen) -> Rule:
        """Count the request for every rule and return the first that strikes it, else PASS."""
        with self._lock:
            hit = [armed for armed in self._armed if armed.due(seen)]
            if not hit:
                return _PASS
            hit[0].struck += 1
            return hit[0].rule

    def seen(self) -> tuple[Seen, ...]:
        """The journal in order of arrival."""
        with self._lock:
            return tuple(self._journal)

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """How many requests of the journal match."""
        return sum(_matches(method, path, seen.method, seen.path) for seen in self.seen())


class _Armed:
    """A rule with what it has counted."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.matched = 0
        self.struck = 0

    def due(self, seen: Seen) -> bool:
        """Count the request if it matches; whether the rule strikes it."""
        if not self.rule.matches(seen.method, seen.path):
            return False
        self.matched += 1
        if self.rule.nth is not None and self.matched != self.rule.nth:
            return False
        return self.rule.times is None or self.struck < self.rule.times


def _matches(method: str | None, pattern: str | None, actual: str, path: str) -> bool:
    """Whether a request has the method (any case) and a target in which the pattern is found."""
    if method is not None and method.upper() != actual.upper():
        return False
    return pattern is None or re.search(pattern, path) is not None


_PASS = Rule(Fault.PASS)
