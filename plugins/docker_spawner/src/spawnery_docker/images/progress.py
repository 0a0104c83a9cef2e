"""How far a pull is, from the lines of the engine: pure but for the clock that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_EVERY_SECONDS: Final = 0.2
_LOADED: Final = frozenset(
    {"Verifying Checksum", "Download complete", "Extracting", "Pull complete", "Already exists"}
)
_DONE: Final = frozenset({"Pull complete", "Already exists"})


class _Layer:
    """One layer: its size where it is known, what of it is loaded and what is unpacked."""

    def __init__(self) -> None:
        self.total = 0
        self.loaded = 0
        self.unpacked = 0
        self.complete = False

    def add(self, status: str, detail: Any) -> None:
        """Take one line of the engine in."""
        current, total = _whole(detail, "current"), _whole(detail, "total")
        if total > 0:
            self.total = total
        if status == "Downloading":
            self.loaded = max(self.loaded, current)
        elif status in _LOADED:
            self.complete, self.loaded = True, self.total
        if status == "Extracting":
            self.unpacked = max(self.unpacked, min(current, self.total))
        elif status in _DONE:
            self.unpacked = self.total


class PullProgress:
    """Adds up what the engine says of each layer.

    Args:
        reference: The image, for the message.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._layers: dict[str, _Layer] = {}
        self._said: tuple[str, int, int] | None = None
        self._said_at = 0.0

    def add(self, line: Mapping[str, Any], *, now: float) -> bool:
        """Take one line in.

        Args:
            line: As decoded: ``status``, and ``id`` and ``progressDetail`` for a layer.
            now: A monotonic clock, in seconds.

        Returns:
            Whether it is time to tell observers, which is at most five times a second.
        """
        layer, status = line.get("id"), str(line.get("status") or "")
        if layer and not status.startswith("Pulling from"):
            self._layers.setdefault(str(layer), _Layer()).add(status, line.get("progressDetail"))
        state = (self.message, *self._amounts())
        if state == self._said:
            return False
        changed_words = self._said is None or state[0] != self._said[0]
        if not changed_words and now - self._said_at < _EVERY_SECONDS:
            return False
        self._said, self._said_at = state, now
        return True

    @property
    def message(self) -> str:
        """What is being done, for a person."""
        return f"{'unpacking' if self._unpacking else 'pulling'} {self._reference}"

    @property
    def data(self) -> Mapping[str, Any]:
        """``image`` and, where bytes are known, ``current`` and ``total`` of the step."""
        current, total = self._amounts()
        amounts = {"current": current, "total": total} if total else {}
        return {"image": self._reference, **amounts}

    @property
    def _unpacking(self) -> bool:
        return bool(self._layers) and all(layer.complete for layer in self._layers.values())

    def _amounts(self) -> tuple[int, int]:
        layers = self._layers.values()
        total = sum(layer.total for layer in layers)
        if self._unpacking:
            return sum(layer.unpacked for layer in layers), total
        return sum(layer.loaded for layer in layers), total


def _whole(detail: Any, name: str) -> int:
    value = detail.get(name) if isinstance(detail, dict) else None
    return value if isinstance(value, int) else 0
