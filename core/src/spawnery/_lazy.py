"""The public names of a package, loaded from their modules when they are first used (PEP 562).

So a package can be the one place to import from, and costs next to nothing itself. mypy sees the
same names by imports under ``TYPE_CHECKING``; a test compares the two lists.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing would be most of what ``import spawnery`` costs
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def exports(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: Its name.
        homes: Names by the module that has them, relative to the package: ``.job``.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    public = sorted(home_of)

    def load(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from importlib import import_module  # noqa: PLC0415 - the point of being lazy

        value = getattr(import_module(home, package), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: public, public
