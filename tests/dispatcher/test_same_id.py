"""A job id that is used again when its earlier job is forgotten: the next job is one of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from commands import checked
from dispatcher_case import instance_of, until
from docker_images import BUSYBOX, make_busybox
from slack_story import told

pytestmark = pytest.mark.engine("redis")

KEY = "key-of-ci-0123456789"
API = f"""
[limits]
per_channel = 100
[api_keys.ci]
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
"""
TIMES = 6
FAILS = (
    'command = ["sh", "-c", "cat /proc/sys/kernel/random/uuid; exit 3"]\nargs = []\nforward = []\n'
)


def forget(redis, instance: str, job_id: str) -> None:
    """Let everything of a job expire, as it does after ``keep_seconds``."""
    names = list(redis.scan_iter(f"spawnery:{instance}:*{job_id}*"))
    assert f"spawnery:{instance}:job:{job_id}" in names
    assert any(":record:" in name for name in names)
    for name in names:
        if redis.ttl(name) != -1:
            redis.pexpire(name, 1)
    until(lambda: not redis.exists(f"spawnery:{instance}:job:{job_id}"), why="it is forgotten")


def objects(spawner: str, folder: Path, job_id: str) -> list[str]:
    """Name what the engine has of a job."""
    if spawner == "docker":
        return checked("docker", "ps", "-aq", "--filter", f"name={job_id}").split()
    jobs = folder / "state" / "local" / "jobs"
    return [path.name for path in jobs.iterdir() if job_id in path.name]


@pytest.mark.parametrize(
    ("spawner", "lines"),
    [
        ("local", FAILS),
        pytest.param("docker", f'image = "{BUSYBOX}"\n{FAILS}', marks=pytest.mark.engine("docker")),
    ],
    ids=["local", "docker"],
)
def test_the_same_key_after_keep_seconds(tmp_path, shared_redis, spawner, lines):
    """Each request runs a program, and gets the outcome of that one."""
    if spawner == "docker":
        make_busybox()
    authorization = {"authorization": f"Bearer {KEY}", "idempotency-key": "same"}
    redis = shared_redis.client()
    with told(tmp_path, shared_redis, project=lines) as story:
        dispatcher = story.dispatcher(spawner=spawner, extra=API)
        dispatcher.start()
        tails, ids = [], set()
        for _ in range(TIMES):
            status, made = dispatcher.post("/api/v1/jobs", {"issue": 58}, **authorization)
            assert status == 202, made
            job_id = made["job_id"]

            def ended(job_id=job_id):
                return json.loads(dispatcher.get(f"/api/v1/jobs/{job_id}", **authorization)[1])[
                    "ending"
                ]

            ending = until(ended, why="it ends")
            assert (ending["state"], ending["exit_code"]) == ("FAILED", 3), ending
            tails.append(ending["log_tail"])
            ids.add(job_id)
            # Another spec under the id of an object that is still there is refused, as it must be.
            until(lambda job_id=job_id: not objects(spawner, tmp_path, job_id), why="it is removed")
            forget(redis, instance_of(tmp_path), job_id)
        assert len(ids) == 1
        assert len(set(tails)) == TIMES
    redis.close()
