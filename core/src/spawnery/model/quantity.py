"""Kubernetes quantity notation, exact: ``512Mi``, ``1.5Gi``, ``250m``, ``1e3``.

Grammar and rounding of ``resource.Quantity``
(kubernetes/apimachinery pkg/api/resource/quantity.go): a signed decimal number and one suffix;
what is finer than a nano unit is rounded up. Every value is capped at 2^63-1 (Kubernetes caps the
binary suffixes alone); no engine takes more.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, NoReturn

from spawnery.errors import InvalidSpec

if TYPE_CHECKING:
    from fractions import Fraction

_GRAMMAR = re.compile(
    r"(?P<sign>[+-]?)(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,9}))?\Z",
    re.ASCII,
)
_BINARY: Final = {
    name: 1024**power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_LARGEST: Final = 2**63 - 1
_FINEST: Final = 10**9
_LONGEST: Final = 64
SMALLEST_BYTES: Final = 1024**2
"""What a job asks for in bytes is not below this: no program runs in less, so it is a mistake."""
_MEMORY_EXAMPLES: Final = "bytes such as 512Mi, 1.5Gi or 1G"
_CPU_EXAMPLES: Final = "cores such as 250m, 1 or 1.5"


def _refuse(text: object, field: str | None, allowed: str, hint: str | None = None) -> NoReturn:
    name = field or "quantity"
    shown = repr(text)[:_LONGEST]
    msg = f"{name}: must be {allowed}, not {shown}"
    raise InvalidSpec(msg, field=field, hint=hint)


def _near_miss(text: str) -> str | None:
    """Say what was probably meant."""
    joined = text.replace(" ", "")
    if joined != text and _GRAMMAR.match(joined):
        return f"without space: {joined}"
    found = re.fullmatch(
        r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*([kmgtp])i?b?(?:ytes?)?", text, re.IGNORECASE
    )
    if found is None:
        return None
    number, letter = found.group(1), found.group(2).upper()
    decimal = "k" if letter == "K" else letter
    return f"{number}{letter}i (powers of 1024) or {number}{decimal} (powers of 1000)"


def _match(text: object, field: str | None) -> re.Match[str]:
    """Match the grammar, or refuse."""
    allowed = "a quantity such as 512Mi, 1.5Gi, 250m or 1e3"
    if not isinstance(text, str):
        _refuse(text, field, f"{allowed}, as text", f'quote it: "{text}"')
    if len(text) > _LONGEST:
        most = f"{allowed}, of at most {_LONGEST} characters (this has {len(text)})"
        _refuse(text, field, most)
    found = _GRAMMAR.match(text)
    if found is None:
        _refuse(text, field, allowed, _near_miss(text))
    return found


def parse_quantity(text: str, *, field: str | None = None) -> Fraction:
    """Return the exact value of a quantity.

    Args:
        text: The quantity.
        field: Named in the error.

    Raises:
        InvalidSpec: It is no text of at most 64 characters that fits the grammar.
    """
    _match(text, field)
    return _exact(text)


@functools.lru_cache(maxsize=1024)
def _exact(text: str) -> Fraction:
    from fractions import Fraction  # noqa: PLC0415 - costs at import

    found = _match(text, None)
    number = found["number"]
    value = Fraction("0" + number if number.startswith(".") else number.rstrip("."))
    if found["suffix"] in _BINARY:
        value *= _BINARY[found["suffix"]]
    else:
        power = _DECIMAL.get(found["suffix"], 0) + int(found["exponent"] or 0)
        value = _scaled(value, power)
    scaled = value * _FINEST
    rounded = Fraction(-(-scaled.numerator // scaled.denominator), _FINEST)
    capped = min(rounded, Fraction(_LARGEST))
    return -capped if found["sign"] == "-" else capped


def _scaled(value: Fraction, power: int) -> Fraction:
    """Multiply by a power of ten, without making numbers that no cap would leave standing."""
    from fractions import Fraction  # noqa: PLC0415 - costs at import

    if value == 0:
        return value
    bound = _LONGEST * 2
    return value * Fraction(10) ** max(-bound, min(bound, power))


def _positive(text: str, field: str | None, allowed: str, factor: int) -> int:
    value = parse_quantity(text, field=field) * factor
    if value <= 0:
        _refuse(text, field, f"more than 0 ({allowed})")
    count = -(-value.numerator // value.denominator)
    if count > _LARGEST:
        _refuse(text, field, f"less than {_LARGEST // factor + 1} ({allowed})")
    return count


def memory_bytes(text: str, *, field: str | None = None) -> int:
    """Return a quantity of memory in whole bytes, rounded up.

    Raises:
        InvalidSpec: It does not fit the grammar, or is not above zero.
    """
    return _positive(text, field, _MEMORY_EXAMPLES, 1)


def sensible_bytes(text: str, *, field: str | None = None) -> int:
    """Return an amount of memory or disk that a job asks for, in bytes.

    ``512m`` is half a byte in this notation and nearly always meant as ``512Mi``, so what is below
    1Mi is refused (Kubernetes' documentation warns of the same slip).

    Raises:
        InvalidSpec: As ``memory_bytes``, or it is below 1Mi.
    """
    count = memory_bytes(text, field=field)
    if count >= SMALLEST_BYTES:
        return count
    found = _match(text, field)
    meant = f"{found['number'].rstrip('.')}Mi"
    if found["suffix"] == "m":
        hint = f"m means thousandths (as in cores); for mebibytes: {meant}"
    elif found["suffix"] or found["exponent"] or memory_bytes(meant) < SMALLEST_BYTES:
        hint = "for example 512Mi"
    else:
        hint = f"a number alone means bytes; for mebibytes: {meant}"
    _refuse(text, field, f"at least 1Mi ({_MEMORY_EXAMPLES})", hint)


def cpu_millis(text: str, *, field: str | None = None) -> int:
    """Return a quantity of cores in thousandths, rounded up.

    Raises:
        InvalidSpec: It does not fit the grammar, or is not above zero, or more than 2^63-1 of them.
    """
    return _positive(text, field, _CPU_EXAMPLES, 1000)


def cpu_nanos(text: str, *, field: str | None = None) -> int:
    """Return a quantity of cores in billionths (Docker's NanoCpus), rounded up.

    Raises:
        InvalidSpec: It does not fit the grammar, or is not above zero, or more than 2^63-1 of them.
    """
    return _positive(text, field, _CPU_EXAMPLES, _FINEST)
