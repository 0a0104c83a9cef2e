"""What the global options said, and the ways to talk that depend on them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spawnery.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery.loading.discovery import Choice
    from spawnery.spawner import Spawner


class App:
    """One call of the command: its global options, filled in while click parses them.

    Attributes:
        advice: Hints for the error that ends the command, beside its own.
        job_file: Whether the job comes from a file.
        mid_line: Whether what was printed last did not end its line.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ
        self.spawner: str | None = None
        self.config: Path | None = None
        self.flags: dict[str, str] = {}
        self.verbose = False
        self.quiet = False
        self.json = False
        self.job_file = False
        self.advice: Sequence[str] = ()
        self.mid_line = False

    def talk(self, text: str) -> None:
        """Say something on stderr, unless told to be quiet; programs that read JSON get none."""
        if not (self.quiet or self.json):
            self.tell(text)

    def tell(self, text: str) -> None:
        """Say something on stderr, on a line of its own."""
        if self.mid_line and output.is_terminal(sys.stderr):
            text = f"\n{text}"
        self.mid_line = False
        output.say(output.printable(text))

    def warn(self, text: str) -> None:
        """Say a warning on stderr, quiet or not."""
        mark = output.paint("warning:", "yellow", on=output.coloured(sys.stderr, self.environ))
        output.say(f"{mark} {output.printable(text)}")

    def choose(self) -> Choice:
        """Return which spawner to use and why.

        Raises:
            ConfigurationError: A setting is wrong, or nothing tells which spawner to use.
        """
        from spawnery.loading import discovery
        from spawnery.settings import schema as settings

        found = discovery.installed()
        types = [spawner.name for spawner in found]
        if self.spawner is not None:
            types.append(self.spawner)
        given = settings.load(
            self.environ, config_file=self.config, flags=self.flags, installed=types
        )
        return discovery.choose_or_local(self.spawner, given, found=found)

    def open(self, extensions: Sequence[object] = (), *, creates: bool = False) -> Spawner:
        """Open the chosen spawner.

        Args:
            extensions: Loaded beside it.
            creates: The command is about a new job: say where it runs when nobody chose that.

        Raises:
            SpawnerError: It is not installed, cannot be loaded or set up.
        """
        from spawnery.spawner import Spawner

        choice = self.choose()
        if choice.note and creates:
            self.talk(choice.note)
        _log_to_stderr(self)
        return Spawner.open(
            # A choice of the environment is made again inside, where its errors say so.
            choice.name if choice.note else self.spawner,
            environ=self.environ,
            config_file=self.config,
            flags=self.flags,
            extensions=extensions,
        )


class _Talk(logging.Handler):
    """Says warnings of the package as warnings of the command."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        try:
            text = record.getMessage()
            if record.levelno >= logging.WARNING:
                self._app.warn(text)
            else:
                self._app.tell(text)
        except Exception:  # noqa: BLE001 - logging's own way with what fails here
            self.handleError(record)


def _log_to_stderr(app: App) -> None:
    """Send the package's log to stderr: warnings, and with ``-v`` everything."""
    logger = logging.getLogger("spawnery")
    logger.handlers[:] = [_Talk(app)]
    logger.setLevel(logging.DEBUG if app.verbose else logging.WARNING)
    logger.propagate = False


pass_app = click.make_pass_decorator(App)
