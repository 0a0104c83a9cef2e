"""The conformance kit, whole: every promise of Spawnery, tested on this spawner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import ShellBench
from spawnery.testing import SpawnerContract


class TestContract(SpawnerContract):
    """The promises by number; see the report: pytest --spawnery-report."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[ShellBench]:
        """Make the bench of one test."""
        made = ShellBench(tmp_path)
        yield made
        made.close()
