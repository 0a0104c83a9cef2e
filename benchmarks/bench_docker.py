"""What a Docker job costs over the ``docker`` package alone, over the same socket in the same run.

Needs a Docker engine (``make engines``) and nothing else: the image is made here, of Debian's
busybox-static. ``--live`` instead tracks 1,000 running containers, in a process that has done
nothing else; it takes some minutes and 10 GB for the engine's own processes.
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from docker_raw import SOCKET, RawEngine
from docker_rivals import rivals
from measuring import calm, interleaved, row, spread
from spawnery import JobSpec, Spawner
from spawnery_docker.client import DockerClient
from spawnery_docker.reach.endpoint import Endpoint

IMAGE = "spawnery-bench/busybox:1"
ROUNDS = 100
BURST = 32
WORKERS = 8
PEAK_ROUNDS = 10
LOG_MIB = 64
LOG_ROUNDS = 5
LIVE = 1000
LIMIT = 60.0
"""Time limit of a request in seconds."""


def make_image() -> None:
    """Import an image that holds one static busybox."""
    busybox = Path("/bin/busybox").read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sh", "true", "sleep", "yes", "head", "cat"):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.mode = 0o755
            if name == "sh":
                entry.size = len(busybox)
                archive.addfile(entry, io.BytesIO(busybox))
            else:
                entry.type, entry.linkname = tarfile.LNKTYPE, "bin/sh"
                archive.addfile(entry)
    command = ("docker", "import", "-", IMAGE)
    subprocess.run(command, input=buffer.getvalue(), check=True, capture_output=True)


@contextmanager
def opened() -> Iterator[Spawner]:
    """Open a spawner with records of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "SPAWNERY_STATE_DIR": folder,
            "SPAWNERY_DOCKER_LOG_MAX_BYTES": str(512 << 20),
        }
        with Spawner.open("docker", environ=environ) as spawner:
            yield spawner


def quick_job(**fields: Any) -> JobSpec:
    """Return the job that is measured: it ends at once."""
    return JobSpec(image=IMAGE, command=["true"], **fields)


def body_of(spawner: Spawner, spec: JobSpec) -> dict[str, Any]:
    """Return the very body that the spawner would send."""
    return dict(spawner.plan(spec).plan.engine_object["body"])


class Sides:
    """The two sides of each comparison; each spawn is awaited before the next begins."""

    def __init__(self, spawner: Spawner) -> None:
        self.spawner = spawner
        self.raw = RawEngine()
        self.body = body_of(spawner, quick_job())

    def ours(self) -> float:
        """Seconds until ``spawn`` has returned."""
        began = time.perf_counter()
        job = self.spawner.spawn(quick_job())
        took = time.perf_counter() - began
        self.spawner.wait(job.job_id)
        gone(self.raw, str(job.engine_id))
        return took

    def theirs(self) -> float:
        """Seconds until create and start were answered."""
        began = time.perf_counter()
        container = self.raw.spawn(f"raw-{uuid.uuid4().hex[:12]}", self.body)
        took = time.perf_counter() - began
        gone(self.raw, container)
        return took


def gone(raw: RawEngine, container: str) -> None:
    """Wait until a container has removed itself, as the spawner's side does."""
    while raw.exists(container):
        time.sleep(0.01)


def ratio_interval(ours: list[float], theirs: list[float]) -> str:
    """Return the median of the paired ratios with its 95 % interval (order statistics)."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    half = 0.98 * len(ratios) ** 0.5
    low = ratios[max(0, int(len(ratios) / 2 - half))]
    high = ratios[min(len(ratios) - 1, int(len(ratios) / 2 + half))]
    return f"{statistics.median(ratios):.3f} x (95 %: {low:.3f} to {high:.3f})"


def wall(sides: Sides) -> list[str]:
    """Spawn wall time over create and start by the package."""
    ours, theirs = interleaved(sides.ours, sides.theirs, rounds=ROUNDS)
    met = statistics.median(a / b for a, b in zip(ours, theirs, strict=True)) <= 1.05
    return [
        row("spawn, wall time", spread(ours, "ms", 1e3), "", met=True),
        row(
            "create + start by the package, one connection", spread(theirs, "ms", 1e3), "", met=True
        ),
        row("... ratio", ratio_interval(ours, theirs), "1.05 x", met=met),
    ]


def client_cost(sides: Sides) -> list[str]:
    """Processor time of the four calls of a spawn: by our client, and by the package alone.

    It is that of the calling thread, so the watch of the spawner has no part in it.
    """
    client = DockerClient(Endpoint(kind="unix", address=SOCKET))
    query = {"stream": "1", "stdout": "1", "stderr": "1", "logs": "0"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}

    def ours() -> float:
        name = f"raw-{uuid.uuid4().hex[:12]}"
        began = time.thread_time()
        with client.within(LIMIT) as engine:
            made = engine.create_container_from_config(sides.body, name)["Id"]
        path = f"/containers/{made}"
        attached = client.hold(f"{path}/attach", query=query, headers=upgrade, timeout=LIMIT)
        waited = client.hold(f"{path}/wait", query={"condition": "next-exit"}, timeout=LIMIT)
        with client.within(LIMIT) as engine:
            engine.start(made)
        took = time.thread_time() - began
        attached.sock.close()
        waited.sock.close()
        gone(sides.raw, made)
        return took

    def theirs() -> float:
        name = f"raw-{uuid.uuid4().hex[:12]}"
        began = time.thread_time()
        made = sides.raw.create(name, sides.body)
        attached = sides.raw.attach(made)
        waited = sides.raw.wait(made)
        sides.raw.start(made)
        took = time.thread_time() - began
        attached.close()
        waited.close()
        gone(sides.raw, made)
        return took

    mine, package = interleaved(ours, theirs, rounds=ROUNDS)
    client.close()
    met = statistics.median(a / b for a, b in zip(mine, package, strict=True)) <= 1.1
    return [
        row(
            "client.py's create, attach, wait, start: processor",
            spread(mine, "ms", 1e3),
            "",
            met=True,
        ),
        row("... the package's four calls", spread(package, "ms", 1e3), "", met=True),
        row("... ratio", ratio_interval(mine, package), "1.1 x", met=met),
    ]


def whole_cost(sides: Sides) -> str:
    """Processor time of this process, all threads, for one whole spawn."""

    def spawn() -> float:
        began = time.process_time()
        job = sides.spawner.spawn(quick_job())
        took = time.process_time() - began
        sides.spawner.wait(job.job_id)
        gone(sides.raw, str(job.engine_id))
        return took

    times = [spawn() for _ in range(ROUNDS + 1)][1:]
    met = statistics.median(times) <= 0.012
    return row("a whole spawn, processor", spread(times, "ms", 1e3), "12 ms", met=met)


def burst(spawn: Callable[[], object]) -> float:
    """Return spawns per second with several workers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(spawn) for _ in range(BURST)]:
            done.result()
    return BURST / (time.perf_counter() - began)


