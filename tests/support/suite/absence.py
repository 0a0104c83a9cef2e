"""What happens to a test that lacks an engine or a program: skipped, or failed in CI."""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

ABSENT: Final = "engine absent: "
BRING: Final = "make engines"


def required() -> bool:
    """Tell whether what is absent is a failure."""
    return os.environ.get("SPAWNERY_TEST_REQUIRE_ENGINES", "") == "1"


def absent(name: str, reason: str) -> NoReturn:
    """Skip the test that asks, with the command that brings what is absent; in CI it fails."""
    text = f"{ABSENT}{name}: {reason}; bring it with: {BRING}"
    if required():
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
