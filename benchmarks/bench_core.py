"""What core costs: cold start, imports, facade overhead, memory of a tracker with 1,000 jobs."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
from measuring import interleaved, python, row, spread, timed
from spawnery import JobSpec, Spawner, SpawnRequest
from spawnery.contract import Deadline, JobRecords
from spawnery.model.spec_hash import spec_hash
from spawnery.records.memory import MemoryRecords

ROUNDS = 30
SPAWNS = 300
PAUSE = 0.0005
"""Seconds before each spawn: the watch of the one before is done by then, and caches are warm."""
LIVE = 1000
HEAVY = ("docker", "kubernetes", "pydantic", "requests", "rich")


def _environ(folder: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": folder, "SPAWNERY_STATE_DIR": f"{folder}/state"}


def cold_start() -> list[str]:
    """`spawnery spawners` against bare python with click."""
    command = str(Path(sys.executable).with_name("spawnery"))
    with tempfile.TemporaryDirectory() as folder:
        environ = _environ(folder)
        ours, theirs = interleaved(
            lambda: timed(command, "spawners", environ=environ),
            lambda: python("import click", environ),
            rounds=ROUNDS,
        )
    ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
    median, times = statistics.median(ours), statistics.median(ratio)
    return [
        row("`spawnery spawners`, cold", spread(ours, "ms", 1e3), "200 ms", met=median <= 0.2),
        row("... against python + click", spread(ratio, "x", 1), "3 x", met=times <= 3),
    ]


def imports() -> list[str]:
    """`import spawnery`, and up to a first JobSpec, against bare python."""
    lines = []
    environ = {"PATH": os.environ["PATH"]}  # byte code may be written, whatever our own shell says
    for what, code, limit in (
        ("bare `import spawnery`", "import spawnery", 25),
        ("up to a first `JobSpec`", "import spawnery; spawnery.JobSpec(command=['x'])", 75),
    ):
        guard = f"; import sys; assert not {set(HEAVY)!r} & set(sys.modules)"
        ours, bare = interleaved(
            lambda code=code + guard: python(code, environ),
            lambda: python("import sys", environ),
            rounds=ROUNDS,
        )
        over = [a - b for a, b in zip(ours, bare, strict=True)]
        met = statistics.median(over) * 1e3 <= limit
        lines.append(row(what, spread(over, "ms", 1e3), f"{limit} ms", met=met))
    return lines


def _long_job() -> JobSpec:
    return JobSpec(command=["sleep:3600"])


def _direct(spawner: Spawner, spec: JobSpec) -> float:
    """Spawn through the fake's own hook: what the facade is measured against."""
    hook = spawner._parts.spawner  # noqa: SLF001 - the point of the comparison
    digest = spec_hash(spec)
    request = SpawnRequest(
        job=spec,
        spec_hash=digest,
        env={"JOB_ID": spec.job_id},
        secrets={},
        network=None,
        name=f"agentsmith-{spec.job_id}",
        labels={},
        retention_seconds=0,
        grace_seconds=10,
        tail_bytes=8192,
        deadline=Deadline.after(30),
        created=lambda _engine_id: None,
        options=spawner.plugin.options() if spawner.plugin.options else None,
    )
    time.sleep(PAUSE)
    started = time.perf_counter()
    hook.spawn(request)
    return time.perf_counter() - started


def _through(spawner: Spawner, spec: JobSpec) -> float:
    time.sleep(PAUSE)
    started = time.perf_counter()
    spawner.spawn(spec)
    return time.perf_counter() - started


def overhead(name: str, records: JobRecords | None, limit: int) -> str:
    """Facade overhead per spawn over calling the fake spawner directly."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Spawner.open("fake", environ=_environ(folder), records=records) as spawner,
    ):
        ours, direct = interleaved(
            lambda: _through(spawner, _long_job()),
            lambda: _direct(spawner, _long_job()),
            rounds=SPAWNS,
        )
    over = [a - b for a, b in zip(ours, direct, strict=True)]
    met = statistics.median(over) * 1e6 <= limit
    return row(f"facade per spawn, {name} records", spread(over, "us", 1e6), f"{limit} us", met=met)


def tracked() -> list[str]:
    """Memory and threads of a process that tracks 1,000 live jobs."""
    process = psutil.Process()
    with (
        tempfile.TemporaryDirectory() as folder,
        Spawner.open("fake", environ=_environ(folder)) as spawner,
    ):
        for _ in range(LIVE):
            spawner.spawn(_long_job())
        time.sleep(2)
        memory = process.memory_info().rss / 1e6
        watching = sum(thread.name == "spawnery-watch" for thread in threading.enumerate())
    return [
        row(f"memory with {LIVE} live jobs", f"{memory:.0f} MB", "80 MB", met=memory < 80),
        row("threads for the watch", str(watching), "1", met=watching == 1),
    ]


def main() -> None:
    """Print the table."""
    print(f"\n## Core, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}\n")
    print("| what | median (quartiles) | limit | |\n|---|---|---|---|")
    for line in (
        *tracked(),
        *cold_start(),
        *imports(),
        overhead("SQLite", None, 300),
        overhead("memory", MemoryRecords(), 100),
    ):
        print(line, flush=True)


if __name__ == "__main__":
    main()
