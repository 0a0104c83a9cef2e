"""``spawnery completion``: shell completion."""

from __future__ import annotations

import click

from spawnery.cli import common


@click.command(
    "completion",
    short_help="Print the script for shell completion.",
    epilog=common.examples(
        'bash  eval "$(spawnery completion bash)"   in ~/.bashrc',
        'zsh   eval "$(spawnery completion zsh)"    in ~/.zshrc',
        "fish  spawnery completion fish | source    in config.fish",
        title="Where it goes:",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common.on_command
def command(shell: str) -> None:
    """Print the script that completes commands, options and job ids."""
    from click.shell_completion import get_completion_class

    from spawnery.cli import output
    from spawnery.cli.root import root

    kind = get_completion_class(shell)
    if kind is None:
        message = f"this version of click has no completion for {shell}"
        raise click.ClickException(message)
    output.line(kind(root, {}, "spawnery", "_SPAWNERY_COMPLETE").source())
