"""The options that describe a job, named after the fields of ``JobSpec``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from spawnery.cli.options.params import DURATION, PAIR

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "-f",
        "--file",
        "job_file",
        metavar="FILE",
        type=click.Path(path_type=Path, allow_dash=True),
        help="Job file (YAML, JSON or TOML; - reads stdin). Flags win over it, field by field.",
    ),
    click.option("--job-id", metavar="ID", help="Made up when absent."),
    click.option("--image", help="Image reference."),
    click.option(
        "-e",
        "--env",
        metavar="KEY[=VALUE]",
        multiple=True,
        help="Variable of the job; without a value your own is passed on, if it is set.",
    ),
    click.option(
        "--env-file",
        "env_files",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        multiple=True,
        help="Variables from a file of KEY=VALUE lines.",
    ),
    click.option(
        "--secret",
        "secrets",
        metavar="NAME[=WHERE]",
        multiple=True,
        help="Secret variable of the job. WHERE is env:VAR (default: env:NAME), file:PATH or "
        "engine:NAME/KEY; with ? at its end it may be missing.",
    ),
    click.option("--memory-request", metavar="QUANTITY", help="For example 512Mi."),
    click.option("--memory-limit", metavar="QUANTITY", help="For example 1Gi."),
    click.option("--cpu-request", metavar="QUANTITY", help="For example 250m."),
    click.option("--cpu-limit", metavar="QUANTITY", help="For example 1.5."),
    click.option("--gpus", type=int, help="How many."),
    click.option("--ephemeral-storage", metavar="QUANTITY", help="Disk, for example 2Gi."),
    click.option("--network", help="The engine's network to join."),
    click.option(
        "-l", "--label", "labels", multiple=True, type=PAIR, help="Label on the engine's object."
    ),
    click.option("-w", "--workdir", metavar="PATH", help="Absolute path to run in."),
    click.option("-u", "--user", metavar="UID[:GID]", help="User to run as."),
    click.option(
        "--deadline-seconds",
        type=DURATION,
        help="Stop it so long after the engine accepted it (also as 15m, 1h30m).",
    ),
    click.option(
        "--start-deadline-seconds", type=DURATION, help="Give up when not running by then."
    ),
    click.option(
        "--retention-seconds",
        type=DURATION,
        help="Keep the ended job so long; 0 removes it at once.",
    ),
    click.option(
        "--pull-policy",
        type=click.Choice(["always", "if-not-present", "never"]),
        help="When to fetch the image.",
    ),
    click.option(
        "--security",
        type=click.Choice(["restricted", "baseline"]),
        help="What the job may do to its host.",
    ),
    click.option(
        "--option",
        "options",
        metavar="ENGINE.KEY=VALUE",
        multiple=True,
        help="Extra of one engine; VALUE is JSON where it can be read as that, else text.",
    ),
    click.option(
        "--arg",
        "args",
        metavar="TEXT",
        multiple=True,
        help="Argument for the image's own program, in place of COMMAND; may be repeated.",
    ),
    click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[--] [COMMAND...]"),
)
NAMES: Final = frozenset(
    {
        *("job_file", "job_id", "image", "env", "env_files", "secrets", "memory_request"),
        *("memory_limit", "cpu_request", "cpu_limit", "gpus", "ephemeral_storage", "network"),
        *("labels", "workdir", "user", "deadline_seconds", "start_deadline_seconds"),
        *("retention_seconds", "pull_policy", "security", "options", "args", "command"),
    }
)
CONTEXT: Final = {"allow_interspersed_args": False}
"""Everything from the first word that is not an option belongs to the job."""


def job_flags(function: F) -> F:
    """Add the options; click then calls the function with all of ``NAMES``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
