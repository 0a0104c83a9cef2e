"""The fake spawner keeps every promise, wherever its engine lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from http_fake import HttpBench
from spawnery.testing import SpawnerContract
from spawnery.testing.fake.bench import AutoRemoving, AutoRemovingFile, FakeBench, FakeFileBench
from spawnery.testing.suites.p1_identity import Identity
from spawnery.testing.suites.p6_leaks import Leaks


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


class TestFakeOverHttp(Identity, Leaks):
    """Engine behind HTTP: its requests and their callers can be struck from outside."""

    __test__ = True

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[HttpBench]:
        """Make a server, a proxy and an engine of its own for each test."""
        made = HttpBench(tmp_path)
        yield made
        made.close()
