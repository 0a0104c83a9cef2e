"""Registers the spawner and the extensions with pluggy, and says in words what breaks the contract.

pluggy itself accepts a class in place of an object, a misspelt hook, an ``async`` hook and a
missing one without a word.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any, NoReturn

import pluggy

from spawnery.contract.declaration import SpawnerPlugin
from spawnery.contract.hookspecs import (
    OPTIONAL_HOOKS,
    PROJECT,
    SHARED_HOOKS,
    SPAWNER_HOOKS,
    HookSpecs,
)
from spawnery.errors import PluginError, SpawnerInvalid

_SPAWNERS_OWN = (*SPAWNER_HOOKS, *OPTIONAL_HOOKS)
_ALL = (*_SPAWNERS_OWN, *SHARED_HOOKS)


def build_manager(
    spawner: Any, extensions: Sequence[tuple[str, Any]], *, plugin: SpawnerPlugin
) -> pluggy.PluginManager:
    """Make pluggy's manager.

    Args:
        spawner: What ``plugin.create`` returned.
        extensions: (name, object), in the order of ``SPAWNER_PLUGINS``.
        plugin: The declaration.

    Raises:
        SpawnerInvalid: The spawner breaks the contract.
        PluginError: An extension does.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    check_spawner_object(spawner, plugin)
    _register(manager, plugin.name, spawner, SpawnerInvalid)
    for name, extension in reversed(extensions):
        _check_extension(name, extension)
        taken = manager.has_plugin(name)
        _register(manager, f"extension {name}" if taken else name, extension, PluginError)
    return manager


def check_spawner_object(spawner: Any, plugin: SpawnerPlugin) -> None:
    """Check what ``create`` returned.

    Raises:
        SpawnerInvalid: Names what is missing, misspelt or of the wrong kind.
    """

    def refuse(problem: str, hint: str) -> NoReturn:
        msg = f"the spawner {plugin.name} breaks the plugin contract: {problem}"
        raise SpawnerInvalid(msg, hint=hint)

    if isinstance(spawner, type):
        refuse(f"create() returned the class {spawner.__name__}", "return an object: add the ()")
    if not callable(getattr(spawner, "close", None)):
        refuse("it has no close()", "def close(self) -> None: ...")
    hooks = _hooks_of(spawner)
    problem = _wrong_hook(hooks)
    if problem is not None:
        refuse(*problem)
    declared = [name for name, what in OPTIONAL_HOOKS.items() if what in plugin.capabilities]
    missing = [name for name in (*SPAWNER_HOOKS, *declared) if name not in hooks]
    unmarked = [name for name in missing if callable(getattr(spawner, name, None))]
    if unmarked:
        refuse(f"its {unmarked[0]} is not marked as a hook", f"@hookimpl above def {unmarked[0]}")
    if missing:
        refuse(
            f"it lacks the hook {missing[0]}"
            + (f" (and {len(missing) - 1} more)" if missing[1:] else ""),
            f"@hookimpl\ndef {missing[0]}(self, ...): ... (docs/hooks.md)",
        )
    if "review_job" in hooks:
        refuse("it implements review_job, which is for extensions", "refuse in spawn instead")


def _check_extension(name: str, extension: Any) -> None:
    hooks = _hooks_of(extension)
    problem = _wrong_hook(hooks)
    foreign = [hook for hook in hooks if hook in _SPAWNERS_OWN]
    if problem is None and foreign:
        problem = (f"it implements {foreign[0]}, which only the spawner does", "remove it")
    if problem is None and not hooks:
        problem = ("it implements no hook", f"@hookimpl on one of {', '.join(SHARED_HOOKS)}")
    if problem is not None:
        msg = f"the extension {name} breaks the plugin contract: {problem[0]}"
        raise PluginError(msg, cause="plugin.invalid", hint=problem[1])


def _hooks_of(plugin: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return what is marked with ``hookimpl``: name to (function, options)."""
    found = {}
    for name in dir(plugin):
        if name.startswith("__"):
            continue
        method = inspect.getattr_static(plugin, name, None)
        function = getattr(method, "__func__", method)
        options = getattr(function, f"{PROJECT}_impl", None)
        if isinstance(options, dict):
            found[options.get("specname") or name] = (getattr(plugin, name), options)
    return found


def _wrong_hook(hooks: dict[str, tuple[Any, dict[str, Any]]]) -> tuple[str, str] | None:
    """Return what is wrong with the hooks of a plugin, and what to do."""
    for name, (function, options) in hooks.items():
        if name not in _ALL:
            near = difflib.get_close_matches(name, _ALL, n=1)
            return f"there is no hook {name}", f"did you mean {near[0]}?" if near else "remove it"
        if options.get("wrapper") or options.get("hookwrapper"):
            return f"its {name} is a wrapper", "implement the hook itself"
        if options.get("tryfirst") or options.get("trylast"):
            return f"its {name} asks to be called first or last", "the order is SPAWNER_PLUGINS"
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return f"its {name} is async", "hooks are plain functions and may block"
        problem = _wrong_argument(name, function)
        if problem is not None:
            return problem
    return None


def _wrong_argument(name: str, function: Any) -> tuple[str, str] | None:
    allowed = [
        arg for arg in inspect.signature(getattr(HookSpecs, name)).parameters if arg != "self"
    ]
    for arg, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            return (
                f"its {name} gives the argument {arg} a default, so it would never be passed",
                f"def {name}(self, {', '.join(allowed)})",
            )
        if arg not in allowed:
            return (
                f"its {name} has the argument {arg}, which the hook does not have",
                f"def {name}({', '.join(['self', *allowed])})",
            )
    return None


def _register(
    manager: pluggy.PluginManager, name: str, plugin: Any, kind: type[PluginError]
) -> None:
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        msg = f"the plugin {name} breaks the plugin contract: {error}"
        raise kind(msg, cause="plugin.invalid") from error
