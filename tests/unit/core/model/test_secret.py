"""Secrets never print; references find values; the masker leaves nothing of them."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import pickle
import traceback

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from spawnery.errors import InvalidSpec
from spawnery.model import MASK, Masker, Secret, SecretRef

VALUE = "correct-horse-battery"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r}".format,
        lambda s: f"{s:>40}" if isinstance(s, str) else f"{s}",
        lambda s: "%s %r" % (s, s),  # noqa: UP031 - the old way of printing counts as well
        lambda s: repr([s, {"a": s}, (s,)]),
        lambda s: repr(SecretRef.literal(s.reveal())),
        lambda s: str(attrs.asdict(SecretRef.literal(s.reveal()))),
        lambda s: SecretRef.literal(s.reveal()).describe(),
        lambda s: repr(getattr(s, "__dict__", "")),
    ],
)
def test_a_secret_never_prints(show):
    """No usual way to print a secret shows it."""
    assert VALUE not in show(Secret(VALUE))


def test_a_secret_is_not_logged(caplog):
    """A secret that gets into a log call is masked."""
    logging.getLogger("x").warning("token %s %r", Secret(VALUE), {"a": Secret(VALUE)})
    assert caplog.text
    assert VALUE not in caplog.text


def test_a_secret_is_not_in_a_traceback():
    """An exception with a secret as argument prints without it."""
    error = ValueError(Secret(VALUE), SecretRef.literal(VALUE))
    assert "ValueError" in "".join(traceback.format_exception(error))
    assert VALUE not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_serialised(write):
    """Neither pickle nor JSON writes a secret."""
    with pytest.raises(TypeError):
        write(Secret(VALUE))


def test_secrets_compare_by_value():
    """Equality works without showing anything, and never with plain text."""
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1
    assert Secret(VALUE).reveal() == VALUE


def test_environment_secret():
    """A value of our own environment is taken as it is."""
    ref = SecretRef.environment("TOKEN")
    assert ref.resolve(key="T", environ={"TOKEN": VALUE + "\n"}) == Secret(VALUE + "\n")


def test_missing_environment_secret_is_named():
    """A missing variable is refused with the field, the variable and a command to paste."""
    with pytest.raises(InvalidSpec) as caught:
        SecretRef.environment("TOKEN").resolve(key="T", environ={})
    assert caught.value.field == "secrets.T"
    assert "TOKEN" in caught.value.message
    assert caught.value.hint == "export TOKEN=..."


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_secret_is_a_missing_one(tmp_path, text):
    """No job gets an empty secret by accident: it is refused, or left out where it is optional."""
    (tmp_path / "token").write_text(text)
    refs = [(SecretRef.file, str(tmp_path / "token"))]
    refs += [] if text else [(SecretRef.environment, "TOKEN")]
    for make, name in refs:
        with pytest.raises(InvalidSpec, match="is empty"):
            make(name).resolve(key="T", environ={"TOKEN": text})
        assert make(name, optional=True).resolve(key="T", environ={"TOKEN": text}) is None


@pytest.mark.parametrize("make", [SecretRef.environment, SecretRef.file])
def test_an_optional_secret_may_be_missing(make, tmp_path):
    """What is optional and missing is left out."""
    ref = make(str(tmp_path / "absent"), optional=True)
    assert ref.resolve(key="T", environ={}) is None


def test_file_secret_loses_one_newline(tmp_path):
    """The newline that editors add is cut, and only that one."""
    path = tmp_path / "token"
    path.write_text("line\n\n")
    assert SecretRef.file(path).resolve(key="T", environ={}) == Secret("line\n")


def test_missing_file_secret_is_named(tmp_path):
    """A missing file is refused with field and path."""
    with pytest.raises(InvalidSpec) as caught:
        SecretRef.file(tmp_path / "absent").resolve(key="T", environ={})
    assert caught.value.field == "secrets.T"
    assert str(tmp_path / "absent") in caught.value.message


def test_unreadable_file_secret_says_why(tmp_path):
    """A folder or binary data in place of text is refused without showing content."""
    with pytest.raises(InvalidSpec, match="directory"):
        SecretRef.file(tmp_path).resolve(key="T", environ={})
    path = tmp_path / "binary"
    path.write_bytes(b"\xff" + VALUE.encode())
    with pytest.raises(InvalidSpec, match="UTF-8") as caught:
        SecretRef.file(path).resolve(key="T", environ={})
    assert VALUE not in str(caught.value)
    assert VALUE not in "".join(traceback.format_exception(caught.value))


@contextlib.contextmanager
def _no_root():
    """Root reads everything: be nobody for a moment."""
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_file_secret_without_permission(tmp_path):
    """A file that we may not read is refused, also when it is optional."""
    path = tmp_path / "token"
    path.write_text(VALUE)
    path.chmod(0)
    with _no_root(), pytest.raises(InvalidSpec, match="cannot be read"):
        SecretRef.file(path, optional=True).resolve(key="T", environ={})


def test_an_engine_secret_is_not_read_by_us():
    """The engine's own secrets stay references."""
    with pytest.raises(InvalidSpec):
        SecretRef.engine("db", "password").resolve(key="T", environ={})


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (SecretRef.environment("A"), "environment:A"),
        (SecretRef.environment("A", optional=True), "environment:A?"),
        (SecretRef.file("/run/x"), "file:/run/x"),
        (SecretRef.engine("db", "pw"), "engine:db/pw"),
        (SecretRef.literal(VALUE), "literal"),
    ],
)
def test_describe_says_where_and_not_what(ref, text):
    """A reference is described by its place."""
    assert ref.describe() == text


