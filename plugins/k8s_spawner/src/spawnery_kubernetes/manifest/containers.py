"""Looking into a manifest that others had a hand in: every part knows where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from attrs import frozen

from spawnery_kubernetes.options import refuse


@frozen
class Part:
    """A part of a Job.

    Attributes:
        value: What stands there, None where nothing does.
        place: Where, from the option on: ``patch.spec.template``.
    """

    value: Any
    place: str

    def at(self, *keys: str) -> Part:
        """Return what is inside; what is absent has nothing in it."""
        part = self
        for key in keys:
            part = Part(part.mapping().get(key), f"{part.place}.{key}")
        return part

    def mapping(self) -> Mapping[str, Any]:
        """Return the part as a mapping.

        Raises:
            InvalidSpec: It is none.
        """
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            self.refuse("must be a mapping")
        return self.value

    def items(self) -> Iterator[Part]:
        """Return the items of a list, each placed by its name, else by its number.

        Raises:
            InvalidSpec: It is no list.
        """
        if not isinstance(self.value, list | None):
            self.refuse("must be a list")
        for number, item in enumerate(self.value or ()):
            part = Part(item, f"{self.place}[{number}]")
            yield Part(item, f"{self.place}[{part.mapping().get('name', number)}]")

    def refuse(self, problem: str, hint: str | None = None) -> NoReturn:
        """Refuse what stands here.

        Raises:
            InvalidSpec: Always.
        """
        refuse(self.place, problem, hint)
