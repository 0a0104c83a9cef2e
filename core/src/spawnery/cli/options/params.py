"""Kinds of values on the command line: durations, moments, sizes, pairs, job ids."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from spawnery.cli.app import App
from spawnery.model.duration import FORMS, seconds_of


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds, or numbers with units."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        found = value if isinstance(value, int | float) else seconds_of(value)
        if found is None:
            self.fail(f"{value!r} is not a duration: give {FORMS}", param, ctx)
        return float(found)


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A point in time: so long ago, or ISO 8601 (without a zone: this machine's)."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        """Return a time with zone, or how long ago."""
        if isinstance(value, datetime | timedelta):
            return value
        ago = seconds_of(value)
        try:
            if ago is not None:
                return timedelta(seconds=ago)
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no point in time: give for example 10m (ago) or 2026-01-31T12:00",
                param,
                ctx,
            )


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes, in Kubernetes quantity notation."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        if isinstance(value, int):
            return value
        from spawnery.errors import InvalidSpec
        from spawnery.model import quantity as quantities

        try:
            return quantities.memory_bytes(value, field="bytes")
        except InvalidSpec as error:
            self.fail(error.message, param, ctx)


class Pair(click.ParamType):  # type: ignore[type-arg]
    """``KEY=VALUE``."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return key and value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} must be KEY=VALUE", param, ctx)
        return key, text


class JobId(click.ParamType):  # type: ignore[type-arg]
    """The id of a job; the shell completes it from the jobs that there are."""

    name = "job_id"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """List the jobs; nothing at all where that fails, for a shell is waiting."""
        del param
        app = ctx.find_object(App) or App()
        app.quiet = True
        logging.disable()
        try:
            with app.open() as spawner:
                return [
                    CompletionItem(job.job_id, help=str(job.state))
                    for job in spawner.list()
                    if job.job_id.startswith(incomplete)
                ]
        except Exception:  # noqa: BLE001 - see above
            return []


DURATION: Final = Duration()
MOMENT: Final = Moment()
SIZE: Final = Size()
PAIR: Final = Pair()
JOB_ID: Final = JobId()


def refuse(option: str, message: str, hint: str | None = None) -> NoReturn:
    """Refuse the value of an option."""
    text = message if hint is None else f"{message}\n{hint}"
    raise click.BadParameter(text, param_hint=f"'{option}'")
