"""What a Kubernetes job costs over ``BatchV1Api`` of the ``kubernetes`` package, in the same run.

Raw requests with urllib3 stand beside both: what the cluster itself takes.

Needs a cluster (``make engines``), where it makes a namespace of its own, and removes it. Most Jobs
here are suspended: what is measured is ours and the API server's, not the node's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from kube_raw import PackageClient, RawCluster
from kube_rivals import PEAK, rivals
from measuring import calm, quartiles, ratios, row, spread
from spawnery import JobSpec, Spawner
from spawnery.contract import LABEL_INSTANCE

sys.path.extend(map(str, Path(__file__).resolve().parents[1].glob("tests/support/*")))
from docker_images import BUSYBOX
from engine_probe import probe
from kube_place import KubePlace, kube_place

BURST = 40
TURNS = 5
ROUNDS = 8
ONE_BY_ONE = 100
WORKERS = 8
KEPT = 600
OUTCOMES = 30
LIVE = 1000
FRESH = 10
LEAST = {1: 0.75, WORKERS: 1.0}
"""Of the package's Jobs per second, by how many are made at once."""
SUSPENDED = {"kubernetes": {"suspend": True}}
FIRST_CALL = """
import json, time
began = time.perf_counter()
from spawnery import Spawner
with Spawner.open("kubernetes") as spawner:
    spawner.list()
    took = time.perf_counter() - began
print(json.dumps([took, peak()]))
"""
FIRST_OF_PACKAGE = """
import json, sys, time
began = time.perf_counter()
from kubernetes import client, config
config.load_kube_config()
client.BatchV1Api().list_namespaced_job(sys.argv[1])
took = time.perf_counter() - began
print(json.dumps([took, peak()]))
"""
TRACKED = """
import json, sys, threading, psutil
from concurrent.futures import ThreadPoolExecutor
from spawnery import JobSpec, Spawner
from spawnery.contract import LABEL_INSTANCE
image, live, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Spawner.open("kubernetes") as spawner, spawner.watch() as watch:
    def spawn(_):
        spawner.spawn(JobSpec(image=image, options={"kubernetes": {"suspend": True}}))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(spawn, range(live)))
    seen = set()
    for status in watch:
        seen.add(status.job_id)
        if len(seen) == live:
            break
    process = psutil.Process()
    ours = [c for c in process.net_connections("tcp") if c.status == "ESTABLISHED"]
    print(json.dumps([process.memory_info().rss / 1e6, threading.active_count(), len(ours)]))
"""


class Sides:
    """The two sides of each comparison, in one namespace.

    Args:
        place: The namespace.
        folder: For the spawner's state.
    """

    def __init__(self, place: KubePlace, folder: Path) -> None:
        self.place = place
        self.kubeconfig = place.kubeconfig(folder / "kubeconfig")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SPAWNERY_STATE_DIR": str(folder / "state"),
            "KUBECONFIG": self.kubeconfig,
        }
        self.spawner, self.other = self._opened(), self._opened("other")
        self.raw = self.cluster(WORKERS)
        self.package = PackageClient(self.kubeconfig, place.namespace)
        spec = JobSpec(job_id="raw", image=BUSYBOX, command=["true"], options=SUSPENDED)
        self.body: dict[str, Any] = dict(self.spawner.plan(spec).plan.engine_object)
        self._numbers = count()

    def cluster(self, connections: int) -> RawCluster:
        """Open raw connections."""
        place = self.place
        return RawCluster(
            place.server,
            place.authority,
            place.token,
            place.namespace,
            connections=connections,
        )

    def _opened(self, instance: str | None = None) -> Spawner:
        more = {} if instance is None else {"SPAWNERY_INSTANCE": instance}
        return Spawner.open("kubernetes", environ={**self.environ, **more})

    def ours(self) -> None:
        """Make a Job through the spawner, which follows it."""
        self.spawner.spawn(JobSpec(image=BUSYBOX, command=["true"], options=SUSPENDED))

    def kept(self) -> None:
        """Make a Job through a spawner that follows none."""
        spec = JobSpec(image=BUSYBOX, command=["true"], options=SUSPENDED, retention_seconds=KEPT)
        self.other.spawn(spec)

    def renew(self) -> None:
        """Open new spawners: the old ones would look what became of Jobs that are cleared."""
        self.spawner.close()
        self.other.close()
        state = f"{self.environ['HOME']}/state-{next(self._numbers)}"
        self.environ["SPAWNERY_STATE_DIR"] = state
        self.spawner, self.other = self._opened(), self._opened("other")

    def theirs(self) -> None:
        """Make the very same Job by the package."""
        self.package.create(self._named("package"))

    def bare(self) -> None:
        """Make the very same Job by a POST."""
        self.raw.create(self._named("raw"))

    def _named(self, side: str) -> dict[str, Any]:
        # Without our label: no spawner's watch is to see it.
        labels = {k: v for k, v in self.body["metadata"]["labels"].items() if k != LABEL_INSTANCE}
        name = f"{side}-{next(self._numbers)}"
        return {**self.body, "metadata": {**self.body["metadata"], "name": name, "labels": labels}}

    def clear(self) -> None:
        """Remove all Jobs, and wait until they are gone."""
        while self.raw.count():
            api = self.place.api
            api.call("DELETE", api.path("jobs"), {"propagationPolicy": "Background"})
            time.sleep(0.5)

    def close(self) -> None:
        """Let go of everything."""
        self.spawner.close()
        self.other.close()
        self.package.close()
        self.raw.close()


