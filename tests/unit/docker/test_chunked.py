"""Chunked bodies give the same bytes in whatever pieces they arrive."""

from __future__ import annotations

import http.client
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spawnery_docker.chunked import Dechunker


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(0, 10**4), max_size=20))
def test_any_cutting_gives_the_same_bytes(chunks, cuts):
    """However the bytes arrive, the body is the same, and its end is told once it is there."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    dechunker, found = Dechunker(), []
    places = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        assert not dechunker.over or not wire[begin:end].strip(b"\r\n")
        found.append(dechunker.feed(wire[begin:end]))
    assert b"".join(found) == b"".join(chunks)
    assert dechunker.over


def test_extensions_of_a_chunk_are_passed_over():
    """What may stand behind a size is no part of it."""
    assert Dechunker().feed(b"3;name=value\r\nabc\r\n0\r\n\r\n") == b"abc"


@pytest.mark.parametrize("wire", [b"no size\r\nabc", b"1" * 5000])
def test_what_is_not_chunked_is_refused(wire):
    """Bytes that are no chunks are an error, not a body."""
    with pytest.raises(http.client.HTTPException):
        Dechunker().feed(wire)
