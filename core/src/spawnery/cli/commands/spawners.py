"""``spawnery spawners``: what is installed, which one is selected and why, their settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options.group import LazyGroup

if TYPE_CHECKING:
    from spawnery.cli.printing.tables import Row
    from spawnery.loading.discovery import Installed, LoadedSpawner
    from spawnery.settings.schema import Origin, Settings


@click.group(
    "spawners",
    cls=LazyGroup,
    invoke_without_command=True,
    short_help="List what is installed, which is selected and why.",
)
@click.option("--load", is_flag=True, help="Import each one too, and say what fails.")
@common.on_command
@pass_app
@click.pass_context
def command(ctx: click.Context, app: App, *, load: bool) -> None:
    """List spawners and extensions that are installed; say which spawner is selected and why.

    None of them is imported, unless --load asks for it.
    """
    if ctx.invoked_subcommand is not None:
        return
    from spawnery.cli import output

    selected, why = _selected(app)
    rows = _rows(load=load, selected=selected)
    if app.json:
        output.document({"selected": selected, "why": why, "installed": rows})
        return
    _table(rows)
    app.talk(why)
    if not load:
        app.talk("nothing was imported; --load tries each")


def _selected(app: App) -> tuple[str | None, str]:
    from spawnery.errors import SpawnerError

    try:
        choice = app.choose()
    except SpawnerError as error:
        return None, f"no spawner is selected: {error}"
    return choice.name, choice.note or f"selected: {choice.name} (from {choice.origin})"


def _rows(*, load: bool, selected: str | None) -> list[dict[str, Any]]:
    from spawnery.loading import discovery

    spawners = discovery.installed()
    names = [item.name for item in spawners]
    rows = []
    for item in (*spawners, *discovery.installed(discovery.EXTENSIONS)):
        spawner = item.group == discovery.SPAWNERS
        row = _row(item, kind="spawner" if spawner else "extension")
        row["selected"] = spawner and item.name == selected
        if spawner and names.count(item.name) > 1:
            row["problem"] = "several distributions claim this name; uninstall all but one"
        elif load:
            row |= _loaded(item) if spawner else _imported(item)
        rows.append(row)
    return rows


def _row(item: Installed, *, kind: str) -> dict[str, Any]:
    return {
        "name": item.name,
        "kind": kind,
        "distribution": item.distribution,
        "version": item.version,
        "entry_point": item.value,
        "selected": False,
        "loaded": False,
        "summary": None,
        "problem": None,
    }


def _loaded(item: Installed) -> Mapping[str, Any]:
    from spawnery.errors import SpawnerError
    from spawnery.loading import discovery

    try:
        plugin = discovery.load_spawner(item.name, origin="spawners --load").plugin
    except SpawnerError as error:
        return {"problem": str(error)}
    return {"loaded": True, "summary": plugin.summary}


def _imported(item: Installed) -> Mapping[str, Any]:
    from spawnery.errors import SpawnerError
    from spawnery.loading import discovery

    try:
        discovery.imported(item)
    except SpawnerError as error:
        return {"problem": str(error)}
    return {"loaded": True}


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    from spawnery.cli.printing import tables

    columns = ("", "NAME", "KIND", "DISTRIBUTION", "VERSION", "STATE", "ABOUT")
    tables.show(columns, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> Row:
    from spawnery.cli.printing import tables

    state = "failed" if row["problem"] else "ok" if row["loaded"] else "installed"
    about = row["problem"] or row["summary"] or ""
    facts = (row["name"], row["kind"], row["distribution"], row["version"])
    return ("*" if row["selected"] else "", *facts, tables.state(state), about)


@command.command("show")
@click.argument("name")
@common.on_command
@pass_app
def show(app: App, name: str) -> None:
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
        _show_document(loaded, found)
    else:
        _show_tables(loaded, found)


def _show_document(loaded: LoadedSpawner, found: Settings) -> None:
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


def _show_tables(loaded: LoadedSpawner, found: Settings) -> None:
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
