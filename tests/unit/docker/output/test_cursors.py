"""Places in a log: reading goes on behind any of them without loss or repetition."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spawnery.errors import InvalidSpec
from spawnery_docker.output.cursors import Counts, Mark, Place, Position, parse
from spawnery_docker.output.demux import STDERR, STDOUT

_START = 1_700_000_000_000_000_000
_SECOND = 1_000_000_000

Log = list[tuple[int, int, bytes]]


@st.composite
def logs(draw) -> Log:
    """A log as the daemon writes it.

    Each stream's times never go back and may repeat; parts of a long line have the time of its
    first part; the order of the two streams is off by at most a moment otherwise.
    """
    now = _START
    begun: dict[int, int] = {}
    log: Log = []
    last = {STDOUT: 0, STDERR: 0}
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 0, 1, 1000, _SECOND, 3600 * _SECOND]))
        stream = draw(st.sampled_from([STDOUT, STDERR]))
        data = draw(st.sampled_from([b"\n", b"a\n", b"ab\n", b"long", b"longer"]))
        behind = draw(st.sampled_from([0, 0, 1, 4 * _SECOND]))
        time = begun.pop(stream, max(last[stream], now - behind))
        if not data.endswith(b"\n"):
            begun[stream] = time
        last[stream] = time
        log.append((stream, time, data))
    return log


def read(log: Log, position: Position) -> Log:
    found = []
    for stream, time, data in log:
        new = position.admit(stream, time, data)
        if new:
            found.append((stream, time, new))
    return found


def joined(log: Log) -> dict[int, bytes]:
    return {s: b"".join(d for name, _, d in log if name == s) for s in (STDOUT, STDERR)}


def older_engine(log: Log, since: int) -> Log:
    """Docker up to 23: each older message is left out."""
    return [message for message in log if message[1] >= since]


def newer_engine(log: Log, since: int) -> Log:
    """Docker from 24: messages are left out up to the first that is not older."""
    return list(itertools.dropwhile(lambda message: message[1] < since, log))


@settings(deadline=None)
@given(logs(), st.data(), st.sampled_from([older_engine, newer_engine]))
def test_reading_goes_on_anywhere(log, data, engine):
    """Interrupted at any message, any number of times, a reader gets every byte exactly once."""
    place: Place | None = None
    found: Log = []
    for _ in range(data.draw(st.integers(1, 4))):
        served = engine(log, place.since if place else 0)
        reach = data.draw(st.integers(0, len(served)))
        position = Position(place)
        found += read(served[:reach], position)
        parsed = parse(position.cursor)
        assert isinstance(parsed, Place)
        place = parsed
    found += read(engine(log, place.since if place else 0), Position(place))
    assert joined(found) == joined(log)


def gap(log: Log, position: Position) -> bool:
    """Tell whether reading on shows that a part is missing."""
    told = False
    for message in log:
        told = told or position.is_gone(*message[:2])
        position.admit(*message)
    return told or position.unseen


@settings(deadline=None)
@given(logs(), st.data(), st.sampled_from([older_engine, newer_engine]))
def test_a_place_that_the_log_lost_is_told(log, data, engine):
    """Where messages behind the place were dropped, always; where it is still there, never."""
    reach = data.draw(st.integers(0, len(log)))
    position = Position()
    read(log[:reach], position)
    place = position.place
    assert not gap(engine(log, place.since), Position(place))
    dropped = data.draw(st.integers(0, len(log)))
    rest = log[dropped:]
    marks = {(STDOUT, place.out.time), (STDERR, place.err.time)}
    if dropped > reach > 0 and not any(message[:2] in marks for message in rest):
        assert gap(engine(rest, place.since), Position(place))


@settings(deadline=None)
@given(logs(), st.data())
def test_reading_goes_on_inside_a_message(log, data):
    """A message that was read in parts goes on behind the part."""
    if not log:
        return
    at = data.draw(st.integers(0, len(log) - 1))
    size = data.draw(st.integers(1, len(log[at][2])))
    position = Position()
    stream, time, text = log[at]
    found = read([*log[:at], (stream, time, text[:size])], position)
    found += read(older_engine(log, position.place.since), Position(parse(position.cursor)))
    assert joined(found) == joined(log)


@settings(deadline=None)
@given(logs(), st.data())
def test_counted_bytes_go_on_in_the_log(log, data):
    """What was heard over an attached connection goes on in the log, at any byte."""
    whole = joined(log)
    out = data.draw(st.integers(0, len(whole[STDOUT])))
    err = data.draw(st.integers(0, len(whole[STDERR])))
    counts = parse(str(Counts().after(STDOUT, out).after(STDERR, err)))
    assert counts == Counts(out, err)
    assert str(parse("n3-4.17")) == "n3-4.17"
    position = Position(counts)
    rest = read(log, position)
    assert joined(rest) == {STDOUT: whole[STDOUT][out:], STDERR: whole[STDERR][err:]}
    straight = Position()
    read(log, straight)
    if out < len(whole[STDOUT]) and err < len(whole[STDERR]):
        assert position.cursor == straight.cursor


@settings(deadline=None)
@given(st.builds(Mark, *[st.integers(0, 2**63)] * 2, st.booleans()), st.booleans())
def test_cursors_are_text(mark, second):
    """A place survives being written down."""
    place = Place(Mark(), mark) if second else Place(mark)
    assert parse(str(place)) == place


@pytest.mark.parametrize("text", ["", "12", "t1.2-3", "t1.2-3.4 ", "n1", "n-1-2", "t\u0661.1-1.1"])
def test_other_cursors_are_refused(text):
    """A cursor of another engine, or of nobody, is refused by name."""
    with pytest.raises(InvalidSpec, match="cursor"):
        parse(text)
