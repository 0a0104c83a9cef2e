"""``spawnery spawners``: what is installed, which one is selected and why, their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.group import LazyGroup


@click.group(
    "spawners",
    cls=LazyGroup,
    lazy={"show": "spawnery.cli.commands.show"},
    invoke_without_command=True,
    short_help="List what is installed, which is selected and why.",
)
@click.option("--load", is_flag=True, help="Import each one too, and say what fails.")
@common.on_command
@pass_app
@click.pass_context
def command(ctx: click.Context, app: App, *, load: bool) -> None:
    """List the spawners that are installed, and say which one is selected and why.

    None of them is imported, unless --load asks for it.
    """
    if ctx.invoked_subcommand is not None:
        return
    from spawnery.cli import output  # noqa: PLC0415 - cold start

    selected, why = _selected(app)
    rows = _rows(app, load=load, selected=selected)
    if app.json:
        output.document({"selected": selected, "why": why, "spawners": rows})
        return
    _table(rows)
    app.talk(why)
    if not load and any(row["problem"] is None for row in rows):
        app.talk("none of them was imported; --load tries each")


def _selected(app: App) -> tuple[str | None, str]:
    from spawnery.errors import SpawnerError  # noqa: PLC0415 - cold start

    try:
        choice = app.choose()
    except SpawnerError as error:
        return None, f"no spawner is selected: {error}"
    return choice.name, choice.note or f"selected: {choice.name} (from {choice.origin})"


def _rows(app: App, *, load: bool, selected: str | None) -> list[dict[str, Any]]:
    from spawnery import discovery  # noqa: PLC0415 - cold start

    found = discovery.installed()
    names = [spawner.name for spawner in found]
    rows: list[dict[str, Any]] = []
    for spawner in sorted(found, key=lambda s: (s.name, s.distribution)):
        row: dict[str, Any] = {
            "name": spawner.name,
            "distribution": spawner.distribution,
            "version": spawner.version,
            "entry_point": spawner.value,
            "selected": spawner.name == selected,
            "loaded": False,
            "summary": None,
            "problem": None,
        }
        if names.count(spawner.name) > 1:
            row["problem"] = "several distributions claim this name; uninstall all but one"
        elif load:
            row |= _loaded(spawner.name)
        rows.append(row)
    del app
    return rows


def _loaded(name: str) -> Mapping[str, Any]:
    from spawnery import discovery  # noqa: PLC0415 - cold start
    from spawnery.errors import SpawnerError  # noqa: PLC0415 - cold start

    try:
        plugin = discovery.load_spawner(name, origin="spawners --load").plugin
    except SpawnerError as error:
        return {"problem": str(error)}
    except SystemExit as left:
        return {"problem": f"its import called sys.exit({left.code!r})"}
    return {"loaded": True, "summary": plugin.summary}


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    from spawnery.cli import tables  # noqa: PLC0415 - cold start

    tables.show(
        ("", "NAME", "DISTRIBUTION", "VERSION", "STATUS"),
        [
            (
                "*" if row["selected"] else "",
                row["name"],
                row["distribution"],
                row["version"],
                _status(row),
            )
            for row in rows
        ],
    )


def _status(row: Mapping[str, Any]) -> Any:
    from spawnery.cli.tables import Cell  # noqa: PLC0415 - cold start

    if row["problem"]:
        return Cell(row["problem"], "red")
    if row["loaded"]:
        return Cell(f"ok: {row['summary']}" if row["summary"] else "ok", "green")
    return "installed"
