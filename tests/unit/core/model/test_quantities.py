"""Kubernetes quantity notation: values, rounding, refusals.

The expected values follow kubernetes/apimachinery pkg/api/resource/quantity.go and its tests.
"""

from __future__ import annotations

import contextlib
import re
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spawnery.errors import InvalidSpec
from spawnery.model import cpu_millis, cpu_nanos, memory_bytes, parse_quantity
from spawnery.model.quantity import sensible_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 2**63 - 1
DIGITS = frozenset("0123456789")
POWERS_OF_TEN = {
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
}
POWERS_OF_TWO = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def _whole(text: str) -> bool:
    """Whether the text is an optionally signed run of ASCII digits."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    return bool(digits) and set(digits) <= DIGITS


def _multiplier(suffix: str) -> Decimal | None:
    if suffix in POWERS_OF_TEN:
        return Decimal(10) ** POWERS_OF_TEN[suffix]
    if suffix in POWERS_OF_TWO:
        return Decimal(2) ** POWERS_OF_TWO[suffix]
    if suffix[0] in "eE" and _whole(suffix[1:]):
        return Decimal(10) ** max(-200, min(200, int(suffix[1:])))  # beyond: capped, or one nano
    return None


def reference(text: str) -> Fraction | None:
    """Evaluate the Kubernetes grammar one character at a time; None for what it refuses."""
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    end = 0
    while end < len(unsigned) and unsigned[end] in DIGITS | {"."}:
        end += 1
    number = unsigned[:end]
    if number.count(".") > 1 or not set(number) & DIGITS:
        return None
    with localcontext() as context:
        context.prec = 600
        multiplier = _multiplier(unsigned[end:])
        if multiplier is None:
            return None
        value = (Decimal(number) * multiplier).quantize(Decimal("1e-9"), rounding=ROUND_UP)
    # Kubernetes caps binary suffixes only; Spawnery caps all, as engines count in 64 bits.
    capped = min(Fraction(value), Fraction(LARGEST))
    return -capped if text.startswith("-") else capped


signs = st.sampled_from(["", "+", "-"])
runs = st.text("0123456789", max_size=20)
exponents = st.builds("{}{}{}".format, st.sampled_from("eE"), signs, st.integers(0, 99).map(str))
suffixes = st.one_of(
    st.sampled_from(sorted(POWERS_OF_TEN)), st.sampled_from(sorted(POWERS_OF_TWO)), exponents
)
numbers = st.one_of(
    st.text("0123456789", min_size=1, max_size=20),
    st.tuples(runs, runs).filter(any).map(".".join),
)
quantities = st.builds("{}{}{}".format, signs, numbers, suffixes)


@given(quantities)
@example("1E")
@example("1E3")
@example("-0.1n")
def test_every_sentence_of_the_grammar_has_the_reference_value(text: str) -> None:
    """A well-formed quantity is worth exactly what the reference evaluator says."""
    expected = reference(text)
    assert expected is not None
    assert parse_quantity(text) == expected


@given(st.text("0123459.+-eEinumkKMGTPB \n", max_size=6))
def test_accepts_what_the_reference_accepts_and_nothing_else(text: str) -> None:
    """Near-grammatical text is parsed or refused as the reference evaluator does."""
    expected = reference(text)
    if expected is None:
        with pytest.raises(InvalidSpec):
            parse_quantity(text, field="limit")
    else:
        assert parse_quantity(text) == expected


@given(st.integers(-LARGEST, LARGEST))
def test_whole_numbers_keep_every_digit(number: int) -> None:
    """No digit of a 63-bit number is lost."""
    assert parse_quantity(str(number)) == number


@given(st.integers(-LARGEST, LARGEST))
def test_nano_units_round_trip(count: int) -> None:
    """A number of nano units, the finest step, comes back exactly."""
    assert parse_quantity(f"{count}n") * 10**9 == count


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text makes anything but a value of 63 bits or an InvalidSpec."""
    with contextlib.suppress(InvalidSpec):
        assert abs(parse_quantity(text)) <= LARGEST