@contextmanager
def sides() -> Iterator[Sides]:
    """Open both sides."""
    found = probe("kubernetes")
    if found.address is None:
        sys.exit(f"no cluster: {found.reason}")
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as state,
        kube_place(found.address, Path(folder)) as place,
    ):
        made = Sides(place, Path(state))
        try:
            yield made
        finally:
            made.close()


def burst(make: Callable[[], None], pool: ThreadPoolExecutor) -> tuple[float, float]:
    """Return the wall and the processor time in seconds of ``BURST`` Jobs."""
    began, used = time.perf_counter(), time.process_time()
    for done in [pool.submit(make) for _ in range(BURST)]:
        done.result()
    taken = time.perf_counter() - began, time.process_time() - used
    time.sleep(0.05)  # what the watch still brings belongs to nobody
    return taken


def turns(
    both: Sides, sides: Sequence[tuple[str, Callable[[], None]]], pool: ThreadPoolExecutor
) -> dict[str, tuple[float, float]]:
    """Have each side make Jobs in short turns; returns seconds for each Job, wall and processor.

    Other people's work and the machine's moods meet all sides then. A first turn opens connections.
    """
    both.renew()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in sides}
    for number in range(TURNS + 1):
        for name, make in sides:
            times = burst(make, pool)
            if number:
                taken[name].append(times)
    both.renew()
    both.clear()
    jobs = TURNS * BURST
    return {
        name: (sum(wall for wall, _ in times) / jobs, sum(used for _, used in times) / jobs)
        for name, times in taken.items()
    }


def ratio(paired: list[float]) -> str:
    """Return the median of ratios with its quartiles."""
    low, middle, high = quartiles(paired)
    return f"{middle:.2f} x ({low:.2f} to {high:.2f})"


def rates(both: Sides, workers: int) -> Iterator[str]:
    """Jobs created per second over the package's, with the same number of connections.

    Ours has the records of each Job, and follows it, as whoever wants to know its end must, or
    leaves it to the cluster. The package makes the Job and no more.
    """
    found: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    sides = {"followed": both.ours, "kept": both.kept, "package": both.theirs, "raw": both.bare}
    with ThreadPoolExecutor(workers) as pool:
        for number in range(ROUNDS + 1):
            order = deque(sides.items())
            order.rotate(number)  # what is left of the one before is the cluster's work, too
            calm()
            for name, (wall, seconds) in turns(both, order, pool).items():
                if number:  # the first one warms up
                    found.setdefault(name, []).append(1 / wall)
                    used.setdefault(name, []).append(seconds)
    paired, least = ratios(found["followed"], found["package"]), LEAST[workers]
    yield row(
        f"Jobs per second, {workers} at once, followed: {spread(found['followed'], '/s', 1)}"
        f" against the package: {spread(found['package'], '/s', 1)}",
        ratio(paired),
        f"at least {least:.2f} x",
        met=statistics.median(paired) >= least,
    )
    kept = ratio(ratios(found["kept"], found["package"]))
    yield row(f"... kept: {spread(found['kept'], '/s', 1)}", kept, "", met=True)
    raw = ratio(ratios(found["raw"], found["package"]))
    yield row(f"... raw POSTs with urllib3: {spread(found['raw'], '/s', 1)}", raw, "", met=True)
    for name in sides:
        time_of_it = spread(used[name], "ms", 1e3)
        yield row(f"... processor time of the caller, {name}", time_of_it, "", met=True)


