"""The crash sweep: a caller killed at every step of ``spawn``, and what another one finds then."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from spawnery.testing.caller import plain

if TYPE_CHECKING:
    from spawnery.model.job import JobSpec
    from spawnery.testing.bench import Bench


@frozen(kw_only=True)
class Killed:
    """A job whose caller was killed at a step of its spawn."""

    spec: JobSpec
    step: int


def sweep(bench: Bench, *, name: str, **fields: Any) -> list[Killed]:
    """Spawn jobs in callers that are killed, one at each step.

    Args:
        bench: The engine.
        name: Beginning of the job ids.
        fields: Further fields of the specs.

    Returns:
        The jobs, in the order of the steps; at most ``bench.crash_steps``, evenly spread.
    """
    first = _spec(bench, f"{name}-whole", fields)
    counted = _crash(bench, [{"spec": plain(first), "kill_at": None}])
    steps = spread(counted[first.job_id], bench.crash_steps)
    killed = [Killed(spec=_spec(bench, f"{name}-at-{n}", fields), step=n) for n in steps]
    _crash(bench, [{"spec": plain(job.spec), "kill_at": job.step} for job in killed])
    return [Killed(spec=first, step=0), *killed]


def spread(last: int, most: int) -> Sequence[int]:
    """Return the numbers from 1 to ``last``, or ``most`` of them, evenly spread with both ends."""
    if last <= most:
        return range(1, last + 1)
    return sorted({1 + round(i * (last - 1) / (most - 1)) for i in range(most)})


def _spec(bench: Bench, job_id: str, fields: Mapping[str, Any]) -> JobSpec:
    return bench.spec(bench.counted(job_id), job_id=job_id, **fields)


def _crash(bench: Bench, jobs: list[dict[str, Any]]) -> dict[str, int]:
    """Run callers; returns the number of steps of each that lived."""
    request = {"plugin": bench.plugin_path, "jobs": jobs}
    # A fork of a process with threads warns from Python 3.12 on; here there are none yet.
    done = subprocess.run(
        [sys.executable, "-m", "spawnery.testing.crash", json.dumps(request)],
        env=bench.environ(),
        cwd=bench.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lived = map(json.loads, done.stdout.splitlines())
    return {line["job_id"]: line["steps"] for line in lived}
