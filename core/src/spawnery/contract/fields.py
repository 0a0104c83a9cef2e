"""Fields of a spawner's settings class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import field

SETTING_KEY: Final = "spawnery"
"""Of the metadata of such a field."""


def setting(
    default: Any,
    *,
    description: str,
    env: str | None = None,
    secret: bool = False,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """Make a field of a settings class.

    Args:
        default: Its value when nobody sets it.
        description: One sentence for people.
        env: Name of its environment variable instead of the one made of its own name.
        secret: Whether the value is never shown.
        check: Returns what is wrong with a value, or None.
    """
    metadata = {
        SETTING_KEY: {"description": description, "env": env, "secret": secret, "check": check}
    }
    return field(default=default, metadata=metadata)
