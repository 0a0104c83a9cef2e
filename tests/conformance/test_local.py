"""The local engine keeps every promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_bench import LocalBench
from spawnery.testing import SpawnerContract


class TestLocal(SpawnerContract):
    """Processes of this machine."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LocalBench]:
        """Make a state directory of its own for each test."""
        made = LocalBench(tmp_path)
        yield made
        made.close()
