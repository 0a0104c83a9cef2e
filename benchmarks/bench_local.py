"""What 100 local jobs cost: memory and processor time of their supervisors, and of one watch.

The memory of a supervisor is its PSS (proc_pid_smaps_rollup(5)): its own pages, and its share of
those that it has in common with the others. The comparison is a bare interpreter that sleeps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from measuring import spread
from spawnery import JobSpec, Spawner

JOBS = 100
SECONDS = 10.0


def memory(pids: Sequence[int], key: str) -> list[float]:
    """Return a line of smaps_rollup of each process, in MiB."""
    found = []
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:")]
    return found


def processor(pids: Sequence[int]) -> float:
    """Return the processor time of processes so far, in seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def bare(count: int) -> list[subprocess.Popen[bytes]]:
    """Start bare interpreters that sleep."""
    code = "import time; time.sleep(600)"
    return [subprocess.Popen([sys.executable, "-I", "-S", "-c", code]) for _ in range(count)]


def supervisors(folder: Path) -> list[int]:
    """Return the pids of all supervisors."""
    found = folder.glob("local/jobs/*/supervisor.json")
    return [int(json.loads(path.read_bytes())["pid"]) for path in found]


def spawned(spawner: Spawner) -> list[float]:
    """Spawn all jobs, one after the other; returns what each spawn took, in seconds."""
    found = []
    for number in range(JOBS):
        began = time.monotonic()
        spawner.spawn(JobSpec(job_id=f"job-{number}", command=("sleep", "600")))
        found.append(time.monotonic() - began)
    return found


def figures(spawner: Spawner, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Measure; yields what, the figure, and the same of a bare interpreter."""
    yield "one spawn", spread(spawned(spawner), "ms", 1e3), ""
    plain = bare(JOBS)
    pids, others = supervisors(folder), [process.pid for process in plain]
    time.sleep(1)
    for what, key in (("its share of memory (PSS)", "Pss"), ("its own pages", "Private_Dirty")):
        ours, theirs = memory(pids, key), memory(others, key)
        yield what, spread(ours, "MiB", 1), spread(theirs, "MiB", 1)
        if key == "Pss":
            yield f"all {JOBS} supervisors (PSS)", f"{sum(ours):.0f} MiB", f"{sum(theirs):.0f} MiB"
            ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
            yield "... against bare python", spread(ratio, "x", 1), ""
    before, own = processor(pids), time.process_time()
    time.sleep(SECONDS)
    used, watching = processor(pids) - before, time.process_time() - own
    yield f"processor, all {JOBS} supervisors", f"{used / SECONDS:.2%}", ""
    yield f"processor, tracker and watch of {JOBS} jobs", f"{watching / SECONDS:.2%}", ""
    yield "threads of the process that tracks them", str(threading.active_count()), ""
    for process in plain:
        process.kill()
        process.wait()


def main() -> None:
    """Print the table."""
    print(f"\n## Local, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}\n")
    print("| what | median (quartiles) | bare python that sleeps |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        environ = {"PATH": os.environ["PATH"], "HOME": name, "SPAWNERY_STATE_DIR": name}
        with Spawner.open("local", environ=environ) as spawner:
            for line in figures(spawner, Path(name)):
                print(f"| {' | '.join(line)} |", flush=True)
            for number in range(JOBS):
                spawner.stop(f"job-{number}", grace_seconds=0)


if __name__ == "__main__":
    main()
