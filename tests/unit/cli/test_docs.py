"""docs/cli.md says what the command does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from spawnery.cli import exits
from spawnery.cli.root import COMMANDS, root

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def options(command: click.Command) -> Iterator[str]:
    """Return the names of a command's options, and those of its commands."""
    for param in command.params:
        if isinstance(param, click.Option):
            yield from param.opts
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from options(found)


@pytest.mark.parametrize("name", sorted(set(options(root))))
def test_every_option_is_on_the_page(name: str) -> None:
    """Long and short ones."""
    assert f"`{name}" in PAGE or f"{name} " in PAGE or f"{name}]" in PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_on_the_page(name: str) -> None:
    """Each has its line in the table."""
    assert f"\n| `{name}" in PAGE


def test_every_exit_code_is_on_the_page() -> None:
    """The constants are what the table lists."""
    codes = {value for value in vars(exits).values() if type(value) is int}
    assert codes == {0, 1, 124, 125, 126, 127, 130, 141}
    assert all(f"\n| {code} |" in PAGE for code in codes)
