"""``spawnery ps``: the jobs that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spawnery.cli import common
from spawnery.cli.app import App, pass_app

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from spawnery.model.outcome import JobStatus


@click.command("ps", short_help="List the jobs.")
@click.option("-a", "--all", "ended_too", is_flag=True, help="Those that have ended too.")
@common.on_command
@pass_app
def command(app: App, *, ended_too: bool) -> None:
    """List the jobs; with -q only their ids."""
    from spawnery.cli import output
    from spawnery.cli.printing import encode

    with app.open() as spawner:
        jobs = [job for job in spawner.list() if ended_too or not job.state.terminal]
        now = spawner.engine_now()
    jobs.sort(key=lambda job: (job.accepted_at is None, job.accepted_at, job.job_id))
    if app.json:
        output.document(encode.plain(jobs))
    elif app.quiet:
        for job in jobs:
            output.line(job.job_id)
    else:
        _table(app, jobs, now=now, ended_too=ended_too)


def _table(app: App, jobs: Sequence[JobStatus], *, now: datetime, ended_too: bool) -> None:
    import sys

    from spawnery.cli import output
    from spawnery.cli.printing import ages, tables

    human = output.is_terminal(sys.stdout)
    if not jobs and human:
        app.talk("no jobs" if ended_too else "no running jobs (ended ones: spawnery ps -a)")
        return
    rows = [
        (
            job.job_id,
            tables.state(job.state),
            ages.age(job.accepted_at, now=now) if human else _time(job),
            _exit(job),
            _cause(app, job, now=now, human=human),
        )
        for job in jobs
    ]
    tables.show(("JOB ID", "STATE", "AGE", "EXIT", "CAUSE"), rows)


def _time(job: JobStatus) -> str:
    return job.accepted_at.isoformat() if job.accepted_at else ""


def _exit(job: JobStatus) -> str:
    found = job.outcome.exit_code if job.outcome is not None else None
    return "" if found is None else str(found)


def _cause(app: App, job: JobStatus, *, now: datetime, human: bool) -> str:
    from spawnery.cli.printing import ages, fields

    if job.outcome is not None:
        return job.outcome.cause
    if human and job.cause and job.message:
        far = "" if job.progress is None else f", {job.progress}"
        since = "" if job.since is None else f", for {ages.age(job.since, now=now)}"
        return f"{job.cause}: {fields.message(app, job.message)}{far}{since}"
    return job.cause or ""
