"""Docker's framed streams are taken apart the same way in whatever pieces they arrive."""

from __future__ import annotations

import itertools
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spawnery_docker.output.demux import (
    LARGEST_PIECE,
    STDERR,
    STDOUT,
    DaemonTrouble,
    Demultiplexer,
    Malformed,
)

_NS = 1_000_000_000


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def stamp(ns: int) -> bytes:
    seconds, nanos = divmod(ns, _NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z ".encode()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


messages = st.lists(
    st.tuples(
        st.sampled_from([STDOUT, STDERR]),
        st.integers(0, 4_000_000_000 * _NS),
        st.binary(min_size=1, max_size=40)
        | st.integers(LARGEST_PIECE - 40, 3 * LARGEST_PIECE).map(lambda n: b"\x01\x00" * (n // 2)),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(messages, st.lists(st.integers(0, 10**6), max_size=30), st.booleans())
def test_any_cutting_gives_the_same_messages(said, cuts, stamped):
    """However the bytes arrive, the same messages come out and none of their bytes is changed."""
    wire = b"".join(
        frame(stream, (stamp(ns) if stamped else b"") + data) for stream, ns, data in said
    )
    whole = Demultiplexer(stamped=stamped).feed(wire)
    demux = Demultiplexer(stamped=stamped)
    cut = [message for piece in pieces(wire, cuts) for message in demux.feed(piece)]
    assert cut == whole
    assert demux.whole
    assert max((len(data) for _, _, data in whole), default=0) <= LARGEST_PIECE
    for stream in (STDOUT, STDERR):
        said_there = b"".join(data for name, _, data in said if name == stream)
        assert b"".join(data for name, _, data in whole if name == stream) == said_there
    if stamped:
        assert {ns for _, ns, _ in whole} == {ns for _, ns, _ in said}


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10), st.booleans())
def test_any_bytes_are_taken_or_refused(data, cuts, stamped):
    """Bytes that are no frames end in one of two errors, whatever they are."""
    demux = Demultiplexer(stamped=stamped)
    try:
        for piece in pieces(data, cuts):
            demux.feed(piece)
    except (Malformed, DaemonTrouble):
        return
    assert demux.whole or data


@settings(deadline=None)
@given(messages.filter(bool), st.integers(1, 10**6))
def test_a_cut_stream_is_not_whole(said, cut):
    """A stream that ends inside a frame says so."""
    wire = b"".join(frame(stream, data) for stream, _, data in said)
    ends = []
    for stream, _, data in said:
        ends.append((ends[-1] if ends else 0) + len(frame(stream, data)))
    cut %= len(wire)
    demux = Demultiplexer(stamped=False)
    demux.feed(wire[:cut])
    assert demux.whole == (cut == 0 or cut in ends)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (b"2026-11-23T17:05:25.123456789Z ", 1795453525123456789),
        (b"2026-11-23T18:05:25.5+01:00 ", 1795453525500000000),
        (b"2026-11-23T17:05:25Z ", 1795453525000000000),
        (b"2026-11-23T17:05:25.000001Z ", 1795453525000001000),
    ],
)
def test_times_of_other_engines(text, ns):
    """Times are read with any number of digits and any zone (Podman writes local time)."""
    assert Demultiplexer(stamped=True).feed(frame(1, text + b"x")) == [(1, ns, b"x")]


@pytest.mark.parametrize(
    "wire", [b"HTTP/1.1 200", b"\x01\x01\0\0aaaa", frame(1, b"no time"), frame(1, b"2026-13-45T")]
)
def test_other_bytes_are_refused(wire):
    """Bytes that are no frames, or lines without a time, are an error with the evidence."""
    with pytest.raises(Malformed, match="begin"):
        Demultiplexer(stamped=True).feed(wire)


def test_the_daemons_own_words_are_an_error():
    """A frame of the daemon's own trouble is an error in its words, not a part of the log."""
    with pytest.raises(DaemonTrouble, match="Error grabbing logs"):
        Demultiplexer(stamped=True).feed(frame(3, b"Error grabbing logs: bad file\n"))
