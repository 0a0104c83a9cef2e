"""Pytest plugin: which tests may not run at the same time, in no worker and in no other run.

``group("name")`` on a module: no two tests of the group overlap, and neither do the fixtures of its
modules, so they may use fixed names. ``alone``: no other test uses the cluster meanwhile.
Both are waited for before the time limit of the test begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from turns import turn


class HeldGroup:
    """The group that this process holds: one at most, so that no two processes wait for each other.

    It is held from one test to the next of the same group, because fixtures of a module live on
    between them.
    """

    def __init__(self) -> None:
        self._name: str | None = None
        self._stack = ExitStack()

    def take(self, name: str | None) -> None:
        """Hold this group, and no other; waits for the process that holds it."""
        if name == self._name:
            return
        self.release()
        if name is not None:
            self._stack.enter_context(turn(f"group-{name}", alone=True))
            self._name = name

    def release(self) -> None:
        """Let others have the group."""
        self._stack.close()
        self._name = None


_held = pytest.StashKey[HeldGroup]()


def group_of(item: pytest.Item | None) -> str | None:
    """Return the group of a test.

    Raises:
        UsageError: the mark names no group, or the test is in two.
    """
    names = {mark.args for mark in item.iter_markers("group")} if item is not None else set()
    if not names:
        return None
    first, *more = names
    if more or len(first) != 1:
        message = f"{item.nodeid if item else ''}: a test is in one group: group('name')"
        raise pytest.UsageError(message)
    return str(first[0])


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    config.stash[_held] = HeldGroup()
    config.addinivalue_line("markers", "alone: no other test uses the engine meanwhile")
    config.addinivalue_line("markers", "group(name): no other test of the group runs meanwhile")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of a group first and side by side: what runs in turn takes longest."""
    items.sort(key=lambda item: group_of(item) or "\U0010ffff")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Wait for the turn of a test before anything else of it begins."""
    held = item.config.stash[_held]
    held.take(group_of(item))
    engines = {name for mark in item.iter_markers("engine") for name in mark.args}
    try:
        with ExitStack() as stack:
            if "kubernetes" in engines:
                alone = item.get_closest_marker("alone") is not None
                stack.enter_context(turn("kubernetes", alone=alone))
            return (yield)
    finally:
        if group_of(nextitem) != group_of(item):
            held.release()
