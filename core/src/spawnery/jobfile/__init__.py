"""Job files and the JSON of job specs."""

from __future__ import annotations

TYPE_CHECKING = False
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Return a name of the module that this package replaced (PEP 562)."""
        from spawnery import _compat  # noqa: PLC0415 - only for old paths

        return _compat.moved(__name__, name)
