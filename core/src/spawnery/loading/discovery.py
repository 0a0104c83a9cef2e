"""Finds the one spawner that was asked for among the installed ones, and loads nothing else.

Not found, claimed twice, import failed, wrong API version and broken contract are different
errors; each names the distribution and what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs
from attrs import field, frozen

from spawnery.contract.declaration import API_VERSION, SpawnerPlugin
from spawnery.errors import (
    ConfigurationError,
    SpawnerAmbiguous,
    SpawnerIncompatible,
    SpawnerInvalid,
    SpawnerLoadFailed,
    SpawnerNotFound,
)

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    from spawnery.settings.schema import Settings

SPAWNERS: Final = "spawnery.spawners"
EXTENSIONS: Final = "spawnery.plugins"
ALIASES: Final = {"k8s": "kubernetes"}
DISTRIBUTIONS: Final = {"docker": "spawnery-docker", "kubernetes": "spawnery-kubernetes"}
"""Where the spawners of this project come from."""
BUILT_IN: Final = frozenset({"local", "fake"})
"""What core ships: never a reason not to fall back to ``local``."""


@frozen(kw_only=True)
class Installed:
    """An entry point that is installed; nothing of it was imported.

    Attributes:
        name: Its name, for spawners the value of ``SPAWNER_TYPE``.
        distribution, version: What provides it.
        value: What it names, ``module:object``.
        group: ``spawnery.spawners`` or ``spawnery.plugins``.
    """

    name: str
    distribution: str
    version: str
    value: str
    group: str
    entry_point: EntryPoint = field(repr=False, eq=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


@frozen(kw_only=True)
class LoadedSpawner:
    """A spawner's declaration and where it came from."""

    plugin: SpawnerPlugin
    installed: Installed


@frozen(kw_only=True)
class Choice:
    """Which spawner was asked for, and where that was said; ``note`` is for stderr."""

    name: str
    origin: str
    note: str | None = None


def installed(group: str = SPAWNERS) -> tuple[Installed, ...]:
    """List what is installed in a group, without importing any of it."""
    found: dict[tuple[str, str], Installed] = {}
    for point in _entry_points(group):
        dist = point.dist
        name = (dist.metadata["Name"] if dist is not None else None) or "unknown"
        item = Installed(
            name=point.name,
            distribution=name,
            version=(dist.metadata["Version"] if dist is not None else None) or "of no version",
            value=point.value,
            group=group,
            entry_point=point,
        )
        # The same distribution twice on the path is one: the first on the path wins.
        found.setdefault((item.name, name.lower().replace("_", "-")), item)
    return tuple(sorted(found.values(), key=lambda item: (item.name, item.distribution)))


def _entry_points(group: str) -> Iterable[EntryPoint]:
    """List the entry points of a group; a distribution that is damaged counts as not there."""
    from importlib.metadata import distributions, entry_points  # noqa: PLC0415 - costs at import

    try:
        return entry_points(group=group)
    except Exception:  # noqa: BLE001 - one unreadable file among them, of whomever
        return [point for dist in distributions() for point in _points_of(dist, group)]


def _points_of(dist: Distribution, group: str) -> Iterable[EntryPoint]:
    try:
        return dist.entry_points.select(group=group)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, nobody asked for it
        return ()


def choose(name: str | None, given: Settings, *, found: Sequence[Installed]) -> Choice:
    """Say which spawner is asked for; never a guess.

    Args:
        name: Wins over ``SPAWNER_TYPE``.
        given: Hold ``SPAWNER_TYPE`` and where it was set.
        found: What is installed, for the message.

    Raises:
        ConfigurationError: Nobody says.
    """
    if name is not None:
        return Choice(name=canonical(name), origin="the name that was given")
    asked = given.core.spawner_type
    if asked is not None and asked.strip():
        origin = given.origins["spawner_type"].source
        return Choice(name=canonical(asked), origin=f"{origin}: {asked!r}")
    msg = f"no spawner is chosen: SPAWNER_TYPE is not set. {_listed(found)}"
    example = next((item.name for item in found if item.name != "fake"), "local")
    raise ConfigurationError(msg, hint=f"export SPAWNER_TYPE={example}")


def choose_or_local(name: str | None, given: Settings, *, found: Sequence[Installed]) -> Choice:
    """Like ``choose``, but ``local`` where nobody says and no other spawner is installed.

    For the command line alone.
    """
    chosen = name is not None or (given.core.spawner_type or "").strip()
    if chosen or any(item.name not in BUILT_IN for item in found):
        return choose(name, given, found=found)
    note = "SPAWNER_TYPE is not set: jobs run on this machine (local), which isolates nothing"
    return Choice(name="local", origin="nothing else is installed", note=note)


def canonical(name: str) -> str:
    """Return the entry-point name that a value of ``SPAWNER_TYPE`` means."""
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)


