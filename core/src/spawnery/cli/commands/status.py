"""``spawnery status``: one job in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options.params import JOB_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from spawnery.cli.printing.tables import Cell
    from spawnery.model.outcome import JobStatus, Outcome


@click.command("status", short_help="Show what is known of a job.")
@click.argument("job_id", type=JOB_ID)
@common.on_command
@pass_app
def command(app: App, job_id: str) -> None:
    """Show what is known of a job."""
    from spawnery.cli import output
    from spawnery.cli.printing import encode, tables

    with app.open() as spawner:
        status = spawner.status(job_id)
        now = spawner.engine_now()
    if app.json:
        output.document(encode.plain(status))
        return
    rows = [(name, value) for name, value in _rows(app, status, now) if value]
    tables.show(("", ""), rows)
    tail = status.outcome.log_tail if status.outcome is not None else None
    if tail:
        app.talk(f"end of its log:\n{tail.rstrip()}")


def _rows(app: App, status: JobStatus, now: datetime) -> Iterator[tuple[str, str | Cell | None]]:
    from spawnery.cli.printing import fields, tables

    yield "job id", status.job_id
    yield "state", tables.state(status.state)
    if status.outcome is not None:
        yield from _ending(app, status.outcome)
    else:
        yield "cause", status.cause
        yield "message", fields.message(app, status.message or "")
        yield "hint", fields.hint(app, status.hint or "")
        yield "progress", status.progress
        yield "since", _moment(status.since, now)
    yield "accepted", _moment(status.accepted_at, now)
    ended = status.outcome
    yield "started", _moment(status.started_at or (ended.started_at if ended else None), now)
    yield "finished", _moment(ended.finished_at if ended else None, now)
    yield "deadline", _seconds(status.deadline_seconds)
    yield "start deadline", _seconds(status.start_deadline_seconds)
    yield "retention", _seconds(status.retention_seconds)
    yield "object", status.name
    yield "engine id", status.engine_id
    yield "labels", " ".join(f"{key}={value}" for key, value in sorted(status.labels.items()))


def _ending(app: App, outcome: Outcome) -> Iterator[tuple[str, str | None]]:
    from spawnery.cli.printing import fields

    yield "exit code", None if outcome.exit_code is None else str(outcome.exit_code)
    yield "cause", outcome.cause
    yield "message", fields.message(app, outcome.message)
    yield "hint", fields.hint(app, outcome.hint or "")
    yield "out of memory", "yes" if outcome.oom else None
    yield "image digest", outcome.image_digest
    yield "log tail", outcome.log_tail_missing


def _moment(moment: datetime | None, now: datetime) -> str | None:
    from spawnery.cli.printing import ages

    return None if moment is None else f"{ages.local(moment)} ({ages.age(moment, now=now)} ago)"


def _seconds(value: float | None) -> str | None:
    from spawnery.cli.printing import ages

    return None if value is None else ages.short(value)
