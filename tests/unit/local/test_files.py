"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os

from hypothesis import given
from hypothesis import strategies as st
from spawnery.local.system import files

VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


@given(st.dictionaries(st.text(), VALUES))
def test_what_is_encoded_is_json(facts):
    """Any text, lone surrogates and control characters too."""
    assert json.loads(files.encode(facts)) == facts


def test_a_reserved_draft_is_used_up(tmp_path):
    """The file has what was written, not what was reserved."""
    files.reserve(str(tmp_path), "x", 10_000)
    files.write_whole(str(tmp_path), "x", b"short")
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"short"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_whole(tmp_path):
    """A reader that has the old one keeps the old one."""
    files.write_whole(str(tmp_path), "x", b"old and long")
    with open(tmp_path / "x", "rb") as reader:
        files.write_whole(str(tmp_path), "x", b"new")
        assert reader.read() == b"old and long"
    assert (tmp_path / "x").read_bytes() == b"new"
