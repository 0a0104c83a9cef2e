"""Whoever waits for a job is told what it waits for, soon after the cluster knows it."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from docker_images import BUSYBOX
from kube_case import KubeCase, eventually, running, sh

pytestmark = pytest.mark.engine("kubernetes")

_LITTLE = ("--cpu-request", "10m", "--memory-request", "16Mi")
_VOLUME = '{"options": {"kubernetes": {"volumes": {"/v": {"secret": {"secretName": "no"}}}}}}'
CASES: dict[str, tuple[tuple[str, ...], str, str]] = {
    # flags of the job, the cause that is told, the reason of the event or condition
    "unschedulable": (
        ("--option", 'kubernetes.node_selector={"no":"where"}'),
        "unschedulable",
        "FailedScheduling",
    ),
    "quota": ((), "quota", "FailedCreate"),
    "image": (("--image", "127.0.0.1:9/none:1"), r"image\.\w+", "Failed"),
    "volume": ((), r"secret\.not_found", "FailedMount"),
}


class Told:
    """A command, and when it said which line on stderr."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.lines: list[tuple[datetime, str]] = []
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self.lines.append((datetime.now(UTC), line.decode()))

    def first(self, words: str) -> datetime | None:
        """Return when a line with these words came; None while there is none."""
        return next((at for at, line in self.lines if re.search(words, line)), None)


@contextmanager
def full(case: KubeCase) -> Iterator[None]:
    """Have a quota of one pod in the namespace, and one pod."""
    metadata = {"name": case.prefix, "namespace": case.namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    case.kubectl.apply({**quota, "spec": {"hard": {"pods": "1"}}})
    words = ("resourcequota", case.prefix, "-n", case.namespace)
    eventually(lambda: case.kubectl.get(*words).get("status", {}).get("hard"))
    try:
        with case.open() as spawner:
            running(spawner, spawner.spawn(sh("sleep 600", job_id="first")).job_id)
        yield
    finally:
        case.kubectl("delete", *words)


def known_at(case: KubeCase, job_id: str, reason: str) -> datetime | None:
    """Return when the API server learned of it: the first event of this reason."""
    name = case.name(job_id)
    found = [
        datetime.fromisoformat(event["metadata"]["creationTimestamp"])
        for event in case.kubectl.get("events", "-n", case.namespace)["items"]
        if event["reason"] == reason and event["involvedObject"]["name"].startswith(name)
    ]
    return min(found, default=None)


@pytest.mark.parametrize("what", CASES)
def test_all_who_wait_are_told(case: KubeCase, what: str, record_property: Any) -> None:
    """``run``, ``wait`` and ``logs -f`` say it and go on; the end of the run says it too."""
    flags, cause, reason = CASES[what]
    case.environ["SPAWNERY_KUBERNETES_PULL_GRACE_SECONDS"] = "600"
    case.environ["SPAWNERY_KUBERNETES_START_GRACE_SECONDS"] = "600"
    job: tuple[str, ...] = ("--image", BUSYBOX, *_LITTLE, *flags)
    if what == "volume":
        path = case.folder / "job.json"
        path.write_text(_VOLUME)
        job = (*job, "-f", str(path))
    with full(case) if what == "quota" else nullcontext():
        ran = case.start("-m", "spawnery", "run", "--job-id", "one", *job, "--", "true")
        told = {"run": Told(ran)}
        eventually(lambda: f"Job/{case.name('one')}" in case.objects())
        for verb in (("wait", "one"), ("logs", "-f", "one")):
            told[verb[0]] = Told(case.start("-m", "spawnery", *verb))
        line = rf"one waits to start: .*\[{cause}\]"
        eventually(lambda: all(item.first(line) for item in told.values()))
        assert ran.poll() is None
        lags = {}
        for verb, item in told.items():
            known = known_at(case, "one", reason)
            at = item.first(line)
            assert known is not None
            assert at is not None
            lags[verb] = round((at - known).total_seconds(), 1)
        record_property("seconds after the cluster knew", str(lags))
        case.cli("stop", "one")
        eventually(lambda: ran.poll() is not None)
        assert any(
            re.search(r"CANCELLED.*before it started: .*\[", text) for _, text in told["run"].lines
        )