VECTORS = [
    ("0", "0"),
    ("0n", "0"),
    ("0Ki", "0"),
    ("-0", "0"),
    ("1", "1"),
    ("+1", "1"),
    ("1Ki", "1024"),
    ("7Mi", "7340032"),
    ("6Gi", "6442450944"),
    ("5Ti", "5497558138880"),
    ("4Pi", "4503599627370496"),
    ("3Ei", "3458764513820540928"),
    ("5n", "0.000000005"),
    ("4u", "0.000004"),
    ("3m", "0.003"),
    ("8k", "8000"),
    ("300T", "300000000000000"),
    ("2P", "2000000000000000"),
    ("1E", "1000000000000000000"),
    ("1E-3", "0.001"),
    ("1e3", "1000"),
    ("1E3", "1000"),
    ("1.3E+6", "1300000"),
    ("0.5e-2", "0.005"),
    ("100.035k", "100035"),
    ("0.0005k", "0.5"),
    ("6.987654321G", "6987654321"),
    ("1.01E", "1010000000000000000"),
    ("100.035Ki", "102435.84"),
    ("0.025Ti", "27487790694.4"),
    ("1.5Gi", "1610612736"),
    (".001", "0.001"),
    (".0001k", "0.1"),
    ("1.", "1"),
    ("1.G", "1000000000"),
]


@pytest.mark.parametrize(("text", "value"), VECTORS)
def test_vectors(text: str, value: str) -> None:
    """Known quantities have their known values, negated with a minus sign."""
    assert parse_quantity(text) == Fraction(value)
    assert parse_quantity("-" + text.lstrip("+-")) == -Fraction(value)


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("3.001n", 4),
        ("1.1E-9", 2),
        ("0.0000000001", 1),
        ("0.5e-9", 1),
        ("0.00000012345", 124),
        ("0.000000000001Ki", 2),
        ("1e-999999999", 1),
        ("-3.001n", -4),
    ],
)
def test_finer_than_nano_rounds_away_from_zero(text: str, nanos: int) -> None:
    """What is finer than a nano unit is rounded away from zero, never to nothing."""
    assert parse_quantity(text) * 10**9 == nanos


@pytest.mark.parametrize("text", ["8Ei", "9Ei", "9223372036854775807Ki", "12E", "1e999999999"])
def test_capped_at_63_bits(text: str) -> None:
    """A larger magnitude becomes 2^63-1."""
    assert parse_quantity(text) == LARGEST
    assert parse_quantity(f"-{text}") == -LARGEST


INVALID = [
    "",
    " ",
    ".",
    "+",
    "-.",
    "i",
    "Ki",
    "1.1.M",
    "1+1.0M",
    "--1",
    "0.1mi",
    "0.1am",
    "aoeu",
    ".5i",
    "1i",
    "1ki",
    "1K",
    "1g",
    "1mi",
    "1ni",
    "-3.01i",
    "-3.01e-",
    "1e",
    "1e1.5",
    "1e3Ki",
    "1MiB",
    "512MB",
    " 1",
    "1 ",
    "1\n",
    "1 Gi",
    "0x10",
    "1_000",
    "1,5Gi",
    "inf",
    "NaN",
    "\u0661",
    "\uff11Gi",
    "1\x00",
]
readers = pytest.mark.parametrize("read", [parse_quantity, memory_bytes, cpu_millis, cpu_nanos])


@readers
@pytest.mark.parametrize("text", INVALID)
def test_refusal_names_the_field_and_the_value(read: Callable[..., object], text: str) -> None:
    """A refused text is quoted (its beginning, when long), with its field and examples."""
    with pytest.raises(InvalidSpec) as caught:
        read(text, field="resources.memory_limit")
    message = str(caught.value)
    assert "resources.memory_limit" in message
    assert repr(text)[:40] in message
    assert "512Mi" in message
    assert "1.5Gi" in message
    assert "250m" in message
    assert caught.value.field == "resources.memory_limit"
    assert len(message) < 400


@readers
@pytest.mark.parametrize("value", [512, 0.5, None, True, b"512Mi", ["512Mi"]])
def test_what_is_no_text_is_refused(read: Callable[..., object], value: object) -> None:
    """As YAML reads ``memory_limit: 512``; the error names the field and says what to do."""
    with pytest.raises(InvalidSpec) as caught:
        read(value, field="resources.memory_limit")
    assert caught.value.field == "resources.memory_limit"
    assert "as text" in caught.value.message
    assert repr(value) in caught.value.message
    assert "quote it" in (caught.value.hint or "")


@readers
@pytest.mark.parametrize("text", ["1" * 65, "0" * 64 + "1Mi", "1." + "0" * 1000])
def test_a_longer_one_than_anybody_needs(read: Callable[..., object], text: str) -> None:
    """Refused for its length, which is said; 64 characters are fine."""
    with pytest.raises(InvalidSpec, match=f"at most 64 characters .this has {len(text)}."):
        read(text, field="limit")
    assert parse_quantity("0" * 61 + "1Mi") == 1024**2


