"""Many deadlines at one moment: how late each job ends, and how the other verbs answer meanwhile.

Half of the programs ignore SIGTERM, so they end by SIGKILL when their grace is over. On Docker the
comparison is as many bare ``stop`` requests at once, by the ``docker`` package, and bare
create+start requests for a spawn meanwhile.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen
from bench_docker import IMAGE, make_image
from measuring import row
from spawnery import JobSpec, Outcome, Spawner, SpawnerError

GRACE = 5.0
LATE = 2.0
"""How long after its grace a job may end, in seconds."""
LEAD = 8.0
"""How long after the last spawn, about, the deadlines fall."""
ANSWER = 1.0
"""99th percentile of an answer of ``list``, ``status`` and ``spawn``, in seconds."""
KEPT = 900.0


@frozen(kw_only=True)
class Crowd:
    """Jobs of one engine whose deadlines fall together.

    Attributes:
        name: The spawner.
        count: How many.
        pace: Seconds that one spawn may take, so that all run before their deadlines fall.
        polite, rude: Fields of a job that ends at SIGTERM, and of one that ignores it.
    """

    name: str
    count: int
    pace: float
    polite: dict[str, Any]
    rude: dict[str, Any]

    def spec(self, number: int, deadline: float) -> JobSpec:
        """Return one of the jobs."""
        fields = self.rude if number % 2 else self.polite
        return JobSpec(
            job_id=f"crowd-{number}",
            deadline_seconds=max(1.0, deadline),
            retention_seconds=KEPT,
            **fields,
        )


SHELL = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
CROWDS = (
    Crowd(
        name="fake",
        count=500,
        pace=0.15,
        polite={"image": "img", "command": ["sleep:600"]},
        rude={"image": "img", "command": ["ignore-term", "sleep:600"]},
    ),
    Crowd(
        name="local",
        count=64,
        pace=0.5,
        polite={"command": ["sleep", "600"]},
        rude={"command": SHELL},
    ),
    Crowd(
        name="docker",
        count=64,
        pace=1.5,
        polite={"image": IMAGE, "command": ["sleep", "600"]},
        rude={"image": IMAGE, "command": SHELL},
    ),
)


def percentile(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(values)[max(0, round(len(values) * 0.99) - 1)]


def measure(crowd: Crowd) -> list[str]:
    """Run a crowd; returns the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "SPAWNERY_STATE_DIR": folder,
            "SPAWNERY_INSTANCE": f"bench-{Path(folder).name}".lower().replace("_", "-"),
            "SPAWNERY_STOP_GRACE_SECONDS": str(GRACE),
        }
        with Spawner.open(crowd.name, environ=environ) as spawner:
            try:
                return _rows(crowd, spawner)
            finally:
                for status in spawner.list():
                    spawner.remove(status.job_id, force=True)


def _rows(crowd: Crowd, spawner: Spawner) -> list[str]:
    ended: dict[str, float] = {}
    began = time.monotonic()
    # So many spawns take a while: the deadlines fall together all the same.
    due = began + LEAD + crowd.count * crowd.pace
    for number in range(crowd.count):
        spec = crowd.spec(number, due - time.monotonic())
        spawner.spawn(spec)
        if not spawner.on_end(spec.job_id, _note(ended, spec.job_id)):
            ended[spec.job_id] = time.monotonic()
    if ended or time.monotonic() > due:
        message = f"{crowd.count} spawns took too long: the deadlines did not fall together"
        raise RuntimeError(message)
    answers: dict[str, list[float]] = {"list": [], "status": [], "spawn": []}
    while time.monotonic() < due - 1:
        time.sleep(0.1)
    number = crowd.count
    while len(ended) < crowd.count:
        number += 1
        answers["list"].append(_timed(spawner.list))
        answers["status"].append(_timed(lambda: spawner.status("crowd-0")))
        extra = crowd.spec(number * 2, KEPT)
        answers["spawn"].append(_timed(lambda spec=extra: spawner.spawn(spec)))
        time.sleep(0.2)
    late = [at - due - GRACE for at in ended.values()]
    limit = GRACE + LATE
    rows = []
    if crowd.name == "docker":
        bare = bare_stops(crowd.count)
        limit = max(limit, 1.5 * bare)
        rows.append(row(f"docker: {crowd.count} bare stops at once", f"{bare:.1f} s", "", met=True))
    worst = max(late) + GRACE
    what = f"{crowd.name}: {crowd.count} deadlines at once, the last job ends after"
    rows.append(row(what, f"{worst:.1f} s", f"{limit:.1f} s", met=worst <= limit))
    for verb, values in answers.items():
        value, allowed = percentile(values), ANSWER
        if crowd.name == "docker" and verb == "spawn":
            allowed = 1.3 * percentile(bare_spawns())
        what = f"{crowd.name}: {verb} meanwhile (99th percentile of {len(values)})"
        rows.append(
            row(what, f"{value * 1e3:.0f} ms", f"{allowed * 1e3:.0f} ms", met=value <= allowed)
        )
    return rows


def _note(ended: dict[str, float], job_id: str) -> Callable[[Outcome | SpawnerError], None]:
    return lambda _outcome: ended.setdefault(job_id, time.monotonic())


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _containers(count: int) -> tuple[Any, list[str]]:
    import docker  # noqa: PLC0415 - only where there is an engine

    api = docker.APIClient(timeout=120, num_pools=count)
    ids = []
    for number in range(count):
        command = SHELL if number % 2 else ["sleep", "600"]
        config = api.create_host_config(init=True)
        made = api.create_container(IMAGE, command, host_config=config)
        api.start(made["Id"])
        ids.append(made["Id"])
    return api, ids


def bare_stops(count: int) -> float:
    """Return what so many bare stops at once take, in seconds."""
    api, ids = _containers(count)
    barrier = threading.Barrier(count)

    def stop(container: str) -> None:
        barrier.wait()
        api.stop(container, timeout=int(GRACE))

    try:
        with ThreadPoolExecutor(count) as pool:
            return _timed(lambda: list(pool.map(stop, ids)))
    finally:
        for container in ids:
            api.remove_container(container, force=True)


def bare_spawns() -> list[float]:
    """Return what bare create+start requests take while as many stops are under way."""
    api, ids = _containers(64)
    took, made = [], []
    with ThreadPoolExecutor(len(ids)) as pool:
        stops = [pool.submit(api.stop, container, timeout=int(GRACE)) for container in ids]
        while not all(stop.done() for stop in stops):
            began = time.monotonic()
            container = api.create_container(IMAGE, ["sleep", "600"])
            api.start(container["Id"])
            took.append(time.monotonic() - began)
            made.append(container["Id"])
            time.sleep(0.2)
    for container in (*ids, *made):
        api.remove_container(container, force=True)
    return took


def main() -> None:
    """Print a table of all engines that answer."""
    print(f"\n## Many deadlines at once, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| what | figure | limit | |\n|---|---|---|---|")
    for crowd in CROWDS:
        try:
            if crowd.name == "docker":
                make_image()
            lines = measure(crowd)
        except (OSError, RuntimeError, SpawnerError) as error:
            print(f"| {crowd.name} | not measured: {error} | | |")
            continue
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
