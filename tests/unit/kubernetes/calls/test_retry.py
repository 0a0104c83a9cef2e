"""What is sent again, when, and for how long."""

from __future__ import annotations

import pytest
from spawnery.contract import Deadline
from spawnery.errors import ConfigurationError, EngineDenied, EngineUnreachable
from spawnery_kubernetes.calls.retry import LEAST_SECONDS, Attempts, may_repeat, time_is_over
from spawnery_kubernetes.errors import ApiError, Unanswered

AWAY = EngineUnreachable("nothing listens")
UNTRUSTED = EngineUnreachable("it cannot prove who it is", retryable=False)
CUT = Unanswered("it did not answer", timed_out=False)


class Clock:
    """Time that goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def status(number: int, **more: object) -> ApiError:
    """Make an answer."""
    return ApiError(number, "no", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "get", "others"),
    [
        (AWAY, True, True),
        (UNTRUSTED, False, False),
        (CUT, True, False),
        (status(429), True, True),
        (status(500), True, False),
        (status(502), True, False),
        (status(503), True, False),
        (status(503, retry_after=1.0), True, False),
        (status(504), True, False),
        (status(400), False, False),
        (status(401), False, False),
        (status(403), False, False),
        (status(404), False, False),
        (status(409), False, False),
        (status(410), False, False),
        (status(422), False, False),
        (EngineDenied("no"), False, False),
        (ConfigurationError("no"), False, False),
    ],
)
def test_what_is_sent_again(error: Exception, get: bool, others: bool) -> None:
    """A GET is sent again after what may pass; another request if the cluster did not act."""
    assert may_repeat(error, "GET") is get
    assert all(may_repeat(error, name) is others for name in ("POST", "PATCH", "DELETE", "PUT"))


def waits(attempts: Attempts, clock: Clock, error: Exception) -> list[float]:
    """Return the pauses until it gives up."""
    found = []
    while (pause := attempts.pause(error)) is not None:
        found.append(pause)
        clock.now += pause
    return found


def test_pauses_grow_and_end() -> None:
    """The pauses grow up to two seconds, differ between callers, and end after ten seconds."""
    clock = Clock()
    found = waits(Attempts("GET", 60, clock=clock), clock, AWAY)
    assert 0.05 <= found[0] <= 0.1
    assert 0.8 <= found[4] <= 1.6
    assert max(found) <= 2.0
    assert 6.0 < sum(found) < 10.0
    clock.now = 1000.0
    assert found != waits(Attempts("GET", 60, clock=clock), clock, AWAY)


def test_the_limit_of_the_call_ends_them_sooner() -> None:
    """Nothing is waited for that would come after the limit."""
    clock = Clock()
    attempts = Attempts("GET", 1.0, clock=clock)
    assert sum(waits(attempts, clock, CUT)) < 1.0
    assert attempts.left() > 0.0
    clock.now = 2000.0
    assert attempts.left() > 0.0


def test_an_attempt_has_time_for_an_answer() -> None:
    """None begins with less left than a request takes: it could only hide the earlier answer."""
    clock = Clock()
    attempts = Attempts("GET", 1.0, clock=clock)
    waits(attempts, clock, status(503))
    assert attempts.left() >= LEAST_SECONDS
    clock = Clock()
    attempts = Attempts("POST", 10.0, clock=clock)
    assert attempts.pause(status(429, retry_after=9.9)) is None
    assert not attempts.over
    assert attempts.pause(status(429, retry_after=9.0)) == 9.0
    clock.now += 9.9
    assert attempts.over


@pytest.mark.parametrize(("left", "pause", "over"), [(5, 1, False), (5, 4.9, True), (0, 0, True)])
def test_a_deadline_has_time_for_an_answer(left: float, pause: float, over: bool) -> None:
    """The same holds for whoever asks again until a deadline."""
    assert time_is_over(Deadline.after(left), pause) is over


def test_patience_begins_with_the_first_failure() -> None:
    """An attempt that itself took long leaves time for others."""
    clock = Clock()
    attempts = Attempts("GET", 60, clock=clock)
    clock.now += 30
    assert attempts.pause(CUT) is not None


def test_the_cluster_says_when() -> None:
    """Retry-After is kept to, within the limit of the call and beyond our own patience."""
    clock = Clock()
    attempts = Attempts("POST", 60, clock=clock)
    assert attempts.pause(status(429, retry_after=25.0)) == 25.0
    clock.now += 25.0
    assert attempts.pause(status(429, retry_after=0.0)) == pytest.approx(0.1)
    assert attempts.pause(status(429, retry_after=40.0)) is None