def load_spawner(name: str, *, origin: str) -> LoadedSpawner:
    """Import exactly one spawner's declaration.

    Args:
        name: The entry point.
        origin: Where the name came from, for the message.

    Raises:
        SpawnerNotFound, SpawnerAmbiguous, SpawnerLoadFailed, SpawnerIncompatible, SpawnerInvalid.
    """
    everything = installed()
    name = canonical(name)
    matching = [item for item in everything if item.name.lower() == name]
    if not matching:
        _not_found(name, origin, everything)
    if len(matching) > 1:
        both = " and ".join(f"{item.distribution} {item.version}" for item in matching)
        msg = f"the spawner {name!r} is claimed by {both}"
        hint = f"{sys.executable} -m pip uninstall {matching[-1].distribution}"
        raise SpawnerAmbiguous(msg, hint=hint)
    item = matching[0]
    return LoadedSpawner(plugin=_checked(imported(item), item), installed=item)


def imported(item: Installed) -> Any:
    """Import what an entry point names.

    Raises:
        SpawnerLoadFailed: With the exception as its cause.
    """
    try:
        return item.entry_point.load()
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        msg = f"{item} is installed, but importing {item.value} failed: {what}"
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        hint = f"{sys.executable} -m pip install --force-reinstall {item.distribution}"
        if missing is not None:
            hint = f"the module {missing} is missing: {hint}"
        raise SpawnerLoadFailed(msg, hint=hint) from error


def _checked(plugin: Any, item: Installed) -> SpawnerPlugin:
    if isinstance(plugin, type):
        msg = f"{item}: {item.value} is a class ({plugin.__name__}), not a SpawnerPlugin object"
        raise SpawnerInvalid(msg, hint="name an object: plugin = SpawnerPlugin(...)")
    if not isinstance(plugin, SpawnerPlugin):
        msg = f"{item}: {item.value} is a {type(plugin).__name__}, not a SpawnerPlugin"
        raise SpawnerInvalid(msg, hint="name an object: plugin = SpawnerPlugin(...)")
    if type(plugin.api) is not int:
        msg = f"{item}: its api is {plugin.api!r}, not the number of a plugin API"
        raise SpawnerInvalid(msg, hint=f"SpawnerPlugin(api={API_VERSION}, ...)")
    if plugin.api != API_VERSION:
        newer = plugin.api > API_VERSION
        msg = (
            f"{item} was written for plugin API {plugin.api},"
            f" and this Spawnery has plugin API {API_VERSION}"
        )
        upgrade = "spawnery" if newer else item.distribution
        raise SpawnerIncompatible(msg, hint=f"{sys.executable} -m pip install --upgrade {upgrade}")
    problem = _wrong_part(plugin)
    if problem is not None:
        msg = f"{item}: {problem}"
        raise SpawnerInvalid(msg, hint="docs/writing-a-spawner.md says what each part is")
    if plugin.name.lower() != item.name.lower():
        msg = (
            f"{item}: the entry point is {item.name!r}, and the plugin calls itself {plugin.name!r}"
        )
        raise SpawnerInvalid(msg, hint="give both the same name")
    return plugin


def _wrong_part(plugin: SpawnerPlugin) -> str | None:
    if not attrs.has(plugin.settings):
        return f"its settings are {plugin.settings!r}, not an attrs class"
    if plugin.options is not None and not attrs.has(plugin.options):
        return f"its options are {plugin.options!r}, neither an attrs class nor None"
    if not isinstance(plugin.capabilities, frozenset):
        return f"its capabilities are a {type(plugin.capabilities).__name__}, not a frozenset"
    return None


def _listed(found: Iterable[Installed]) -> str:
    names = ", ".join(str(item) for item in found)
    return f"Installed: {names}." if names else "No spawner is installed."


def _not_found(name: str, origin: str, everything: Sequence[Installed]) -> NoReturn:
    import difflib  # noqa: PLC0415 - only for an error

    msg = (
        f"there is no spawner {name!r} (from {origin}). {_listed(everything)}"
        f" Python: {sys.executable}"
    )
    known = [*DISTRIBUTIONS, *ALIASES, *(item.name for item in everything)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if name in DISTRIBUTIONS:
        hint = f"{sys.executable} -m pip install {DISTRIBUTIONS[name]}"
    elif near and canonical(near[0]) in {canonical(item.name) for item in everything}:
        hint = f"did you mean {near[0]}? export SPAWNER_TYPE={near[0]}"
    elif near:
        package = DISTRIBUTIONS[canonical(near[0])]
        hint = f"did you mean {near[0]}? {sys.executable} -m pip install {package}"
    else:
        hint = f"install a distribution that provides the {SPAWNERS} entry point {name!r}"
    raise SpawnerNotFound(msg, hint=hint)
