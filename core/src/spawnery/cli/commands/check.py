"""``spawnery check``: a doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery.contract.requests import CheckItem


@click.command("check", short_help="Diagnose the setup and suggest fixes.")
@click.option("--probe", is_flag=True, help="Run a small job too, and remove it.")
@click.option("--image", help="Image of that job, where the engine needs one.")
@common.on_command
@pass_app
def command(app: App, *, probe: bool, image: str | None) -> int:
    """Diagnose the setup and suggest fixes: what works, what does not, what to do.

    The exit code is 1 when something does not work.
    """
    from spawnery.cli import exits, output
    from spawnery.cli.printing import encode

    items = _items(app, probe=probe, image=image)
    if app.json:
        output.document(encode.plain(items))
    else:
        _table(app, items)
    return exits.FINDING if any(item.level == "failed" for item in items) else exits.OK


def _items(app: App, *, probe: bool, image: str | None) -> list[CheckItem]:
    from spawnery import __version__
    from spawnery.contract.requests import CheckItem
    from spawnery.errors import SpawnerError
    from spawnery.model.job import JobSpec

    python = f"{__version__}, Python {sys.version.split()[0]} at {sys.executable}"
    items = [CheckItem(name="spawnery", detail=python)]
    try:
        choice = app.choose()
        origin = f"{choice.name} (from: {choice.origin})"
        items.append(CheckItem(name="spawner", detail=origin))
        spec = JobSpec(image=image, command=("true",)) if image else None
        with app.open() as spawner:
            return [*items, *spawner.check(probe=probe, probe_spec=spec)]
    except SpawnerError as error:
        failed = CheckItem(name=error.cause, level="failed", detail=error.message, hint=error.hint)
        return [*items, failed]


def _table(app: App, items: Sequence[CheckItem]) -> None:
    from spawnery.cli.printing import fields, tables

    rows = [
        (
            tables.state(item.level),
            item.name,
            fields.message(app, item.detail)
            + (f"\nhint: {fields.hint(app, item.hint)}" if item.hint else ""),
        )
        for item in items
    ]
    tables.show(("", "CHECK", "FOUND"), rows)
