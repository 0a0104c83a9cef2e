"""What an operator sets: in the environment under ``PREFIX``, in spawnery.toml under ``NAME``."""

from __future__ import annotations

import shlex
from typing import Final

from attrs import frozen
from spawnery.contract import setting

NAME: Final = "shellhost"
"""The value of ``SPAWNER_TYPE``."""
PREFIX: Final = "SPAWNERY_SHELLHOST_"


def _words(value: str) -> str | None:
    try:
        shlex.split(value)
    except ValueError as error:
        return f"must be a command line ({error})"
    return None


def _above_zero(value: float) -> str | None:
    return None if value > 0 else "must be more than 0"


@frozen(kw_only=True)
class ShellSettings:
    """The settings of this spawner."""

    command: str = setting(
        "",
        check=_words,
        description="Command that starts a POSIX shell on the host, for example: ssh HOST sh -s",
    )
    folder: str = setting(
        ".spawnery-shellhost",
        description="Folder on the host for jobs; relative to the home folder there.",
    )
    environment: tuple[str, ...] = setting(
        ("HOME", "PATH", "USER", "LOGNAME", "LANG", "LC_*", "TMPDIR", "SSH_*", "DOCKER_*"),
        description="Our own variables that the command gets; * and ? match.",
    )
    connections: int = setting(
        8, check=_above_zero, description="Most commands at once, open logs and the watch left out."
    )
    poll_seconds: float = setting(
        0.5, check=_above_zero, description="Seconds between two looks at the jobs, on the host."
    )
