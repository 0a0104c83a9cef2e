"""Core's leases in Redis: part of ``records``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from spawnery.records.leases import is_alive

from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.transactions import transaction

_HELD_SECONDS: Final = 86400
"""How long the list of a holder's leases outlives the last of them; a dead one renews none."""


class Leases:
    """Leases by their names in Redis; which jobs they belong to is not known here.

    Args:
        redis: A ``redis.Redis`` that decodes answers and repeats nothing by itself.
        keys: Of the instance.
    """

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    @staticmethod
    def holder(found: Collection[str | None]) -> str | None:
        """Return who of those that have leases of one job is alive."""
        return next((who for who in found if who is not None and is_alive(who)), None)

    def hold(self, pipe: Any, names: Sequence[str], holder: str, seconds: float) -> None:
        """Take or renew leases, as part of a transaction."""
        held = self._keys.held(holder)
        for name in names:
            pipe.set(name, holder, px=round(seconds * 1000))
        pipe.sadd(held, *names)
        pipe.expire(held, _HELD_SECONDS)

    def renew(self, holder: str, seconds: float) -> None:
        """Renew all of a holder; one that has run out is taken again where nobody else has it."""

        def change(pipe: Any, found: Mapping[str, str | None]) -> None:
            ours = [name for name, who in found.items() if who in {None, holder}]
            if ours:
                self.hold(pipe, ours, holder, seconds)
            if lost := found.keys() - ours:
                pipe.srem(self._keys.held(holder), *lost)

        self._change(holder, change)

    def release(self, holder: str, *names: str) -> None:
        """Give leases of a holder back, by default all."""

        def change(pipe: Any, found: Mapping[str, str | None]) -> None:
            if ours := [name for name, who in found.items() if who == holder]:
                pipe.delete(*ours)
            pipe.srem(self._keys.held(holder), *found)

        self._change(holder, change, *names)

    def _change(
        self, holder: str, write: Callable[[Any, Mapping[str, str | None]], None], *names: str
    ) -> None:
        """Change leases, by default all of a holder, in one transaction.

        ``write`` gets who has each. The list is watched: a lease that is given back meanwhile is
        not taken again.
        """
        held = self._keys.held(holder)

        def change(pipe: Any) -> None:
            chosen = names or sorted(pipe.smembers(held))
            if not chosen:
                return
            pipe.watch(*chosen)
            holders = pipe.mget(chosen)
            pipe.multi()
            write(pipe, dict(zip(chosen, holders, strict=True)))

        transaction(self._redis, change, held)