# -- the masker ----------------------------------------------------------------------------------


def masker(*values):
    return Masker([Secret(value) for value in values])


def test_known_values_are_masked_everywhere():
    """Every place of every value is masked, and nothing else."""
    text = f"a {VALUE} b {VALUE}{VALUE} c"
    assert masker(VALUE).mask(text) == f"a {MASK} b {MASK}{MASK} c"


def test_text_without_secrets_is_left_alone():
    """Nothing is changed where nothing is known."""
    assert masker().mask("plain") == "plain"
    assert masker(VALUE).mask("plain") == "plain"


def test_short_values_are_not_masked():
    """Values under four characters would garble everything."""
    assert masker("abc", "", "7").mask("abc 7") == "abc 7"
    assert masker("abcd").mask("abcd") == MASK


def test_each_line_of_a_value_is_masked():
    """Logs break lines, so the lines of a value are masked one by one, and the whole at once."""
    value = "-----BEGIN-----\nZm9vYmFy\nYmF6cXV4\n-----END-----"
    found = masker(value)
    assert found.mask(f"<{value}>") == f"<{MASK}>"
    for line in ("Zm9vYmFy", "YmF6cXV4"):
        assert found.mask(f"12:00 {line}\r\n") == f"12:00 {MASK}\r\n"


@pytest.mark.parametrize("value", ['pa"ss\\word', "käse-und-brot", "tab\there", "two\nlines"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_value_in_quotes_is_masked(value, ascii_only):
    """Engines put what they refuse into quotes, with escapes."""
    quoted = json.dumps({"refused": value}, ensure_ascii=ascii_only)
    assert masker(value).mask(quoted) == json.dumps({"refused": MASK})


def test_values_inside_each_other():
    """The longer of two values hides the shorter one inside it."""
    assert masker("pass", "password").mask("password pass") == f"{MASK} {MASK}"


def test_overlapping_values_leave_no_rest():
    """Where two values overlap, nothing of either stays."""
    assert masker("abcdefgh", "fghijk").mask("<abcdefghijk>") == f"<{MASK}>"
    assert masker("abcabc").mask("<abcabcabc>") == f"<{MASK}>"


def test_values_added_later_are_masked_from_then_on():
    """The masker grows."""
    found = masker("first-value")
    found.add([Secret("second-value")])
    assert found.mask("first-value second-value") == f"{MASK} {MASK}"
    assert found.longest == len("second-value")


def test_longest_is_zero_without_values():
    """A reader of streams learns how much text to hold back."""
    assert masker().longest == 0


letters = st.text("abc\n", min_size=0, max_size=12)


@given(st.lists(st.text("abc\n", min_size=4, max_size=8), max_size=4), letters, letters)
@example(["abcabc"], "abc", "abc")
def test_no_masked_value_is_ever_left(values, before, after):
    """Whatever surrounds them, no character of a known value stays where it was found."""
    text = before + "".join(values) + after
    masked = masker(*values).mask(text)
    for value in values:
        assert value not in masked
        for line in value.splitlines():
            assert len(line) < 4 or line not in masked


@given(st.text(max_size=60), st.lists(st.text(min_size=4, max_size=10), max_size=4))
def test_masking_changes_nothing_but_secrets(text, values):
    """What is outside all known values stays, in order."""
    lines = {line for value in values for line in (value, *value.splitlines()) if len(line) >= 4}
    assume(not any(line in text for line in lines))
    assert masker(*values).mask(text) == text


@given(st.lists(st.text("ab", min_size=4, max_size=6), min_size=1, max_size=3), letters)
def test_masking_twice_is_masking_once(values, text):
    """Masked text is not changed by masking again."""
    once = masker(*values).mask(text)
    assert masker(*values).mask(once) == once
