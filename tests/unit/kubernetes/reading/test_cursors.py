"""Places in a log: reading goes on behind each of them, nothing lost and nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery.errors import InvalidSpec
from spawnery_kubernetes.objects.timestamps import Piece
from spawnery_kubernetes.reading.cursors import Place, Position, parse

_NANO = 10**9
_SLACK = 10**8
"""By so much lines may be out of order."""


@st.composite
def _logs(draw: st.DrawFn) -> list[Piece]:
    """Make the lines of a log: times grow, but for the small disorder of two streams."""
    now, lines = 1000 * _NANO, []
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.sampled_from([0, 0, 1, 1000, _NANO // 3, _NANO, 7 * _NANO]))
        back = draw(st.sampled_from([0, 0, 0, 1, _SLACK]))
        lines.append(Piece(now - back, draw(st.binary(min_size=1, max_size=5)) + b"\n"))
    return lines


def _given(log: list[Piece], place: Place) -> list[Piece]:
    """Give what the kubelet gives from the second of a place on."""
    return [piece for piece in log if piece.time >= place.second * _NANO]


def _read(log: list[Piece], place: Place, cuts: int) -> list[tuple[bytes, str]]:
    """Read on behind a place, each line in pieces of a few bytes; with the cursor behind each."""
    position, found = Position(place), []
    for line in _given(log, place):
        for at in range(0, len(line.data), cuts):
            new = position.admit(Piece(line.time, line.data[at : at + cuts]))
            found.append((new, str(position.place)))
    return found


@given(log=_logs(), cuts=st.integers(1, 7), again=st.integers(1, 7))
def test_every_place_is_exact(log: list[Piece], cuts: int, again: int) -> None:
    """From each cursor follow exactly the bytes behind it, also in the middle of a line."""
    chunks = _read(log, Place(), cuts)
    whole = b"".join(data for data, _ in chunks)
    assert whole == b"".join(line.data for line in log)
    size = 0
    for data, cursor in chunks:
        size += len(data)
        rest = _read(log, parse(cursor), again)
        assert b"".join(new for new, _ in rest) == whole[size:]


@given(log=_logs(), cuts=st.integers(1, 7), data=st.data())
def test_places_after_a_resumption_are_exact_too(
    log: list[Piece], cuts: int, data: st.DataObject
) -> None:
    """A reader that was interrupted twice has lost nothing either."""
    whole = b"".join(line.data for line in log)
    place, had = Place(), b""
    for _ in range(3):
        chunks = _read(log, place, cuts)
        taken = data.draw(st.integers(0, len(chunks)))
        had += b"".join(new for new, _ in chunks[:taken])
        place = parse(chunks[taken - 1][1]) if taken else place
    had += b"".join(new for new, _ in _read(log, place, cuts))
    assert had == whole


@given(log=_logs(), cuts=st.integers(1, 7), data=st.data())
def test_a_place_that_was_dropped_is_told(log: list[Piece], cuts: int, data: st.DataObject) -> None:
    """Where all that was read is gone and more is there; never where the place is still there."""
    chunks = _read(log, Place(), cuts)
    taken = data.draw(st.integers(1, len(chunks)))
    place = parse(chunks[taken - 1][1])
    whole = Position(place)
    for line in _given(log, place):
        whole.admit(line)
    assert not whole.gap
    assert not whole.unseen
    rest = [line for line in _given(log, place) if line.time > place.newest]
    dropped = Position(place)
    for line in rest:
        dropped.admit(line)
    assert dropped.gap is bool(rest)
    assert dropped.unseen is not bool(rest)


def test_a_log_whose_older_part_was_dropped() -> None:
    """After the node has begun a new file, what is new is not taken for what was read."""
    before = [Piece(50 * _NANO + n, b"old %d\n" % n) for n in range(5)]
    position = Position(Place())
    for piece in before:
        position.admit(piece)
    resumed = Position(position.place)
    after = [Piece(50 * _NANO + 5 + n, b"new %d\n" % n) for n in range(3)]
    assert [resumed.admit(piece) for piece in after] == [piece.data for piece in after]
    again = Position(resumed.place)
    assert [again.admit(piece) for piece in after] == [b"", b"", b""]


def test_since_is_whole_seconds() -> None:
    """The API takes seconds; the start of a log needs none."""
    assert Place().since is None
    assert Place(1_795_539_546, 7, 1_795_539_547_000_000_001).since == "2026-11-24T16:59:06Z"


@pytest.mark.parametrize("text", ["", "no-such-cursor-0", "t1.2", "t1.2.3.4", "t-1.2.3", "n0-0"])
def test_foreign_cursors(text: str) -> None:
    """A cursor that is none of ours is refused, and where to take one is told."""
    with pytest.raises(InvalidSpec, match="cursor") as told:
        parse(text)
    assert told.value.field == "cursor"


@given(st.integers(0, 10**11), st.integers(0, 10**15), st.integers(0, 10**20))
def test_cursors_are_read_back(second: int, size: int, newest: int) -> None:
    """What was written is what is read."""
    place = Place(second, size, newest)
    assert parse(str(place)) == place
