"""``main``: runs the command, and turns every way it can end into an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from spawnery.cli import exits, failure, output
from spawnery.cli.app import App
from spawnery.cli.root import root
from spawnery.errors import SpawnerError

PROGRAM = "spawnery"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        argv: The arguments; those of the process when absent.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    app = App()
    code = _guarded(app, args)
    sys.exit(_flushed(code))


def _guarded(app: App, args: list[str]) -> int:
    try:
        result = root.main(args, prog_name=PROGRAM, standalone_mode=False, obj=app)
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a person gets a line, not a traceback
        return _told(app, args, error)
    return result if isinstance(result, int) else exits.OK


def _told(app: App, args: list[str], error: Exception) -> int:
    """Tell an error and return its exit code."""
    if isinstance(error, output.OutputError) and error.reader_gone:
        return exits.BROKEN_PIPE
    if isinstance(error, SpawnerError):
        failure.tell_error(app, error)
        return exits.of_error(error)
    if isinstance(error, click.ClickException):
        app.json = app.json or "--json" in _before_dashes(args)
        _tell_usage(app, error)
    elif isinstance(error, output.OutputError):
        failure.tell_output(app, error)
    else:
        failure.tell_bug(app, error)
    return exits.SPAWNER


def _before_dashes(args: list[str]) -> list[str]:
    return args[: args.index("--")] if "--" in args else args


def _tell_usage(app: App, error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    message = error.format_message().rstrip()
    failure.tell_usage(app, message[:1].lower() + message[1:], f"{path} -h")


def _flushed(code: int) -> int:
    """Flush stdout now: at exit, Python would print a traceback for a reader that is gone."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or (exits.BROKEN_PIPE if error.errno == errno.EPIPE else exits.SPAWNER)
    return code
