"""A group whose commands are imported when they are called, and which helps with typos."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from spawnery.cli.options import dialects


class LazyGroup(click.Group):
    """A click group over a table of command name -> module that has it as ``command``."""

    def __init__(self, *args: Any, lazy: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, which is the order of a job's life."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        module = self._lazy.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        found: click.Command = import_module(module).command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or refuse with the nearest names."""
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        ours = dialects.command(name)
        if ours is not None:
            return ctx.fail(f"no such command {name!r}: it is spawnery {ours} here")
        near = difflib.get_close_matches(name, self.list_commands(ctx), n=3)
        did_you_mean = f" Did you mean {' or '.join(near)}?" if near else ""
        return ctx.fail(f"no such command {name!r}.{did_you_mean}")
