"""Who is next: pure. Room is shared between people before anybody's second job starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.model.models import Ask

_NOBODY: Final[Mapping[str, float]] = MappingProxyType({})


def order(
    waiting: Sequence[Ask], running: Iterable[Ask], served: Mapping[str, float] = _NOBODY
) -> list[Ask]:
    """Return the waiting jobs in the order in which they are to start.

    Each person's jobs keep their order; between people, whoever has fewer (running, and already
    placed in this order) is next; among equals whose last job started longest ago, then who asked
    first.

    Args:
        waiting: By the time of their asking.
        running: What runs now.
        served: When the last job of a person started, in seconds.
    """
    load = Counter(ask.user for ask in running)
    turns = {user: (0, at) for user, at in served.items()}
    left = list(waiting)
    placed: list[Ask] = []
    while left:
        chosen = min(left, key=lambda ask: (load[ask.user], turns.get(ask.user, (0, 0.0))))
        left.remove(chosen)
        load[chosen.user] += 1
        placed.append(chosen)
        turns[chosen.user] = (1, len(placed))
    return placed


def startable(
    waiting: Sequence[Ask],
    running: Sequence[Ask],
    limits: Limits,
    served: Mapping[str, float] = _NOBODY,
) -> list[Ask]:
    """Return the waiting jobs that may start now, in their order.

    A job that one limit holds back does not hold back others behind it.

    Args:
        waiting: By the time of their asking.
        running: What runs now.
        limits: How much may run.
        served: When the last job of a person started, in seconds.
    """
    users = Counter(ask.user for ask in running)
    projects = Counter(ask.project for ask in running)
    room = limits.jobs - len(running)
    chosen: list[Ask] = []
    for ask in order(waiting, running, served):
        if len(chosen) >= room:
            break
        fits = users[ask.user] < limits.per_user and projects[ask.project] < limits.per_project
        if fits:
            users[ask.user] += 1
            projects[ask.project] += 1
            chosen.append(ask)
    return chosen
