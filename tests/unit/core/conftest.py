"""A spawner on a fake engine of its own: nothing is mocked, and no process is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from spawnery import JobHandle, JobSpec, Spawner
from spawnery.contract import JobRecords
from spawnery.records.memory import MemoryRecords
from spawnery.testing.fake import FakeEngine, declare

INSTANCE = "tests"


@frozen(kw_only=True)
class Fake:
    """A spawner, the engine behind it and its records."""

    engine: FakeEngine
    spawner: Spawner
    records: JobRecords

    def spawn(self, *words: str, fake: dict[str, Any] | None = None, **fields: Any) -> JobHandle:
        """Spawn a job with this script."""
        options = {"fake": fake} if fake else {}
        spec = JobSpec(image="img", command=list(words), options=options, **fields)
        return self.spawner.spawn(spec)

    def there(self, job_id: str) -> bool:
        """Tell whether the engine has the object of a job."""
        return f"agentsmith-{job_id}" in self.engine.objects()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Callable[..., Fake]]:
    """Open spawners on fake engines; settings by name."""
    opened: list[Spawner] = []

    def make(
        *extensions: object,
        engine: FakeEngine | None = None,
        records: JobRecords | None = None,
        **settings: Any,
    ) -> Fake:
        engine = engine or FakeEngine()
        records = records or MemoryRecords()
        environ = {
            "SPAWNERY_STATE_DIR": str(tmp_path / "state"),
            "SPAWNERY_INSTANCE": INSTANCE,
            **{f"SPAWNERY_{key.upper()}": str(value) for key, value in settings.items()},
        }
        spawner = Spawner.open(
            plugin=declare(engine), records=records, environ=environ, extensions=extensions
        )
        opened.append(spawner)
        return Fake(engine=engine, spawner=spawner, records=records)

    yield make
    for spawner in opened:
        spawner.close()
