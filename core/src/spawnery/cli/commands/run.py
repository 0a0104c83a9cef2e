"""``spawnery run``: run a job, stream its log, return its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app
from spawnery.cli.options import job_flags as jobflags
from spawnery.cli.options.dialects import JobCommand

if TYPE_CHECKING:
    from collections.abc import Callable

    from spawnery.cli.printing.progress import Progress
    from spawnery.cli.signals import StopOnSignal
    from spawnery.cli.waiting import Waiting
    from spawnery.errors import SpawnerError
    from spawnery.model.job import JobSpec
    from spawnery.model.outcome import Outcome
    from spawnery.spawner import Spawner


@click.command(
    "run",
    cls=JobCommand,
    short_help="Run a job, stream its log, return its exit code.",
    context_settings=jobflags.CONTEXT,
    epilog=common.examples(
        "spawnery run -- sh -c 'echo hello; exit 3'",
        "spawnery run --image alpine:3.20 --memory-limit 256Mi -- cat /etc/os-release",
        "spawnery run -f job.yaml --deadline-seconds 15m",
    ),
)
@jobflags.job_flags
@common.on_command
@pass_app
def command(app: App, /, **flags: Any) -> int:
    """Run a job, stream its log and return its exit code.

    The job's stdout and stderr come out as ours, byte by byte. Ctrl-C stops the job with its
    grace, a second one kills it. The ended job is removed at once unless --retention-seconds says
    otherwise.
    """
    from spawnery.cli import advice, exits, output
    from spawnery.cli.options.job_spec import spec_of
    from spawnery.cli.printing import ending
    from spawnery.cli.printing.progress import Progress
    from spawnery.cli.signals import StopOnSignal

    spec = spec_of(app, flags, retention_seconds=None)
    progress = Progress(app, spec.job_id)
    with (
        advice.added(app, spec),
        app.open([progress], creates=True) as spawner,
        StopOnSignal(app, spawner, spec.job_id) as signals,
    ):
        outcome, missing = _follow(app, spawner, spec, progress, signals)
    if app.json:
        output.json_line(ending.record(spec.job_id, outcome))
    else:
        hints = advice.on_start(spec, outcome.cause)
        ending.tell(app, spec.job_id, outcome, advice=hints)
    if missing is not None and not exits.never_ran(outcome):
        app.warn(f"no log to follow: {missing.message}")
    return exits.of_outcome(outcome)


def _follow(
    app: App, spawner: Spawner, spec: JobSpec, progress: Progress, signals: StopOnSignal
) -> tuple[Outcome, SpawnerError | None]:
    """Return how the job ended, and why its log could not be followed to its end."""
    from spawnery.cli.waiting import Waiting

    try:
        handle = spawner.spawn(spec, follow=True)
        signals.spawned()
        if not handle.created:
            app.talk(f"{handle.job_id} was spawned before; nothing new is run")
        with Waiting(app, spawner, handle.job_id, say=progress.say) as waiting:
            missing = _copy(app, spawner, handle.job_id, _closer(progress, waiting), signals)
            return spawner.wait(handle.job_id), missing
    finally:
        progress.close()


def _closer(progress: Progress, waiting: Waiting) -> Callable[[], None]:
    """Return what is called before each piece of the log."""

    def close() -> None:
        waiting.close()
        progress.close()

    return close


def _copy(
    app: App, spawner: Spawner, job_id: str, before: Callable[[], None], signals: StopOnSignal
) -> SpawnerError | None:
    """Print the log; returns why that failed: the job's end, which often is why, comes first."""
    from spawnery.cli.output import OutputError
    from spawnery.cli.printing.log_copy import copy_log
    from spawnery.errors import SpawnerError

    try:
        with spawner.logs(job_id, follow=True) as stream:
            copy_log(app, stream, before=before)
    except OutputError as error:
        # As with any program in a pipe: nobody reads, so it ends.
        if not error.reader_gone:
            app.warn(f"{error}; stopping {job_id}")
        signals.stop()
    except SpawnerError as error:
        return error
    return None
