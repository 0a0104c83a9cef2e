"""The fake spawner keeps every promise, wherever its engine lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from spawnery.testing import SpawnerContract
from spawnery.testing.fake.bench import AutoRemoving, AutoRemovingFile, FakeBench, FakeFileBench


class TestFake(SpawnerContract):
    """Engine in this process."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[FakeBench]:
        """Make an engine of its own for each test."""
        made = FakeBench(tmp_path)
        yield made
        made.close()


class TestFakeInFile(SpawnerContract):
    """Engine in a file, shared by processes."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[FakeBench]:
        """Make an engine of its own for each test."""
        made = FakeFileBench(tmp_path)
        yield made
        made.close()


class TestFakeAutoRemove(SpawnerContract):
    """Engine in this process that forgets a job at its exit."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[FakeBench]:
        """Make an engine of its own for each test."""
        made = AutoRemoving(tmp_path)
        yield made
        made.close()


class TestFakeAutoRemoveInFile(SpawnerContract):
    """Engine in a file that forgets a job at its exit."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[FakeBench]:
        """Make an engine of its own for each test."""
        made = AutoRemovingFile(tmp_path)
        yield made
        made.close()
