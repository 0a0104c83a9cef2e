"""``spawnery places``: where jobs of this instance live or have lived."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery.contract.records import KnownPlace
    from spawnery.spawner import Spawner


@click.command(
    "places",
    short_help="List the places where jobs live; give one up.",
    epilog=common.examples("spawnery places", "spawnery places --give-up 7c0697ac"),
)
@click.option(
    "--give-up",
    metavar="PLACE",
    help="Give up a place that is gone for good: its unfinished jobs become LOST.",
)
@click.option("-y", "--yes", is_flag=True, help="Give it up without asking.")
@common.on_command
@pass_app
def command(app: App, *, give_up: str | None, yes: bool) -> None:
    """List the places where jobs of this instance live or have lived.

    A place is a Docker engine, a namespace of a cluster, or a state directory of a machine. Jobs of
    another place are left alone: what is absent here proves nothing about them. A place that
    cannot come back (engine reinstalled, namespace deleted) is given up by its name.
    """
    from spawnery.cli import output
    from spawnery.cli.printing import encode

    with app.open() as spawner:
        places = sorted(spawner.places(), key=lambda found: (not found.here, found.key))
        if give_up is not None:
            _give_up(app, spawner, places, give_up, yes=yes)
        elif app.json:
            output.document(encode.plain(list(places)))
        elif app.quiet:
            for place in places:
                output.line(place.key)
        else:
            _table(places)


def _table(places: Sequence[KnownPlace]) -> None:
    from spawnery.cli import output
    from spawnery.cli.printing import ages, tables

    if not output.is_terminal(sys.stdout):
        tables.show((), [_cells(found) for found in places])
        return
    now = datetime.now(UTC)
    rows = [
        (
            found.key,
            "here" if found.here else "",
            str(found.unfinished),
            f"{ages.age(found.seen_at, now=now)} ago",
            _described(found),
        )
        for found in places
    ]
    tables.show(("PLACE", "", "UNFINISHED", "LAST SEEN", "WHERE"), rows)


def _cells(found: KnownPlace) -> tuple[str, ...]:
    here = "here" if found.here else ""
    seen = found.seen_at.isoformat()
    place = found.place
    return found.key, here, str(found.unfinished), seen, place.title, place.endpoint, place.id or ""


def _described(found: KnownPlace) -> str:
    place = found.place
    more = [place.endpoint] if place.title not in {"", place.endpoint} else []
    more += [f"id {place.id}"] if place.id else []
    return "\n".join([place.title or place.endpoint, *more])


def _give_up(
    app: App, spawner: Spawner, places: Sequence[KnownPlace], key: str, *, yes: bool
) -> None:
    from spawnery.cli import output

    there = next((found for found in places if found.key == key and not found.here), None)
    if there is not None and not yes:
        _ask(there)
    lost = spawner.give_up_place(key)
    if app.json:
        output.document({"place": key, "lost": list(lost)})
        return
    for job_id in lost:
        output.line(job_id)
    app.talk(f"{key} is given up; {len(lost)} unfinished jobs are LOST")


def _ask(place: KnownPlace) -> None:
    """Ask whether to go on.

    Raises:
        click.UsageError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    from spawnery.cli import output

    if not output.is_terminal(sys.stdin):
        message = f"giving up {place.key} needs --yes where nobody can be asked"
        raise click.UsageError(message)
    name = output.printable(place.place.title or place.place.endpoint)
    question = (
        f"Give up {place.key} ({name})? Its {place.unfinished} unfinished jobs become LOST;"
        " whatever still runs there is not stopped."
    )
    click.confirm(question, abort=True, err=True)
