"""Local jobs of the version before this one, upgraded while they run."""

from __future__ import annotations

import os
import sys

import pytest
from job_calls import finished_program
from spawnery import Spawner
from upgrade_cases import UpgradeCases

LIMIT = 120


class LocalCase:
    """A state directory of one test, for both versions."""

    def __init__(self, folder):
        self.folder = folder
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SPAWNER_TYPE": "local",
            "SPAWNERY_STATE_DIR": str(folder / "state"),
            "SPAWNERY_SETTLE_SECONDS": "0.5",
        }

    def open(self):
        """Open a spawner of this version."""
        return Spawner.open(environ=self.environ)

    def cli(self, *words, **variables):
        """Run the command to its end."""
        return finished_program(
            [sys.executable, "-m", "spawnery", *words],
            folder=self.folder,
            environ={**self.environ, **variables},
            patience=LIMIT,
        )


@pytest.fixture
def case(tmp_path):
    """A state directory of one test."""
    found = LocalCase(tmp_path)
    yield found
    with found.open() as spawner:
        for status in spawner.list():
            spawner.remove(status.job_id, force=True)


class TestUpgrade(UpgradeCases):
    """On this machine."""

    image = ()
