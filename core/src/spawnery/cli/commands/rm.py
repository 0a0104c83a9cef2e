"""``spawnery rm``: remove jobs that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options.params import JOB_ID

if TYPE_CHECKING:
    from spawnery.spawner import Spawner


@click.command("rm", short_help="Remove ended jobs: their ids are free again.")
@click.argument("job_ids", type=JOB_ID, nargs=-1, required=True, metavar="JOB_ID...")
@click.option("-f", "--force", is_flag=True, help="Running ones too: they are killed first.")
@common.on_command
@pass_app
def command(app: App, job_ids: tuple[str, ...], *, force: bool) -> int:
    """Remove ended jobs, with their log and record: their ids are free again."""
    from spawnery.cli.each import for_each

    def remove(spawner: Spawner, job_id: str) -> None:
        from spawnery.cli import output

        spawner.remove(job_id, force=force)
        if app.json:
            output.json_line({"job_id": job_id, "removed": True})
        else:
            output.line(job_id)

    return for_each(app, job_ids, remove)
