"""What the conformance suites of several engines share."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import pytest
from private_docker import PrivateDocker


@pytest.fixture(scope="session")
def second_docker() -> Iterator[Callable[[], str]]:
    """Start another Docker engine when it is first asked for; its address is returned."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def address() -> str:
            return stack.enter_context(PrivateDocker()).address

        yield address
