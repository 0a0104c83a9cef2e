"""``spawnery schema``: the JSON Schema of the job file."""

from __future__ import annotations

import click

from spawnery.cli import common


@click.command("schema", short_help="Print the JSON Schema of the job file.")
@common.on_command
def command() -> None:
    """Print the JSON Schema of the job file, for editors and checkers."""
    from spawnery.cli import output
    from spawnery.jobfile.reader import json_schema

    output.document(json_schema())
