"""Names of jobs and objects, labels, environment variables."""

from __future__ import annotations

import os
import string
import sys
from pathlib import Path

import pytest
import spawnery
from commands import checked
from hypothesis import assume, example, given
from hypothesis import strategies as st
from spawnery.errors import InvalidSpec
from spawnery.model import names as naming

LOWER = frozenset(string.ascii_lowercase + string.digits)
ALNUM = frozenset(string.ascii_letters + string.digits)

keys = st.one_of(st.text(), st.text(alphabet=st.characters(), min_size=60, max_size=400))
labels = st.text(sorted(LOWER | {"-"}), min_size=1, max_size=52).filter(
    lambda text: text[0] != "-" and text[-1] != "-"
)


def is_dns_label(text: str, longest: int) -> bool:
    """Whether RFC 1123 takes the text, written without a regular expression."""
    return (
        0 < len(text) <= longest
        and set(text) <= LOWER | {"-"}
        and text[0] in LOWER
        and text[-1] in LOWER
    )


def is_label_value(text: str) -> bool:
    """Whether Kubernetes takes the text as a label's value."""
    return not text or (
        len(text) <= 63
        and set(text) <= ALNUM | set("._-")
        and text[0] in ALNUM
        and text[-1] in ALNUM
    )


def test_generated_ids_are_valid_and_differ() -> None:
    """Made-up job ids are valid, short, begin with a letter and do not repeat."""
    made = [naming.generate_job_id() for _ in range(2000)]
    assert len(set(made)) == len(made)
    for job_id in made:
        assert naming.check_job_id(job_id) == job_id
        assert job_id[0] in string.ascii_lowercase
        assert len(job_id) == 12


@given(labels)
def test_every_dns_label_is_a_job_id(text: str) -> None:
    """A DNS-1123 label of at most 52 characters is a job id as it stands."""
    assert naming.check_job_id(text) == text


@given(st.one_of(st.text(max_size=60), st.text("aZ0-_.\n", max_size=60)))
@example("a\n")
@example("a" * 53)
@example("\u0661")
def test_job_ids_are_dns_labels(text: str) -> None:
    """Whatever is no DNS-1123 label of at most 52 characters is refused, naming the field."""
    if is_dns_label(text, 52):
        assert naming.check_job_id(text) == text
        return
    with pytest.raises(InvalidSpec, match="spec_id") as caught:
        naming.check_job_id(text, field="spec_id")
    assert caught.value.field == "spec_id"


def test_a_refused_job_id_says_where() -> None:
    """The first bad character and its position are in the message."""
    with pytest.raises(InvalidSpec, match=r"'_' at position 4") as caught:
        naming.check_job_id("job_7_B")
    assert caught.value.field == "job_id"
    assert "'job_7_B'" in str(caught.value)


def test_a_long_job_id_says_how_long() -> None:
    """The length and the limit are in the message, and the way out."""
    with pytest.raises(InvalidSpec, match=r"at most 52.*53") as caught:
        naming.check_job_id("a" * 53)
    assert "job_id_from" in str(caught.value)


@pytest.mark.parametrize("text", ["", "-a", "a-", "-"])
def test_ends_of_a_job_id(text: str) -> None:
    """An empty id, or a hyphen at either end, is refused with the rule."""
    with pytest.raises(InvalidSpec, match="begin and end with a letter or digit"):
        naming.check_job_id(text)


@pytest.mark.parametrize("prefix", ["a", "agentsmith", "spawnery", "a-1", "x9"])
def test_prefixes(prefix: str) -> None:
    """Up to ten characters of a DNS-1123 label, a letter first."""
    assert naming.check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["", "9a", "a-", "-a", "A", "a_b", "a.b", "a" * 11, "a\n"])
def test_bad_prefixes(prefix: str) -> None:
    """Another prefix is refused, quoted, with the rule."""
    with pytest.raises(InvalidSpec, match="at most 10") as caught:
        naming.check_prefix(prefix)
    assert repr(prefix) in str(caught.value)
    assert caught.value.field == "name_prefix"


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True), labels)
def test_object_names_fit_everywhere(prefix: str, job_id: str) -> None:
    """A checked prefix and a checked job id make a DNS-1123 label of at most 63 characters."""
    name = naming.object_name(naming.check_prefix(prefix), naming.check_job_id(job_id))
    assert is_dns_label(name, 63)
    assert name == f"{prefix}-{job_id}"


@given(keys, st.none() | keys)
@example("\ud800", None)
@example("", None)
@example("---", "---")
def test_any_key_becomes_the_same_valid_job_id(key: str, readable: str | None) -> None:
    """Any text, lone surrogates included, makes one valid job id, the same each time."""
    job_id = naming.job_id_from(key, readable=readable)
    assert naming.check_job_id(job_id) == job_id
    assert naming.job_id_from(key, readable=readable) == job_id


