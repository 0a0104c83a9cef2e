"""The engine's present from readings of its clock: an interval that holds the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery.contract import EngineClock
from spawnery.contract.engine_clock import TimeRange

START = datetime(2030, 1, 1, tzinfo=UTC)


class Clocks:
    """Our monotonic and wall clocks, and an engine's, under a test's control."""

    def __init__(self, ahead=0.0):
        self.elapsed = 0.0
        self.ahead = ahead
        self.step = 0.0
        self.clock = EngineClock(self.monotonic, self.wall)

    def monotonic(self):
        return 1000.0 + self.elapsed

    def wall(self):
        return START + timedelta(seconds=self.elapsed + self.step)

    def engine(self):
        return START + timedelta(seconds=self.elapsed + self.ahead)

    def ask(self, there=0.01, back=0.01):
        """Ask the engine for its time, in whole seconds."""
        sent = self.monotonic()
        self.elapsed += there
        said = format_datetime(self.engine().replace(microsecond=0), usegmt=True)
        self.elapsed += back
        self.clock.read_header(said, sent=sent, received=self.monotonic())


def test_an_engine_that_is_not_measured_has_our_time():
    """A spawner without the capability is judged by our own clock."""
    clocks = Clocks()
    assert clocks.clock.now() == TimeRange(START, START)
    assert clocks.clock.offset() == (timedelta(0), timedelta(0))


def test_nothing_is_known_before_the_first_reading():
    """A measured clock that was never read says nothing."""
    clocks = Clocks()
    clocks.clock.measured = True
    assert clocks.clock.now() is None
    assert clocks.clock.offset() is None


@given(
    st.floats(-1e6, 1e6),
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0, 5), st.floats(0, 100)), min_size=1, max_size=20
    ),
)
def test_the_truth_is_always_inside(ahead, asks):
    """Whatever the offset and however slow the network, the engine's time lies in the interval."""
    clocks = Clocks(ahead)
    width = timedelta.max
    for there, back, pause in asks:
        clocks.ask(there, back)
        now = clocks.clock.now()
        slack = timedelta(microseconds=10)
        assert now.earliest - slack <= clocks.engine() <= now.latest + slack
        assert now.latest - now.earliest <= timedelta(seconds=1.001 + there + back)
        width = min(width, now.latest - now.earliest)
        clocks.elapsed += pause
    later = clocks.clock.now()
    assert later.earliest - slack <= clocks.engine() <= later.latest + slack


def test_readings_together_are_narrower_than_each():
    """Whole seconds that turn at known moments: ten readings give a tenth of a second or so."""
    clocks = Clocks(ahead=3600)
    for _ in range(10):
        clocks.ask(0.001, 0.001)
        clocks.elapsed += 1.1
    now = clocks.clock.now()
    assert now.latest - now.earliest < timedelta(seconds=0.3)
    low, high = clocks.clock.offset()
    assert low <= timedelta(hours=1) <= high


def test_clocks_that_may_agree_show_one_time():
    """Processes that measure at different moments show the same time of one moment: ours."""
    for begun in (0.1, 0.5, 0.9):
        clocks = Clocks()
        clocks.elapsed = begun
        clocks.ask()
        assert clocks.clock.shift() == timedelta(0)
        assert clocks.clock.best_guess() == clocks.wall()


def test_clocks_that_surely_differ_show_the_engines_time():
    """An hour apart is an hour apart, give or take what one reading leaves open."""
    clocks = Clocks(ahead=3600)
    clocks.ask()
    assert abs(clocks.clock.shift() - timedelta(hours=1)) <= timedelta(seconds=1.1)


def test_a_clock_that_was_set_is_believed_again():
    """A reading that contradicts what is known replaces it."""
    clocks = Clocks()
    clocks.ask()
    clocks.ahead = -7200
    clocks.ask()
    now = clocks.clock.now()
    assert now.earliest <= clocks.engine() <= now.latest


def test_a_step_of_our_wall_clock_changes_nothing():
    """The engine's present does not depend on it; the offset that is shown does."""
    clocks = Clocks()
    clocks.ask()
    before = clocks.clock.now()
    clocks.step = 3600
    assert clocks.clock.now() == before
    low, high = clocks.clock.offset()
    assert low <= timedelta(hours=-1) <= high


def test_one_time_for_what_is_shown():
    """The middle of what is known, and our own time until something is."""
    clocks = Clocks(ahead=3600)
    clocks.clock.measured = True
    assert clocks.clock.best_guess() == START
    clocks.ask()
    now = clocks.clock.now()
    assert now.earliest <= clocks.clock.best_guess() <= now.latest


@pytest.mark.parametrize("text", [None, "", "yesterday", "Tue, 99 Foo 2030 00:00:00 GMT"])
def test_a_header_that_says_nothing(text):
    """A missing or malformed Date header changes nothing."""
    clocks = Clocks()
    clocks.clock.read_header(text, sent=0.0, received=0.0)
    assert clocks.clock.measured is False
