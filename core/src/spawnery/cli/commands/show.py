"""``spawnery spawners show``: the settings of a spawner, and where each value came from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app

if TYPE_CHECKING:
    from spawnery.loading.discovery import LoadedSpawner
    from spawnery.settings.schema import Origin, Settings


@click.command("show")
@click.argument("name")
@common.on_command
@pass_app
def command(app: App, name: str) -> None:
    """Show each setting of a spawner: value, where it came from, what it is for."""
    from spawnery.loading import discovery
    from spawnery.settings import schema as settings

    loaded = discovery.load_spawner(discovery.canonical(name), origin="the command line")
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
    from spawnery.cli import output
    from spawnery.cli.printing import encode

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
    from spawnery.cli import output
    from spawnery.cli.printing import tables

    origins = found.origins.values()
    if not output.is_terminal(sys.stdout):
        tables.show((), [(o.name, o.value, o.source, o.env, o.description) for o in origins])
        return
    plugin, installed = loaded.plugin, loaded.installed
    output.line(f"{plugin.name}: {plugin.summary} ({installed.distribution} {installed.version})")
    output.line("")
    tables.show(("SETTING", "VALUE"), [(o.name, _block(o)) for o in origins])
    output.line("")
    tables.show(("", ""), [("can", " ".join(sorted(plugin.capabilities)))])


def _block(origin: Origin) -> str:
    return f"{origin.value or '-'}  ({origin.source})\n{origin.description} {origin.env}"
