"""The command ``spawnery``; its parts are imported when a command needs them."""

from __future__ import annotations

from spawnery.cli.entry import main

__all__ = ["main"]