def peak(sides: Sides) -> str:
    """Spawns per second with 8 workers over those by the package."""

    def raw_spawn() -> None:
        sides.raw.spawn(f"raw-{uuid.uuid4().hex[:12]}", sides.body)

    def settled(measure: Callable[[], float]) -> float:
        calm()
        value = measure()
        time.sleep(2)  # the containers of this burst end before the next begins
        return value

    ours, theirs = interleaved(
        lambda: settled(lambda: burst(lambda: sides.spawner.spawn(quick_job()))),
        lambda: settled(lambda: burst(raw_spawn)),
        rounds=PEAK_ROUNDS,
    )
    met = statistics.median(a / b for a, b in zip(ours, theirs, strict=True)) >= 0.95
    what = f"spawns per second, {WORKERS} workers: {spread(ours, '/s', 1)}"
    return row(
        f"{what} against {spread(theirs, '/s', 1)}",
        ratio_interval(ours, theirs),
        "at least 0.95 x",
        met=met,
    )


def follow(sides: Sides) -> str:
    """Log follow in MB/s over ``docker logs -f``."""
    script = f"yes 'a line of a log that is about as long as lines are' | head -c {LOG_MIB << 20}"
    job = sides.spawner.spawn(
        JobSpec(
            image=IMAGE,
            command=["sh", "-c", script],
            retention_seconds=600,
        )
    )
    sides.spawner.wait(job.job_id)

    def ours() -> float:
        calm()
        began = time.perf_counter()
        with sides.spawner.logs(job.job_id, follow=True) as stream:
            size = sum(len(chunk.data) for chunk in stream)
        return size / 1e6 / (time.perf_counter() - began)

    def theirs() -> float:
        calm()
        began = time.perf_counter()
        command = ("docker", "logs", "-f", job.name)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return (LOG_MIB << 20) / 1e6 / (time.perf_counter() - began)

    mine, docker = interleaved(ours, theirs, rounds=LOG_ROUNDS)
    sides.spawner.remove(job.job_id)
    met = statistics.median(a / b for a, b in zip(mine, docker, strict=True)) >= 0.8
    return row(
        f"log follow, {spread(mine, 'MB/s', 1)} against `docker logs -f`'s"
        f" {spread(docker, 'MB/s', 1)}",
        ratio_interval(mine, docker),
        "at least 0.8 x",
        met=met,
    )


def live() -> list[str]:
    """Memory and threads of a process that tracks 1,000 running containers."""
    with opened() as spawner:
        spec: Mapping[str, Any] = {"image": IMAGE, "command": ["sleep", "3600"], "network": "none"}
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = list(pool.map(lambda _: spawner.spawn(JobSpec(**spec)), range(LIVE)))
        memory = psutil.Process().memory_info().rss / 1e6
        threads = threading.active_count()
        with ThreadPoolExecutor(WORKERS) as pool:
            codes = pool.map(lambda job: spawner.stop(job.job_id, grace_seconds=0).exit_code, jobs)
            known = sum(code is not None for code in codes)
    return [
        row(f"memory with {LIVE} live containers", f"{memory:.0f} MB", "90 MB", met=memory < 90),
        row("threads of that process", str(threads), "", met=True),
        row("ends of them that were known", str(known), str(LIVE), met=known == LIVE),
    ]


def figures() -> None:
    """Print the lines of all that is measured against the package and the rivals."""
    with opened() as spawner:
        sides = Sides(spawner)
        for measure in (
            wall,
            client_cost,
            lambda s: [whole_cost(s)],
            lambda s: [peak(s)],
            lambda s: [follow(s)],
        ):
            for line in measure(sides):
                print(line, flush=True)
        for line in rivals(sides.ours, IMAGE):
            print(line, flush=True)
        sides.raw.close()


def main() -> None:
    """Print the table."""
    make_image()
    print(f"\n## Docker, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}\n")
    print(f"Load average before: {os.getloadavg()}\n")
    print("| what | median (quartiles) | limit | |\n|---|---|---|---|")
    if "--live" in sys.argv:
        print("\n".join(live()))
    else:
        figures()
    print(f"\nLoad average after: {os.getloadavg()}")


if __name__ == "__main__":
    main()
