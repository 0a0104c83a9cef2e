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
from collections.abc import Sequence
from pathlib import Path

from spawnery import JobSpec, Spawner

JOBS = 100
SECONDS = 10.0


def memory(pids: Sequence[int], key: str) -> float:
    """Return the mean of a line of smaps_rollup, in MiB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{key}:"):
                total += int(line.split()[1])
    return total / len(pids) / 1024


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


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {"PATH": os.environ["PATH"], "HOME": name, "SPAWNERY_STATE_DIR": name}
        with Spawner.open("local", environ=environ) as spawner:
            began = time.monotonic()
            for number in range(JOBS):
                spawner.spawn(JobSpec(job_id=f"job-{number}", command=("sleep", "600")))
            spawning = (time.monotonic() - began) / JOBS
            plain = bare(JOBS)
            pids, others = supervisors(folder), [process.pid for process in plain]
            time.sleep(1)
            print(f"{JOBS} jobs                        supervisor   bare python")
            for key in ("Pss", "Private_Dirty", "Rss"):
                print(
                    f"{key + ', MiB each':28}{memory(pids, key):14.2f}{memory(others, key):14.2f}"
                )
            before, own = processor(pids), time.process_time()
            time.sleep(SECONDS)
            used, watching = processor(pids) - before, time.process_time() - own
            print(f"processor, all supervisors  {used / SECONDS:14.2%}")
            print(f"processor, tracker and watch{watching / SECONDS:14.2%}")
            print(f"threads of the tracker      {threading.active_count():14d}")
            print(f"time of one spawn, ms       {spawning * 1000:14.1f}")
            for process in plain:
                process.kill()
                process.wait()
            for number in range(JOBS):
                spawner.stop(f"job-{number}", grace_seconds=0)


if __name__ == "__main__":
    main()
