"""The command ``spawnery`` itself: its global options, and the table of its commands."""

from __future__ import annotations

import click

from spawnery import __version__
from spawnery.cli import common
from spawnery.cli.options.group import LazyGroup

COMMANDS = (
    "run",
    "spawn",
    "ps",
    "status",
    "logs",
    "wait",
    "stop",
    "rm",
    "reap",
    "places",
    "plan",
    "check",
    "spawners",
    "schema",
    "completion",
)
EPILOG = """\b
Exit codes of run and wait:
  the job's own code   it ended by itself (128 + n: ended by signal n)
  124                  it ran into its deadline
  125                  spawnery could not do it: bad input, usage, engine, job lost
  126, 127             its program is not executable, was not found
  130                  it was stopped, or you pressed Ctrl-C
With --json the outcome tells a job's own 124 to 130 from ours.

\b
The spawner is chosen by --spawner or SPAWNER_TYPE; see "spawnery spawners".
The global options may also stand after the command.
"""


@click.group(
    cls=LazyGroup,
    lazy={name: f"spawnery.cli.commands.{name}" for name in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="spawnery")
@common.on_root
@click.pass_context
def root(ctx: click.Context) -> None:
    """Run a short-lived job as a container, a Kubernetes Job or a local process."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
