"""For spawners: are the packages under a plugin there, in versions that its distribution asks for?

The versions are read from the metadata of the installed distributions
(packaging.python.org/en/latest/specifications/core-metadata/, Requires-Dist); nothing is imported.
pip looks at them when it installs, and not again when something else changes a package later.
"""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from spawnery.errors import PluginError

_RENEW: Final = "install the distribution again; in a checkout of this project: make setup"
_LINE: Final = re.compile(r"([\w.-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)(;?)")
"""Name, versions, and a semicolon where it is wanted in some environments or extras only."""
_CLAUSE: Final = re.compile(r"(>=|<=|!=|==|>|<)(\d+(?:\.\d+)*)")
_RELEASE: Final = re.compile(r"\d+(?:\.\d+)*")
_COMPARE: Final[dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def check_requirements(distribution: str, *packages: str) -> str:
    """Check that packages are installed in versions that a distribution asks for.

    A pre-release counts as its release: 8.0rc1 is not below 8.

    Args:
        distribution: The plugin's, for example ``spawnery-shellhost``.
        packages: Those of its requirements that the plugin cannot do without, named as there;
            their versions are said with ``>= > < <= != ==`` and plain numbers.

    Returns:
        What is installed, for ``check``: ``spawnery-shellhost 1.0 with asyncssh 2.21.0``.

    Raises:
        PluginError: A package is not there, or in another version; or the metadata are old, as
            with an editable install whose requirements have changed.
        ValueError: The versions are said in another way.
    """
    ours = f"{distribution} {version(distribution)}"
    wanted = _requirements(distribution)
    told = []
    for package in packages:
        versions = wanted.get(package)
        if versions is None:
            msg = f"the metadata of {ours} do not name {package}: they are older than its code"
            raise PluginError(msg, hint=_RENEW)
        hint = f"{sys.executable} -m pip install '{package}{versions}'"
        try:
            found = version(package)
        except PackageNotFoundError:
            msg = f"{ours} needs the package {package}, which is not installed"
            raise PluginError(msg, hint=hint) from None
        if not _fits(found, versions):
            msg = f"the package {package} {found} is installed; {ours} needs {versions}"
            raise PluginError(msg, hint=hint)
        told.append(f"{package} {found}")
    return f"{ours} with {', '.join(told)}"


def _requirements(distribution: str) -> dict[str, str]:
    """Return what a distribution always needs: name to versions, the lower bound first."""
    found = {}
    for line in requires(distribution) or ():
        match = _LINE.match(line)
        if match is not None and not match[3]:
            clauses = match[2].strip().strip("()").replace(" ", "").split(",")
            found[match[1]] = ",".join(sorted(clauses, reverse=True))
    return found


def _fits(found: str, versions: str) -> bool:
    release = _RELEASE.match(found)
    if release is None:
        return False
    number = _number(release[0])
    for clause in versions.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            msg = f"versions are said as in >=1.2,<2,!=1.5.0, not as {clause!r}"
            raise ValueError(msg)
        if not _COMPARE[match[1]](number, _number(match[2])):
            return False
    return True


def _number(release: str) -> tuple[int, ...]:
    """Return the numbers of a release without zeros at its end: 7.0 is 7."""
    return tuple(map(int, re.sub(r"(\.0+)+$", "", release).split(".")))
