"""Lines with times, as the API sends them, cut anywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery_kubernetes.objects.timestamps import Piece, Stamps

_SECOND = 1_795_539_546
_STAMP = b"2026-11-24T16:59:06"
_NANO = 10**9


def _all(*parts: bytes) -> tuple[list[Piece], Stamps]:
    stamps = Stamps()
    pieces = [piece for part in parts for piece in stamps.feed(part)]
    stamps.end()
    return pieces, stamps


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Join neighbours of one time, since a line may come in pieces."""
    groups = itertools.groupby(pieces, key=lambda piece: piece.time)
    return [Piece(time, b"".join(p.data for p in group)) for time, group in groups]


def test_lines_and_their_times() -> None:
    """Each line has its time in nanoseconds, and the program's own bytes."""
    log = _STAMP + b".293249273Z first\n" + _STAMP + b".5Z \n" + _STAMP + b"Z no end"
    pieces, stamps = _all(log)
    assert _joined(pieces) == [
        Piece(_SECOND * _NANO + 293249273, b"first\n"),
        Piece(_SECOND * _NANO + 500000000, b"\n"),
        Piece(_SECOND * _NANO, b"no end"),
    ]
    assert stamps.said == ""


@pytest.mark.parametrize("zone", ["+02:00", "-03:30"])
def test_zones(zone: str) -> None:
    """A node that does not live in UTC is understood."""
    pieces, _ = _all(f"1970-01-02T00:00:00.1{zone} x\n".encode())
    hours = {"+02:00": 22, "-03:30": 27.5}[zone]
    assert pieces == [Piece(int(hours * 3600) * _NANO + 100000000, b"x\n")]


@given(
    lines=st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"~")), max_size=8),
    ended=st.booleans(),
    cuts=st.lists(st.integers(0, 800), max_size=12),
)
def test_cut_anywhere(lines: list[bytes], cuts: list[int], *, ended: bool) -> None:
    """However the bytes are cut, the same lines come out, byte for byte."""
    log = b"".join(_STAMP + b".%09dZ %b\n" % (at, line) for at, line in enumerate(lines))
    log = log if ended else log[:-1]
    edges = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    pieces, stamps = _all(*(log[a:b] for a, b in itertools.pairwise(edges)))
    expected = [Piece(_SECOND * _NANO + at, line + b"\n") for at, line in enumerate(lines)]
    if expected and not ended:
        last = expected.pop()
        if last.data != b"\n":
            expected.append(Piece(last.time, last.data[:-1]))
    assert _joined(pieces) == expected
    assert stamps.said == ""


@pytest.mark.parametrize(
    "said",
    [
        b"unable to retrieve container logs for containerd://619083ea84f7",
        b'failed to try resolving symlinks in path "/var/log/pods/x/job/0.log": lstat /var: no',
        b"short",
        b"2026-13-45T99:99:99Z is no time",
        b"2026-11-24T16:59:06.1234567890Z neither\n",
    ],
)
def test_what_has_no_time_is_not_the_programs(said: bytes) -> None:
    """The kubelet's own words in a log are told apart from those of the program."""
    for parts in ((said,), tuple(said[at : at + 1] for at in range(len(said)))):
        pieces, stamps = _all(*parts)
        assert pieces == []
        assert stamps.said.strip() == said.decode().strip()


def test_the_rest_of_an_older_line_is_left_out() -> None:
    """After ``sinceTime`` the rest of a line may come, whose beginning is older."""
    pieces, _ = _all(b"rest of a line\n", _STAMP + b".1Z next\n", b"xx\n", _STAMP + b".2Z last\n")
    assert [piece.data for piece in pieces] == [b"next\n", b"last\n"]