@pytest.mark.parametrize(
    ("read", "text"),
    [(cpu_nanos, "9223372037"), (cpu_nanos, "1E"), (cpu_millis, "9223372036854776k")],
)
def test_more_than_64_bits_can_count(read: Callable[..., object], text: str) -> None:
    """NanoCpus is an int64: refused here, and not by what the engine makes of it."""
    with pytest.raises(InvalidSpec, match=r"limit: must be less than 9223372") as caught:
        read(text, field="limit")
    assert repr(text) in caught.value.message


def test_the_largest_counts() -> None:
    """One below is taken."""
    assert cpu_nanos("9223372036") == 9223372036 * 10**9
    assert memory_bytes("9223372036854775807") == LARGEST


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("512m", "for mebibytes: 512Mi"),
        ("1.5m", "for mebibytes: 1.5Mi"),
        ("512", "for mebibytes: 512Mi"),
        ("0.5", "512Mi"),
        ("512k", "512Mi"),
        ("1e3", "512Mi"),
        ("1023Ki", "512Mi"),
        ("500u", "512Mi"),
    ],
)
def test_an_amount_of_memory_that_nobody_means(text: str, hint: str) -> None:
    """Thousandths of a byte, or a number without its unit: refused, saying what was meant."""
    with pytest.raises(InvalidSpec, match=r"limit: must be at least 1Mi") as caught:
        sensible_bytes(text, field="limit")
    assert repr(text) in caught.value.message
    assert hint in (caught.value.hint or "")


def test_an_amount_of_memory_that_is_meant() -> None:
    """From 1Mi on, in any notation."""
    assert sensible_bytes("1Mi") == sensible_bytes("1048576") == sensible_bytes("1024Ki") == 1024**2
    assert sensible_bytes("1.5G") == 1_500_000_000


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("512MB", ["512Mi", "512M"]),
        ("512mb", ["512Mi", "512M"]),
        ("512MiB", ["512Mi"]),
        ("1gb", ["1Gi", "1G"]),
        ("1.5 GB", ["1.5Gi", "1.5G"]),
        ("64K", ["64Ki", "64k"]),
        ("512 Mi", ["space", "512Mi"]),
    ],
)
def test_near_misses_say_what_was_meant(text: str, meant: list[str]) -> None:
    """A common mistake is answered with what was probably meant."""
    with pytest.raises(InvalidSpec) as caught:
        memory_bytes(text, field="limit")
    assert caught.value.hint is not None
    said = re.findall(r"[\w.]+", caught.value.hint)
    assert set(meant) <= set(said)


@given(st.text("0123456789. kKmMgGtTpPiIbB", max_size=10))
@example("1.5.2MB")
@example("..MB")
def test_what_a_hint_proposes_is_valid(text: str) -> None:
    """Each quantity that a hint proposes can be parsed."""
    try:
        parse_quantity(text)
    except InvalidSpec as error:
        proposed = [word for word in (error.hint or "").split() if word[0] in "0123456789."]
        for word in proposed:
            if word.strip("();,") not in {"1024", "1000"}:
                parse_quantity(word.strip("();,"))


@pytest.mark.parametrize(
    ("text", "count"),
    [("512Mi", 536870912), ("1.5Gi", 1610612736), ("1k", 1000), ("0.1", 1), ("1.000000001", 2)],
)
def test_memory_is_whole_bytes_rounded_up(text: str, count: int) -> None:
    """Part of a byte counts as one."""
    assert memory_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "millis", "nanos"),
    [
        ("250m", 250, 250_000_000),
        ("1", 1000, 10**9),
        ("0.5", 500, 500_000_000),
        ("1.0001", 1001, 1_000_100_000),
        ("1n", 1, 1),
    ],
)
def test_cpu_is_rounded_up(text: str, millis: int, nanos: int) -> None:
    """Cores become whole thousandths or billionths, rounded up."""
    assert cpu_millis(text) == millis
    assert cpu_nanos(text) == nanos


@pytest.mark.parametrize("read", [memory_bytes, cpu_millis, cpu_nanos])
@pytest.mark.parametrize("text", ["0", "-0", "0Gi", "0e9", "-1", "-512Mi", "-1n"])
def test_nothing_and_less_is_refused(read: Callable[..., object], text: str) -> None:
    """An amount of memory or cores is more than zero."""
    with pytest.raises(InvalidSpec, match=r"limit: must be more than 0") as caught:
        read(text, field="limit")
    assert repr(text) in str(caught.value)


@given(quantities)
def test_readers_agree_with_the_exact_value(text: str) -> None:
    """Each reader returns the least whole number that is not below the exact value."""
    value = parse_quantity(text)
    if value <= 0:
        return
    for read, factor in ((memory_bytes, 1), (cpu_millis, 1000), (cpu_nanos, 10**9)):
        if value * factor > LARGEST:
            continue
        count = read(text)
        assert count - 1 < value * factor <= count
