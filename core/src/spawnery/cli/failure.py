"""How an error is told: lines for a person, or one JSON object."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from spawnery.cli import output
from spawnery.cli.printing import fields

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.errors import SpawnerError


def tell_error(app: App, error: SpawnerError) -> None:
    """Print an error of ours on stderr."""
    field = getattr(error, "field", None)
    hint = error.hint if app.json else fields.hint(app, error.hint or "")
    _tell(
        app,
        message=error.message if app.json else fields.message(app, error.message, field),
        cause=error.cause,
        hint="\n".join(filter(None, [hint, *app.advice])) or None,
        job_id=error.job_id,
        field=field,
        retryable=error.retryable,
    )


def tell_usage(app: App, message: str, hint: str | None) -> None:
    """Print what is wrong with the command line itself."""
    _tell(app, message=message, cause="usage", hint=hint)


def tell_output(app: App, error: Exception) -> None:
    """Print that our output cannot be written."""
    _tell(app, message=str(error), cause="output")


def tell_bug(app: App, error: BaseException) -> None:
    """Print an exception that nobody foresaw: one line, and the traceback when verbose."""
    if app.verbose:
        import traceback

        output.say("".join(traceback.format_exception(error)).rstrip())
    text = " ".join(str(error).split()) or "no message"
    _tell(
        app,
        message=f"a bug in spawnery or a plugin: {type(error).__name__}: {text}",
        cause="bug",
        hint=None if app.verbose else "run it again with -v for the traceback, and report it",
    )


def _tell(
    app: App,
    *,
    message: str,
    cause: str,
    hint: str | None = None,
    job_id: str | None = None,
    field: str | None = None,
    retryable: bool = False,
) -> None:
    if app.json:
        found: dict[str, Any] = {"cause": cause, "message": message, "hint": hint}
        found |= {"job_id": job_id, "field": field, "retryable": retryable}
        output.say(json.dumps({"error": found}))
        return
    colour = output.coloured(sys.stderr, app.environ)
    mark = output.paint("error:", "red", on=colour)
    output.say(f"{mark} {output.printable(message)}")
    for line in (hint or "").splitlines():
        output.say(f"hint: {output.printable(line)}")
