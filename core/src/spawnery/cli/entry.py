"""``main``: runs the command, and turns every way it can end into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from spawnery.cli import exits, failure
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
    except click.Abort:
        return exits.INTERRUPTED
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except click.ClickException as error:
        app.json = app.json or "--json" in _before_dashes(args)
        return _usage(app, error)
    except SpawnerError as error:
        failure.tell_error(app, error)
        return exits.of_error(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        return exits.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - a person gets a line, not a traceback
        failure.tell_bug(app, error)
        return exits.SPAWNER
    return result if isinstance(result, int) else exits.OK


def _before_dashes(args: list[str]) -> list[str]:
    return args[: args.index("--")] if "--" in args else args


def _usage(app: App, error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    message = error.format_message().rstrip()
    failure.tell_usage(app, message[:1].lower() + message[1:], f"{path} -h")
    return exits.SPAWNER


def _flushed(code: int) -> int:
    """Flush stdout now: at exit, Python would print a traceback for a reader that is gone."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or exits.BROKEN_PIPE
    return code
