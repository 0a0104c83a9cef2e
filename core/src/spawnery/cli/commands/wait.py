"""``spawnery wait``: wait for the end of a job."""

from __future__ import annotations

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options.params import DURATION, JOB_ID


@click.command("wait", short_help="Wait for the end of a job, exit as it does.")
@click.argument("job_id", type=JOB_ID)
@click.option("--timeout", type=DURATION, help="Wait no longer (the job goes on; exit code 125).")
@common.on_command
@pass_app
def command(app: App, job_id: str, *, timeout: float | None) -> int:
    """Wait for the end of a job and exit with its exit code, as run does."""
    from spawnery.cli import exits, output
    from spawnery.cli.printing import ending
    from spawnery.cli.waiting import Waiting

    with app.open() as spawner:
        # An engine that goes away later is waited for; one that is not there now is an error.
        spawner.status(job_id)
        with Waiting(app, spawner, job_id):
            outcome = spawner.wait(job_id, timeout)
    if app.json:
        output.document(ending.record(job_id, outcome))
    else:
        ending.tell(app, job_id, outcome)
    return exits.of_outcome(outcome)
