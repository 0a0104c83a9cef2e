"""Secret values and references to them; neither ever prints what it protects (promise P7)."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NoReturn

from attrs import field, frozen

from spawnery.errors import InvalidSpec

MASK: Final = "***"
_SHORTEST_MASKED: Final = 4
"""Masking shorter values would garble text everywhere and hide nothing."""


class Secret:
    """A text that never prints; ``reveal()`` is the one way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        msg = "a Secret is not pickled: it would leave the process in the clear"
        raise TypeError(msg)


class SecretSource(enum.StrEnum):
    """Where the value of a secret comes from."""

    ENVIRONMENT = "environment"
    FILE = "file"
    LITERAL = "literal"
    ENGINE = "engine"


@frozen(kw_only=True)
class SecretRef:
    """Where a secret's value is found; make one with the class methods.

    Attributes:
        source: The kind of place.
        name: Variable, path, or name of the engine's own secret; empty for a literal.
        key: The key inside the engine's own secret.
        optional: Whether a missing value is left out instead of refused.
        value: The value of a literal.
    """

    source: SecretSource
    name: str = ""
    key: str = ""
    optional: bool = False
    value: Secret | None = field(default=None, repr=False)

    @classmethod
    def environment(cls, name: str, *, optional: bool = False) -> SecretRef:
        """Take the value from our own environment variable ``name`` when the job is spawned.

        An empty variable counts as one that is not set.
        """
        return cls(source=SecretSource.ENVIRONMENT, name=name, optional=optional)

    @classmethod
    def file(cls, path: str | os.PathLike[str], *, optional: bool = False) -> SecretRef:
        """Take the value from a file of ours when the job is spawned; one final newline is cut.

        An empty file counts as one that does not exist.
        """
        return cls(source=SecretSource.FILE, name=os.fspath(path), optional=optional)

    @classmethod
    def literal(cls, value: str) -> SecretRef:
        """Take this value itself."""
        return cls(source=SecretSource.LITERAL, value=Secret(value))

    @classmethod
    def engine(cls, name: str, key: str, *, optional: bool = False) -> SecretRef:
        """Let the engine fill in ``key`` of its own secret (capability ``secrets.engine``)."""
        return cls(source=SecretSource.ENGINE, name=name, key=key, optional=optional)

    def resolve(self, *, key: str, environ: Mapping[str, str]) -> Secret | None:
        """Return the value, or None where it is missing and optional.

        Args:
            key: The name that the job will see, for the error.
            environ: Our own environment.

        Raises:
            InvalidSpec: The value is missing, or this is an engine's own secret.
        """
        if self.source is SecretSource.LITERAL and self.value is not None:
            return self.value
        if self.source is SecretSource.ENVIRONMENT:
            # Compose's ${NAME:-} and a shell's NAME= leave an empty one where none is set.
            found = environ.get(self.name) or None
        elif self.source is SecretSource.FILE:
            found = self._read(key)
        else:
            msg = f"secrets.{key}: a secret of the engine is not read by us"
            raise InvalidSpec(msg, field=f"secrets.{key}")
        if found is not None:
            return Secret(found)
        if self.optional:
            return None
        what = "is empty" if self.name in environ else "is not set"
        msg = f"secrets.{key}: the environment variable {self.name} {what}"
        raise InvalidSpec(msg, field=f"secrets.{key}", hint=f"export {self.name}=...")

    def _read(self, key: str) -> str | None:
        try:
            with open(self.name, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs at import
                text = file.read()
        except FileNotFoundError:
            if self.optional:
                return None
            msg = f"secrets.{key}: the file {self.name} does not exist"
            raise InvalidSpec(msg, field=f"secrets.{key}") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            msg = f"secrets.{key}: the file {self.name} cannot be read: {reason}"
            raise InvalidSpec(msg, field=f"secrets.{key}") from None
        text = text.removesuffix("\n")
        if text or self.optional:
            return text or None
        msg = f"secrets.{key}: the file {self.name} is empty"
        raise InvalidSpec(msg, field=f"secrets.{key}")

    def describe(self) -> str:
        """Say where the value comes from, without the value."""
        if self.source is SecretSource.LITERAL:
            return "literal"
        where = f"{self.name}/{self.key}" if self.source is SecretSource.ENGINE else self.name
        return f"{self.source}:{where}" + ("?" if self.optional else "")


EnvValue = str | SecretRef
"""What ``build_env`` may give a key: text, or a reference to a secret."""


class Masker:
    """Replaces known secret values in text.

    Values under four characters are left alone: they would be found in any text. Each line of a
    value that has several is masked too, since logs break lines, and so is what JSON makes of it,
    since engines quote what they refuse.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._values: list[str] = []
        self.add(secrets)

    def add(self, secrets: Iterable[Secret]) -> None:
        """Mask these as well from now on."""
        values = set(self._values)
        for secret in secrets:
            whole = secret.reveal()
            forms = (whole, *whole.splitlines(), *_quoted(whole))
            values.update(form for form in forms if len(form) >= _SHORTEST_MASKED)
        self._values = sorted(values, key=len, reverse=True)

    @property
    def longest(self) -> int:
        """Length of the longest masked value, in characters; 0 when there is none."""
        return len(self._values[0]) if self._values else 0

    def mask(self, text: str) -> str:
        """Return ``text`` with each known value replaced by ``***``."""
        if not any(value in text for value in self._values):
            return text
        masked, position = [], 0
        for start, end in _merged(_places(text, self._values)):
            masked += [text[position:start], MASK]
            position = end
        return "".join([*masked, text[position:]])


def _quoted(text: str) -> tuple[str, ...]:
    """Return how a text with quotes, backslashes or other letters stands inside of quotes."""
    if text.isascii() and text.isprintable() and not {'"', "\\"} & set(text):
        return ()
    import json  # noqa: PLC0415 - costs at import

    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _places(text: str, values: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Find every value everywhere, also where it overlaps another one or itself."""
    for value in values:
        start = text.find(value)
        while start >= 0:
            yield start, start + len(value)
            start = text.find(value, start + 1)


def _merged(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join places that overlap: the rest of an overlapped value would be part of a secret."""
    begin, end = 0, 0
    for start, stop in sorted(places):
        if start >= end:
            if end:
                yield begin, end
            begin, end = start, stop
        else:
            end = max(end, stop)
    if end:
        yield begin, end
