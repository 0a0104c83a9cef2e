"""A thousand live Jobs in one process: two connections watch them all, and all are known."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from kube_case import PATIENCE, KubeCase, sh

pytestmark = pytest.mark.engine("kubernetes")
LIVE = 1000
WORKERS = 8
TRACKS = """
import json, sys
import psutil
from spawnery import Spawner
live, seen = int(sys.argv[1]), set()
with Spawner.from_environment() as spawner, spawner.watch() as watch:
    for status in watch:
        assert status.state.name == "QUEUED", status
        seen.add(status.job_id)
        if len(seen) == live:
            break
    process = psutil.Process()
    connections = [c for c in process.net_connections("tcp") if c.status == "ESTABLISHED"]
    print(json.dumps([len(connections), process.memory_info().rss]))
"""


@pytest.mark.timeout(600)
def test_a_thousand_jobs(case: KubeCase) -> None:
    """They take two watches and one connection for questions, and memory that is bounded."""
    suspended = {"kubernetes": {"suspend": True}}
    with case.open() as spawner, ThreadPoolExecutor(WORKERS) as pool:
        made = [
            pool.submit(spawner.spawn, sh("true", job_id=f"live-{number}", options=suspended))
            for number in range(LIVE)
        ]
        assert len({call.result(PATIENCE).engine_id for call in made}) == LIVE
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRACKS, str(LIVE)],
            env=case.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        assert done.returncode == 0, done.stderr
        connections, memory = json.loads(done.stdout)
        assert connections <= 3
        assert memory < 300e6, "a Job is kept as what is needed of it, not as the object"
    finally:
        case.kubectl("delete", "job", "--all", "-n", case.namespace, "--wait=false")
