"""What to try next, by what was typed: an error knows the job, not the command line."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spawnery.errors import SpawnerError

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.model.job import JobSpec


def on_start(spec: JobSpec, cause: str) -> tuple[str, ...]:
    """Return hints for a job whose program was not found.

    Args:
        spec: The job that was typed.
        cause: Why it did not start.
    """
    if cause != "start.command_not_found" or not spec.command:
        return ()
    return tuple(_not_found(spec.command, image=spec.image))


def _not_found(command: tuple[str, ...], *, image: str | None) -> Iterator[str]:
    program = command[0]
    if len(command) == 1 and len(program.split()) > 1:
        yield (
            f"{shlex.quote(program)} is one argument, so it is the name of one program; for words"
            f" leave out the quotes, for a shell: -- sh -c {shlex.quote(program)}"
        )
    if image is not None and not program.startswith("/"):
        words = program.split() if len(command) == 1 else command
        arguments = " ".join(f"--arg {shlex.quote(word)}" for word in words)
        yield f"COMMAND replaces the image's ENTRYPOINT; as arguments of that program: {arguments}"


def on_error(spec: JobSpec, error: SpawnerError) -> tuple[str, ...]:
    """Return hints for a job that was refused.

    Args:
        spec: The job that was typed.
        error: Why.
    """
    if getattr(error, "field", None) == "image" and spec.image is None and spec.command:
        first, *rest = spec.command
        words = f" -- {shlex.join(rest)}" if rest else ""
        return (f"if {first} is the image: --image {shlex.quote(first)}{words}",)
    return on_start(spec, error.cause)


@contextlib.contextmanager
def added(app: App, spec: JobSpec) -> Iterator[None]:
    """Let our hints be told with an error of a job."""
    try:
        yield
    except SpawnerError as error:
        app.advice = on_error(spec, error)
        raise
