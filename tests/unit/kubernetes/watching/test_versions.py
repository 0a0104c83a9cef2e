"""Which of two resource versions is later, and cursors made of them."""

from __future__ import annotations

import pytest
from spawnery_kubernetes.objects.versions import Cursor, is_covered, is_newer


@pytest.mark.parametrize(
    ("one", "other", "newer", "covered"),
    [
        ("10", "9", True, False),
        ("9", "10", False, True),
        ("9", "9", False, True),
        ("b", "a", False, False),
        ("a", "a", False, True),
        ("", "9", False, False),
        ("9", "", False, False),
        ("\u0661", "a", False, False),
    ],
)
def test_which_is_later(one: str, other: str, *, newer: bool, covered: bool) -> None:
    """Numbers are compared as numbers; what is none is neither later nor earlier."""
    assert is_newer(one, other) is newer
    assert is_covered(one, other) is covered


def test_cursors() -> None:
    """A cursor is read back; one that is none of ours is nothing."""
    assert Cursor.parse(str(Cursor("12", "345"))) == Cursor("12", "345")
    for text in (None, "", "1", "1.2.3", "a.b", "1.-2", "no-such-cursor-0"):
        assert Cursor.parse(text) is None


def test_beyond() -> None:
    """A cursor is beyond another one when either of its parts is."""
    assert Cursor("5", "9").beyond(Cursor("5", "8"))
    assert Cursor("6", "1").beyond(Cursor("5", "8"))
    assert not Cursor("5", "8").beyond(Cursor("5", "8"))
