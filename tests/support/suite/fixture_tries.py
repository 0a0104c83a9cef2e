"""Pytest plugin: a shared fixture that fails by chance fails one test, not all that use it.

pytest keeps the error of a fixture of a module or session and raises it again in each test, so
that one engine that was slow to start fails dozens of tests. Here the next test makes the fixture
anew, once; a second error stands for all. The failed test runs again (``scripts/retry_tests.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

_tried = pytest.StashKey[set[int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Remember which fixtures have failed."""
    config.stash[_tried] = set()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Forget the first error of a fixture that several tests share."""
    try:
        return (yield)
    except Exception:  # pytest's own skips and failures are no Exception: they stand at once
        tried = request.config.stash[_tried]
        if fixturedef.scope != "function" and id(fixturedef) not in tried:
            tried.add(id(fixturedef))
            fixturedef.finish(request)  # type: ignore[arg-type]
        raise