def first_call(both: Sides) -> Iterator[str]:
    """Import, client ready and first call of a fresh process, and its peak memory."""
    namespace = both.place.namespace
    pairs = [
        (
            json.loads(_python(both, PEAK + FIRST_CALL)),
            json.loads(_python(both, PEAK + FIRST_OF_PACKAGE, namespace)),
        )
        for _ in range(FRESH + 1)
    ][1:]
    for index, what, unit, scale in (
        (0, "import + ready + first call", "ms", 1e3),
        (1, "... peak memory", "MB", 1),
    ):
        ours, theirs = [a[index] for a, _ in pairs], [b[index] for _, b in pairs]
        paired = ratios(ours, theirs)
        yield row(
            f"{what}: {spread(ours, unit, scale)}"
            f" against the package: {spread(theirs, unit, scale)}",
            ratio(paired),
            "1.00 x",
            met=statistics.median(paired) <= 1.0,
        )


def outcomes(both: Sides) -> str:
    """From the news at a bare watcher that a pod has terminated to our outcome."""
    heard: dict[str, float] = {}
    bare = both.cluster(1)
    threading.Thread(target=_listen, args=(bare, heard), daemon=True).start()
    late = []
    for _ in range(OUTCOMES):
        job = both.spawner.spawn(JobSpec(image=BUSYBOX, command=["true"], retention_seconds=600))
        both.spawner.wait(job.job_id)
        known = time.perf_counter()
        while job.name not in heard:
            time.sleep(0.001)
        late.append(known - heard[job.name])
    both.clear()
    met = statistics.median(late) <= 0.05
    return row("from a pod's end to our outcome", spread(late, "ms", 1e3), "50 ms", met=met)


def _listen(bare: RawCluster, heard: dict[str, float]) -> None:
    for pod in bare.watch_pods():
        states = pod["status"].get("containerStatuses", [])
        name = pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name")
        if name is not None and any("terminated" in item["state"] for item in states):
            heard.setdefault(name, time.perf_counter())


def live(both: Sides) -> list[str]:
    """Memory, threads and connections of a process that tracks 1,000 live Jobs."""
    text = _python(both, TRACKED, BUSYBOX, str(LIVE), str(WORKERS))
    memory, threads, connections = json.loads(text)
    both.clear()
    return [
        row(f"memory with {LIVE} live Jobs", f"{memory:.0f} MB", "80 MB", met=memory < 80),
        row("... threads", str(threads), "", met=True),
        row(f"... connections ({WORKERS} spawned at once)", str(connections), "", met=True),
    ]


def _python(both: Sides, code: str, *arguments: str) -> str:
    return subprocess.run(
        (sys.executable, "-c", code, *arguments),
        check=True,
        capture_output=True,
        text=True,
        env=both.environ,
    ).stdout


def _timed(make: Callable[[], None]) -> float:
    began = time.perf_counter()
    make()
    return time.perf_counter() - began


def beside(both: Sides) -> Iterator[str]:
    """What a single Job takes through ours and through what others use."""
    yield row(
        "beside rivals, ours: one Job",
        spread([_timed(both.ours) for _ in range(ONE_BY_ONE)], "ms", 1e3),
        "",
        met=True,
    )
    everything = str(probe("kubernetes").address)
    yield from rivals(both.body, everything, both.place.namespace, count=ONE_BY_ONE)
    both.clear()


def main() -> None:
    """Print the table."""
    print(f"\n## Kubernetes, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}")
    print(f"\nkubernetes {version('kubernetes')}, urllib3 {version('urllib3')}\n")
    print("| what | median (quartiles) | limit | |\n|---|---|---|---|")
    with sides() as both:
        for measure in (
            lambda: rates(both, 1),
            lambda: rates(both, WORKERS),
            lambda: first_call(both),
            lambda: [outcomes(both)],
            lambda: live(both),
            lambda: beside(both),
        ):
            calm()
            for line in measure():
                print(line, flush=True)
            print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