@given(keys, keys, st.none() | st.text(max_size=60))
@example("Review A", "review-a", None)
@example("a" * 400, "a" * 401, None)
@example("\u00e9", "e\u0301", None)
@example("x", "y", "same")
def test_different_keys_make_different_job_ids(one: str, other: str, readable: str | None) -> None:
    """Keys that differ give ids that differ, with the same readable part as well."""
    assume(one != other)
    first = naming.job_id_from(one, readable=readable)
    assert first != naming.job_id_from(other, readable=readable)


def test_the_readable_part_is_read() -> None:
    """The id begins with the slug of the key, or of what was given to be read."""
    assert naming.job_id_from("T024/C012 Review!").startswith("t024-c012-review-")
    assert naming.job_id_from("T024/C012", readable="My Channel").startswith("my-channel-")


@given(st.text(max_size=80))
def test_hashes_are_long_enough_to_tell_keys_apart(key: str) -> None:
    """The hash has at least ten characters, so that different keys do not meet by chance."""
    assert len(naming.job_id_from(key, readable="same").removeprefix("same-")) >= 10
    assert len(naming.label_value(f"a/{key}").rpartition("-")[2]) >= 10


def test_job_ids_of_keys_are_the_same_in_every_process() -> None:
    """The id does not depend on the process (hash seed) that made it."""
    code = "from spawnery.model.names import job_id_from; print(job_id_from('T024/C012'))"
    source = str(Path(spawnery.__file__).parents[1])
    made = {
        checked(
            *(sys.executable, "-c", code),
            env={
                "PATH": os.defpath,
                "PYTHONPATH": os.pathsep.join([source, *filter(None, sys.path)]),
                "PYTHONHASHSEED": seed,
            },
        ).strip()
        for seed in ("1", "2")
    }
    assert made == {naming.job_id_from("T024/C012")}


@given(st.one_of(st.text(max_size=100), st.text(sorted(ALNUM | set("._-")), max_size=70)))
@example("\ud800")
@example("a\n")
def test_label_values_are_valid_and_kept_when_they_were(text: str) -> None:
    """A valid value stays; another becomes a valid one, the same each time."""
    value = naming.label_value(text)
    assert is_label_value(value)
    assert value == naming.label_value(text)
    assert (value == text) == is_label_value(text)
    assert naming.check_label_value(value, field="labels") == value


@given(st.text(max_size=100), st.text(max_size=100))
@example("a b", "a/b")
@example("a" * 64, "a" * 65)
def test_different_texts_make_different_label_values(one: str, other: str) -> None:
    """Texts that differ stay apart as label values."""
    assume(one != other)
    assert naming.label_value(one) != naming.label_value(other)


@given(st.one_of(st.text(max_size=70), st.text(sorted(ALNUM | set("._-")), max_size=70)))
def test_check_label_value_follows_the_grammar(text: str) -> None:
    """A label value is taken exactly when Kubernetes takes it."""
    if is_label_value(text):
        assert naming.check_label_value(text, field="labels.team") == text
        return
    with pytest.raises(InvalidSpec, match=r"labels\.team.*at most 63"):
        naming.check_label_value(text, field="labels.team")


@pytest.mark.parametrize("key", ["A", "_", "PATH", "_x9", "lower_Case"])
def test_env_names(key: str) -> None:
    """Letters, digits and underscores, no digit first."""
    assert naming.check_env_key(key, field="env") == key


@pytest.mark.parametrize("key", ["", "9A", "A-B", "A.B", "A B", "A=B", "A\n", "A\x00", "\u00c9"])
def test_bad_env_names(key: str) -> None:
    """Another name is refused, quoted, with its field."""
    with pytest.raises(InvalidSpec, match="env") as caught:
        naming.check_env_key(key, field="env")
    assert repr(key) in str(caught.value)
    assert caught.value.field == "env"


LONG_DOMAIN = ".".join(["a" * 62] * 4)  # 251 characters


@pytest.mark.parametrize(
    "key",
    ["team", "A", "a.b_c-d", "a" * 63, "example.com/team", "spawnery.dev", f"{LONG_DOMAIN}/a"],
)
def test_label_keys(key: str) -> None:
    """A name, after a DNS name and a slash if there is one."""
    assert naming.check_label_key(key, field="labels") == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "example.com/",
        "a/b/c",
        "Example.com/a",
        "ex_ample.com/a",
        "example..com/a",
        "-a",
        "a-",
        "a" * 64,
        f"{LONG_DOMAIN}.aaa/a",
        "a b",
        "a\n",
        "example.com\n/a",
        "\u00e9",
    ],
)
def test_bad_label_keys(key: str) -> None:
    """Another key is refused, quoted (its beginning, when long), with its field."""
    with pytest.raises(InvalidSpec, match="labels") as caught:
        naming.check_label_key(key, field="labels")
    assert repr(key)[:60] in str(caught.value)
    assert caught.value.field == "labels"


@pytest.mark.parametrize("key", ["spawnery.dev/instance", "spawnery.dev/", "spawnery.dev/x/y"])
def test_our_own_labels_are_reserved(key: str) -> None:
    """No job writes labels under spawnery.dev/."""
    with pytest.raises(InvalidSpec, match=r"spawnery\.dev/ are Spawnery's own"):
        naming.check_label_key(key, field="labels")
