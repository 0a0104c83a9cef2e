"""``spawnery reap``: end what is past its limits, remove what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery.lifecycle.reaper import Decision


@click.command(
    "reap",
    short_help="Enforce limits, remove what is left over.",
    epilog=common.examples("spawnery reap --dry-run", "*/5 * * * *  spawnery reap -q    (crontab)"),
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and why.")
@common.on_command
@pass_app
def command(app: App, *, dry_run: bool) -> int:
    """Enforce deadlines and retention, and remove what crashes left behind.

    Safe to run at any time, from cron too: it touches only what this instance owns. Each line
    says what was done with a job, and why. The exit code is 125 when something failed.
    """
    from spawnery.cli import exits, output
    from spawnery.cli.printing import encode

    with app.open() as spawner:
        decisions = spawner.reap(dry_run=dry_run)
    if app.json:
        output.document(encode.plain(decisions))
    else:
        _table(app, [d for d in decisions if dry_run or app.verbose or d.action != "keep"])
    return exits.SPAWNER if any(d.error for d in decisions) else exits.OK


def _table(app: App, decisions: Sequence[Decision]) -> None:
    from spawnery.cli.printing import tables

    if not decisions:
        app.talk("nothing to do")
        return
    rows = [
        (
            decision.job_id,
            str(decision.action),
            tables.state(_done(decision)),
            decision.reason + (f" - {decision.error}" if decision.error else ""),
        )
        for decision in decisions
    ]
    tables.show(("JOB ID", "ACTION", "DONE", "REASON"), rows)


def _done(decision: Decision) -> str:
    if decision.error:
        return "failed"
    return "yes" if decision.done else "no"
