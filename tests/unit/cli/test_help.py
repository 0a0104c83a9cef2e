"""What -h prints: examples stand on lines of their own, and each one is a command that we take."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from spawnery.cli.app import App
from spawnery.cli.root import root


def commands(group: click.Group, path: str = "spawnery") -> Iterator[tuple[str, click.Command]]:
    """Return all commands below a group by what one types."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield f"{path} {name}", found
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")


COMMANDS = {"spawnery": root, **dict(commands(root))}
EPILOGS = {path: command for path, command in COMMANDS.items() if command.epilog}
EXAMPLES = [
    line.strip()
    for command in EPILOGS.values()
    for line in (command.epilog or "").splitlines()
    if line.strip().startswith("spawnery ")
]


def text_of(command: click.Command, path: str) -> str:
    """Return the help of a command as a narrow terminal shows it."""
    context = click.Context(command, info_name=path, obj=App({}), terminal_width=80)
    return command.get_help(context)


@pytest.mark.parametrize("path", COMMANDS)
def test_no_mark_for_click_is_left(path: str) -> None:
    """Neither the control character nor the two letters that a raw docstring makes of it."""
    text = text_of(COMMANDS[path], path)
    assert "\b" not in text
    assert "\\b" not in text


@pytest.mark.parametrize("path", EPILOGS)
def test_lines_below_the_options_stay_as_they_are(path: str) -> None:
    """Nothing is folded into a paragraph."""
    shown = {line.strip() for line in text_of(EPILOGS[path], path).splitlines()}
    for line in (EPILOGS[path].epilog or "").splitlines():
        assert line.strip("\b ") in shown


def test_the_commands_that_start_something_have_examples() -> None:
    """They have the most options."""
    assert {"spawnery run", "spawnery spawn", "spawnery completion"} <= set(EPILOGS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_taken(example: str) -> None:
    """Each option and argument of them exists."""
    _, name, *args = shlex.split(example)
    command = COMMANDS[f"spawnery {name}"]
    with command.make_context(name, args, obj=App({})) as context:
        assert context.params
