"""``spawnery logs``: what a job printed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options.params import JOB_ID, MOMENT, SIZE, refuse

if TYPE_CHECKING:
    from spawnery.model.outcome import JobStatus, Outcome
    from spawnery.spawner import Spawner


@click.command(
    "logs",
    short_help="Print what a job printed.",
    epilog=common.examples("spawnery logs -f nightly", "spawnery logs --since 10m nightly"),
)
@click.argument("job_id", type=JOB_ID)
@click.option("-f", "--follow", is_flag=True, help="Stay until the job ends.")
@click.option(
    "--since", type=MOMENT, metavar="WHEN", help="Leave out what is older: 10m (ago), or ISO 8601."
)
@click.option("--tail", "tail_bytes", type=SIZE, default=0, help="Only the last so many bytes.")
@click.option("--cursor", help="Go on behind this piece (the cursor that --json prints).")
@common.on_command
@pass_app
def command(
    app: App,
    job_id: str,
    *,
    follow: bool,
    since: datetime | timedelta | None,
    tail_bytes: int,
    cursor: str | None,
) -> None:
    """Print the log of a job, its stdout to stdout and its stderr to stderr, unaltered.

    With --json each piece is a line {"stream", "text" or "data_base64", "cursor", "time"}; with
    --follow the last line is the outcome.
    """
    from spawnery.cli import output
    from spawnery.cli.printing import ending
    from spawnery.cli.printing.log_copy import copy_log
    from spawnery.cli.waiting import Waiting
    from spawnery.errors import LogsUnavailable

    with app.open() as spawner:
        since = _moment(spawner, since)
        try:
            stream = spawner.logs(
                job_id, follow=follow, since=since, tail_bytes=tail_bytes, cursor=cursor
            )
            with stream, Waiting(app, spawner, job_id) as waiting:
                empty = copy_log(app, stream, before=waiting.close) == 0
        except LogsUnavailable:
            # Of a program that never ran there is nothing to miss; why it did not is the answer.
            if not _never_ran(spawner.status(job_id).outcome):
                raise
            empty = True
        if app.json and follow:
            output.json_line(ending.record(job_id, spawner.wait(job_id)))
        elif empty and not app.quiet:
            if follow:
                spawner.wait(job_id)
            _explain(app, spawner.status(job_id))


def _moment(spawner: Spawner, since: datetime | timedelta | None) -> datetime | None:
    """Return since when; so long ago is meant by the engine's clock, which the log's times are of.

    Raises:
        click.BadParameter: It is before all time.
    """
    if not isinstance(since, timedelta):
        return since
    try:
        return spawner.engine_now() - since
    except OverflowError:
        refuse("--since", f"{since} ago is before all time")


def _never_ran(outcome: Outcome | None) -> bool:
    """Tell whether a job has ended without its program."""
    from spawnery.cli import exits
    from spawnery.model.outcome import KillReason

    if outcome is None:
        return False
    return outcome.cause == KillReason.START_DEADLINE.cause or exits.never_ran(outcome)


def _explain(app: App, status: JobStatus) -> None:
    """Say why a log is empty, where the program never ran."""
    from spawnery.cli.printing import ending
    from spawnery.cli.waiting import sentence

    outcome = status.outcome
    if outcome is not None and (outcome.started_at is None or _never_ran(outcome)):
        ending.tell(app, status.job_id, outcome)
    elif status.started_at is None and not status.state.terminal:
        app.talk(sentence(app, status) or f"{status.job_id} is {status.state}: it has not started")
