#!/usr/bin/env python3
"""Write the reference pages that come from the code: docs/hooks.md and docs/settings.md.

Run it with the workspace's Python; --check only tells which pages are out of date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
from spawnery.contract.hookspecs import OPTIONAL_HOOKS, SHARED_HOOKS, SPAWNER_HOOKS, HookSpecs
from spawnery.local.settings import LocalSettings
from spawnery.settings import CoreSettings, Slot, ignore_slot, slots_of
from spawnery.settings.values import shown
from spawnery_docker.settings import DockerSettings
from spawnery_kubernetes.settings import KubernetesSettings

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
SECTIONS: Final = ("Order", "Concurrency", "Idempotency", "Errors")
NOTE: Final = "<!-- Made by scripts/generate_docs.py from the code; change it there. -->"
SPAWNERS: Final[dict[str, type[Any]]] = {
    "local": LocalSettings,
    "docker": DockerSettings,
    "kubernetes": KubernetesSettings,
}
"""Whose settings the page lists."""

HOOKS_INTRO: Final = """
A plugin is written against these hooks ([pluggy](https://pluggy.readthedocs.io), project name
`spawnery`; mark an implementation with `spawnery.hookimpl`). They are plain functions and may
block. The facade is their only caller: it checks what they return, maps foreign exceptions to
`SpawnerError`, and keeps the time limits. Arguments may be left out of an implementation, as
pluggy allows, and may never be renamed.

`spawnery.contract` has the objects that hooks get, `spawnery.model` those that they return.
"""
SHARED_INTRO: Final = """
Extensions implement any of these; they are entry points of the group `spawnery.plugins` and are
called in the order of `SPAWNER_PLUGINS`. The spawner may implement all but `review_job`, and comes
last. See [Writing an extension](writing-an-extension.md).
"""
SPAWNER_INTRO: Final = """
The one spawner implements all of these, as methods of the object that its `SpawnerPlugin.create`
returns (which also has `close()`); wrappers are refused. See
[Writing a spawner](writing-a-spawner.md).
"""
SETTINGS_INTRO: Final = """
Flags win over the environment, the environment over `spawnery.toml`, the file over the defaults.
The file is the one that `SPAWNERY_CONFIG` (or `--config`) names, else `./spawnery.toml`, else
`spawnery.toml` in the user's configuration folder. Core's settings stand at its top level, those
of a spawner in a table of its name. Unknown names are refused, with the nearest known one.

`spawnery spawners show NAME` prints the same table for any installed spawner, with the value in
force and where it came from.
"""


def sections(hook: str) -> dict[str, str]:
    """Return the parts of a hook's docstring: its text under "" and its sections by name."""
    found = {"": ""}
    name = ""
    for line in (inspect.getdoc(getattr(HookSpecs, hook)) or "").splitlines():
        if line.endswith(":") and not line.startswith(" "):
            name = line.removesuffix(":")
            found[name] = ""
        else:
            found[name] += line.strip() + "\n"
    return {key: _prose(text) for key, text in found.items()}


def _prose(text: str) -> str:
    return text.strip().replace("``", "`")


def hooks_page() -> str:
    """Return docs/hooks.md."""
    parts = ["# Hooks", NOTE, HOOKS_INTRO.strip(), "## Hooks of every plugin", SHARED_INTRO.strip()]
    parts += [_hook(name) for name in SHARED_HOOKS]
    parts += ["## Hooks of the spawner", SPAWNER_INTRO.strip()]
    parts += [_hook(name) for name in SPAWNER_HOOKS]
    parts += ["## Hooks that the spawner may implement, each with the capability of its name"]
    parts += [_hook(name) for name in OPTIONAL_HOOKS]
    return "\n\n".join(parts) + "\n"


def _hook(name: str) -> str:
    found = sections(name)
    function = getattr(HookSpecs, name)
    signature = str(inspect.signature(function)).replace("'", "")
    signature = signature.replace("(self, ", "(").replace("(self)", "()")
    lines = [f"### {name}", "", "```python", f"def {name}{signature}", "```", ""]
    lines += [found[""], ""]
    lines += [f"- **{part}.** {_inline(found[part])}" for part in SECTIONS]
    return "\n".join(lines)


def _inline(text: str) -> str:
    return text.replace("\n", "\n  ")


def settings_page() -> str:
    """Return docs/settings.md."""
    parts = ["# Settings", NOTE, SETTINGS_INTRO.strip(), "## Core"]
    parts.append(_table(slots_of(CoreSettings).values()))
    for name, kind in SPAWNERS.items():
        own = [*slots_of(kind, table=name).values(), ignore_slot(name)]
        parts += [f"## Spawner `{name}`", _table(own)]
    return "\n\n".join(parts) + "\n"


def _table(slots: Iterable[Slot]) -> str:
    return "\n".join(_rows(slots))


def _rows(slots: Iterable[Slot]) -> Iterator[str]:
    yield "| setting | environment | default | what it is |"
    yield "|---|---|---|---|"
    for slot in slots:
        value = _default(slot.default)
        yield f"| `{slot.name}` | `{slot.env}` | {value} | {_cell(slot.description)} |"


def _default(value: Any) -> str:
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()
    text = shown(value)
    return f"`{_cell(text)}`" if text else "unset"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: Final[dict[str, Callable[[], str]]] = {
    "hooks.md": hooks_page,
    "settings.md": settings_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or tell which ones are out of date."""
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/{name}: {'out of date' if '--check' in arguments else 'written'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
