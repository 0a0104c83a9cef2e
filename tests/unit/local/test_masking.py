"""The masked end of a log."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from spawnery.toolkit import Tail

SECRET = b"s3cr3t-value"


def tail(limit, *pieces, secrets=(SECRET,)):
    made = Tail(limit, list(secrets))
    for stream, data in pieces:
        made.add(stream, data)
    return made.text()


def test_a_value_is_masked():
    """Once for each time it was written."""
    assert tail(100, (1, b"a " + SECRET + b" b " + SECRET)) == "a *** b ***"


def test_a_value_in_pieces_is_masked():
    """Over several writes, also with the other stream in between."""
    assert tail(100, (1, SECRET[:4]), (1, SECRET[4:])) == "***"
    assert tail(100, (1, SECRET[:4]), (2, b"err"), (1, SECRET[4:] + b"!")) == "***err!"


def test_a_value_across_the_cut_is_masked():
    """Although its beginning is no longer in the tail, wherever the cut is."""
    for limit in range(1, 40):
        text = tail(limit, (1, b"x" * 50 + SECRET), (2, b"e" * 10), (1, b"y" * 5))
        assert "value" not in text
        assert "alue" not in text
        assert text.endswith("yyyyy"[-limit:])


def test_overlapping_and_nested_values_are_masked():
    """No piece of either shows."""
    assert tail(100, (1, b"abcdefgh"), secrets=(b"abcdef", b"defgh")) == "***"
    assert tail(100, (1, b"abcdefgh"), secrets=(b"abcdefgh", b"cdef")) == "***"


def test_each_line_of_a_value_is_masked():
    """Logs break lines."""
    assert (
        tail(100, (1, b"-- line one\n-- two\n"), secrets=(b"line one\nx\n",)) == "-- ***\n-- two\n"
    )


def test_short_values_are_left_alone():
    """They would be found everywhere."""
    assert tail(100, (1, b"abc"), secrets=(b"abc", b"")) == "abc"


def test_a_tail_of_nothing_is_empty():
    """The limit 0 keeps nothing."""
    assert tail(0, (1, b"abc")) == ""


@given(
    pieces=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30)), max_size=20),
    limit=st.integers(0, 50),
)
def test_without_secrets_it_is_the_end_of_what_was_written(pieces, limit):
    """Bounded in UTF-8, whatever the bytes."""
    whole = b"".join(data for _, data in pieces)
    text = tail(limit, *pieces, secrets=())
    assert len(text.encode()) <= limit
    if whole.isascii():
        assert text == (whole[-limit:].decode() if limit else "")


@given(
    before=st.text("ab ", max_size=60),
    after=st.text("ab ", max_size=60),
    cuts=st.lists(st.integers(0, 130), max_size=6),
    streams=st.lists(st.sampled_from([1, 2]), min_size=7, max_size=7),
    limit=st.integers(0, 80),
)
def test_no_part_of_a_value_survives_cutting(before, after, cuts, streams, limit):
    """However it is written in pieces, with the other stream in between."""
    data = before.encode() + SECRET + after.encode()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = []
    for stream, (begin, end) in zip(streams, itertools.pairwise(edges), strict=False):
        pieces.append((1, data[begin:end]))
        if stream == 2:
            pieces.append((2, b"::"))
    text = tail(limit, *pieces)
    assert not set(text) & set("s3cr3t-value") - set("a ")
