"""What the global options said, and the ways to talk that depend on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spawnery.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery.discovery import Choice
    from spawnery.spawner import Spawner


class App:
    """One call of the command: its global options, filled in while click parses them."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ
        self.spawner: str | None = None
        self.config: Path | None = None
        self.flags: dict[str, str] = {}
        self.verbose = False
        self.quiet = False
        self.json = False

    def talk(self, text: str) -> None:
        """Say something on stderr, unless told to be quiet."""
        if not self.quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Say something on stderr that must be heard."""
        output.write(output.printable(text) + "\n", sys.stderr)

    def warn(self, text: str) -> None:
        """Say a warning on stderr, quiet or not."""
        mark = output.paint("warning:", "yellow", on=output.coloured(sys.stderr, self.environ))
        output.write(f"{mark} {output.printable(text)}\n", sys.stderr)

    def choose(self) -> Choice:
        """Return which spawner to use and why, saying so when nobody chose it.

        Raises:
            ConfigurationError: A setting is wrong, or nothing tells which spawner to use.
        """
        from spawnery import discovery, settings  # noqa: PLC0415 - cold start

        installed = tuple(found.name for found in discovery.installed())
        loaded = settings.load(
            self.environ, config_file=self.config, flags=self.own_flags(), installed=installed
        )
        return discovery.choose(loaded, fallback_local=True)

    def open(self, extensions: Sequence[object] = ()) -> Spawner:
        """Open the chosen spawner.

        Raises:
            SpawnerError: It is not installed, cannot be loaded or set up.
        """
        from spawnery.cli.talk import log_to_stderr  # noqa: PLC0415 - cold start
        from spawnery.spawner import Spawner  # noqa: PLC0415 - cold start

        choice = self.choose()
        if choice.note:
            self.talk(choice.note)
        log_to_stderr(self)
        return Spawner.open(
            choice.name,
            environ=self.environ,
            config_file=self.config,
            flags=self.flags,
            extensions=extensions,
        )

    def own_flags(self) -> Mapping[str, Any]:
        """Return the settings given as flags that are core's, for before the spawner is known."""
        return {key: value for key, value in self.flags.items() if "." not in key}


pass_app = click.make_pass_decorator(App)
