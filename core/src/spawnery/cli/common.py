"""The global options, accepted before the command and after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from spawnery.cli.app import App

F = TypeVar("F", bound=Callable[..., Any])


def _app(ctx: click.Context) -> App:
    app = ctx.find_object(App)
    if app is None:
        app = ctx.obj = App()
    return app


def _set_attribute(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and param.name:
        setattr(_app(ctx), param.name, value)


def _set_flags(ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> None:
    for pair in value:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            message = f"{pair!r} must be KEY=VALUE, for example docker.network=jobs"
            raise click.BadParameter(message)
        _app(ctx).flags[key] = text


def _set_state_dir(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:
        _app(ctx).flags["state_dir"] = value


def _option(*names: str, callback: Callable[..., None] = _set_attribute, **extra: Any) -> Any:
    return lambda hidden: click.option(
        *names, callback=callback, expose_value=False, is_eager=True, hidden=hidden, **extra
    )


_GLOBAL = (
    _option("--spawner", metavar="NAME", help="The spawner to use, over SPAWNER_TYPE."),
    _option(
        "--config",
        type=click.Path(path_type=Path),
        help="Settings file, over SPAWNERY_CONFIG and ./spawnery.toml.",
    ),
    _option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_set_flags,
        help="One setting, over environment and file; may be repeated.",
    ),
    _option(
        "--state-dir",
        metavar="FOLDER",
        callback=_set_state_dir,
        help="Where records (and local jobs) are kept.",
    ),
    _option("-v", "--verbose", is_flag=True, help="Say more, with tracebacks of bugs."),
)
_TALK = (
    _option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but warnings and errors."),
    _option("--json", is_flag=True, help="JSON on stdout, errors as JSON on stderr."),
)


def examples(*lines: str, title: str = "Examples:") -> str:
    """Return an epilog whose lines stay as they are: click folds what has no such mark above."""
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])


def on_root(function: F) -> F:
    """Add the global options to the root command."""
    return _add(function, (*_GLOBAL, *_TALK), hidden=False)


def on_command(function: F) -> F:
    """Add the global options to a command; its help shows only ``-q`` and ``--json``."""
    return _add(_add(function, _GLOBAL, hidden=True), _TALK, hidden=False)


def _add(function: F, options: tuple[Any, ...], *, hidden: bool) -> F:
    for option in reversed(options):
        function = option(hidden)(function)
    return function
