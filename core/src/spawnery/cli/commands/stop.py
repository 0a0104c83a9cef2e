"""``spawnery stop``: end jobs gracefully."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options.params import DURATION, JOB_ID

if TYPE_CHECKING:
    from spawnery.spawner import Spawner


@click.command("stop", short_help="End jobs gracefully.")
@click.argument("job_ids", type=JOB_ID, nargs=-1, required=True, metavar="JOB_ID...")
@click.option(
    "--grace", type=DURATION, help="Time between SIGTERM and SIGKILL; 0 kills at once. [10s]"
)
@common.on_command
@pass_app
def command(app: App, job_ids: tuple[str, ...], *, grace: float | None) -> int:
    """End jobs: SIGTERM, and SIGKILL when the grace is over. Prints the ids of those that ended."""
    from spawnery.cli.each import for_each

    def stop(spawner: Spawner, job_id: str) -> None:
        from spawnery.cli import output
        from spawnery.cli.printing import ending

        outcome = spawner.stop(job_id, grace_seconds=grace)
        if app.json:
            output.json_line(ending.record(job_id, outcome))
            return
        output.line(job_id)
        ending.tell(app, job_id, outcome)

    return for_each(app, job_ids, stop)
