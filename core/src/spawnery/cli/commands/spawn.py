"""``spawnery spawn``: start a job and leave it alone."""

from __future__ import annotations

from typing import Any

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options import job_flags as jobflags
from spawnery.cli.options.dialects import JobCommand


@click.command(
    "spawn",
    cls=JobCommand,
    short_help="Start a job in the background and print its id.",
    context_settings=jobflags.CONTEXT,
    epilog=common.examples(
        "spawnery spawn --job-id nightly --retention-seconds 1d -- ./nightly.sh",
        "spawnery logs -f nightly",
    ),
)
@jobflags.job_flags
@common.on_command
@pass_app
def command(app: App, /, **flags: Any) -> None:
    """Start a job, print its id and leave it alone.

    The ended job is kept for 15 minutes unless --retention-seconds says otherwise.
    """
    from spawnery.cli import advice, output
    from spawnery.cli.options.job_spec import DETACHED_RETENTION_SECONDS, spec_of
    from spawnery.cli.printing import encode
    from spawnery.cli.printing.progress import Progress

    spec = spec_of(app, flags, retention_seconds=DETACHED_RETENTION_SECONDS)
    progress = Progress(app, spec.job_id)
    with advice.added(app, spec), app.open([progress], creates=True) as spawner:
        try:
            handle = spawner.spawn(spec)
        finally:
            progress.close()
    if app.json:
        output.document(encode.plain(handle))
        return
    if not handle.created:
        app.talk(f"{handle.job_id} was spawned before; nothing new is run")
    output.line(handle.job_id)
