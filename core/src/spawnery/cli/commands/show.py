"""``spawnery spawners show``: the settings of a spawner, and where each value came from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app

if TYPE_CHECKING:
    from spawnery.discovery import LoadedSpawner
    from spawnery.settings import Settings


@click.command("show")
@click.argument("name")
@common.on_command
@pass_app
def command(app: App, name: str) -> None:
    """Show each setting of a spawner: value, where it came from, what it is for."""
    from spawnery import discovery, settings  # noqa: PLC0415 - cold start

    loaded = discovery.load_spawner(name, origin="the command line")
    found = settings.load(
        app.environ,
        config_file=app.config,
        flags=app.flags,
        plugin=loaded.plugin,
        installed=tuple(spawner.name for spawner in discovery.installed()),
    )
    if app.json:
        _document(loaded, found)
    else:
        _tables(loaded, found)


def _document(loaded: LoadedSpawner, found: Settings) -> None:
    from spawnery.cli import encode, output  # noqa: PLC0415 - cold start

    plugin = loaded.plugin
    output.document(
        {
            "name": plugin.name,
            "distribution": loaded.installed.distribution,
            "version": loaded.installed.version,
            "summary": plugin.summary,
            "capabilities": sorted(plugin.capabilities),
            "settings": {key: encode.plain(origin) for key, origin in found.origins.items()},
        }
    )


def _tables(loaded: LoadedSpawner, found: Settings) -> None:
    from spawnery.cli import output, tables  # noqa: PLC0415 - cold start

    if output.is_terminal(sys.stdout):
        plugin, installed = loaded.plugin, loaded.installed
        output.line(
            f"{plugin.name} - {plugin.summary} ({installed.distribution} {installed.version})"
        )
        output.line("can: " + " ".join(sorted(plugin.capabilities)))
        output.line("")
    tables.show(
        ("SETTING", "VALUE", "FROM", "ENVIRONMENT", "DESCRIPTION"),
        [_row(key, origin) for key, origin in found.origins.items()],
    )


def _row(key: str, origin: Any) -> tuple[str, str, str, str, str]:
    return (key, _shown(origin.value), origin.source, origin.env or "", origin.description)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple | list | frozenset):
        return ",".join(str(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
