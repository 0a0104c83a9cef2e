"""Who is next: pure. Room is shared between people before anybody's second job starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from spawnery_dispatcher.config import Limits
from spawnery_dispatcher.models import Ask


def order(waiting: Sequence[Ask], running: Iterable[Ask]) -> list[Ask]:
    """Return the waiting jobs in the order in which they are to start.

    Each person's jobs keep their order; between people, whoever has fewer (running, and already
    placed in this order) is next, and among equals who asked first.

    Args:
        waiting: By the time of their asking.
        running: What runs now.
    """
    load = Counter(ask.user for ask in running)
    left = list(waiting)
    placed: list[Ask] = []
    while left:
        chosen = min(left, key=lambda ask: load[ask.user])
        left.remove(chosen)
        load[chosen.user] += 1
        placed.append(chosen)
    return placed


def startable(waiting: Sequence[Ask], running: Sequence[Ask], limits: Limits) -> list[Ask]:
    """Return the waiting jobs that may start now, in their order.

    A job that one limit holds back does not hold back others behind it.

    Args:
        waiting: By the time of their asking.
        running: What runs now.
        limits: How much may run.
    """
    users = Counter(ask.user for ask in running)
    projects = Counter(ask.project for ask in running)
    room = limits.jobs - len(running)
    chosen: list[Ask] = []
    for ask in order(waiting, running):
        if len(chosen) >= room:
            break
        fits = users[ask.user] < limits.per_user and projects[ask.project] < limits.per_project
        if fits:
            users[ask.user] += 1
            projects[ask.project] += 1
            chosen.append(ask)
    return chosen
