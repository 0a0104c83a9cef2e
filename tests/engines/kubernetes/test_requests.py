"""What a job asks of the API server: counted, since each request is time and load."""

from __future__ import annotations

import re

import pytest
from kube_case import PATIENCE, KubeCase, sh
from spawnery.model import JobSpec, JobState, SecretRef
from spawnery.spawner import Spawner
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

CREATE, SECRET = "POST jobs", "POST secrets"
SECRETS = {"TOKEN": SecretRef.literal("a value")}


def short(seen: Seen) -> str:
    """Return a request as its verb and what it is about: ``GET jobs``, ``GET jobs/NAME``."""
    path, _, query = seen.path.partition("?")
    about = re.sub(r"^/api(s/batch)?/v1/namespaces/[^/]+/", "", path)
    return f"{'WATCH' if 'watch=1' in query else seen.method} {about}"


def warm(spawner: Spawner) -> None:
    """Let the watch open: the end of the second job is told by it when it is past its list."""
    for _ in range(2):
        spawner.wait(spawner.spawn(sh("true")).job_id, PATIENCE)


def asked_by(spawner: Spawner, proxy: TransportProxy, spec: JobSpec) -> list[str]:
    """Spawn; returns what was posted meanwhile, and what was asked about this very job."""
    before = len(proxy.seen())
    handle = spawner.spawn(spec)
    requests = [short(seen) for seen in proxy.seen()[before:]]
    assert handle.created
    return [asked for asked in requests if asked.startswith("POST ") or handle.name in asked]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [CREATE]),
        ({"retention_seconds": 900}, [CREATE]),
        ({"secrets": SECRETS}, [CREATE, SECRET]),
        ({"secrets": {"KEY": SecretRef.engine("there", "k", optional=True)}}, [CREATE]),
    ],
)
def test_a_spawn(
    led: KubeCase, proxy: TransportProxy, fields: dict[str, object], expected: list[str]
) -> None:
    """One POST, two with a Secret of its own; nothing else is asked, in a fresh process too."""
    with led.open() as spawner:
        for _ in range(2):
            spec = sh("sleep 600", **fields)
            assert asked_by(spawner, proxy, spec) == expected
            spawner.remove(spec.job_id, force=True)


def test_a_secret_follows_its_job(led: KubeCase, proxy: TransportProxy) -> None:
    """The cluster has answered for the Job before it is asked for the Secret."""
    answered: list[str] = []
    asked: list[tuple[str, list[str]]] = []
    proxy.on_request = lambda seen: asked.append((short(seen), list(answered)))
    proxy.on_response = lambda seen: answered.append(short(seen))
    with led.open() as spawner:
        job = spawner.spawn(sh('test "$TOKEN" = "a value"', secrets=SECRETS)).job_id
        assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED
    before = next(known for request, known in asked if request == SECRET)
    assert CREATE in before


def test_a_job_that_is_removed(led: KubeCase, proxy: TransportProxy) -> None:
    """An end that was watched is not asked for again before its Job is removed."""
    with led.open() as spawner:
        warm(spawner)
        spec = sh("true", retention_seconds=900)
        name = spawner.spawn(spec).name
        spawner.wait(spec.job_id, PATIENCE)
        before = len(proxy.seen())
        spawner.remove(spec.job_id)
        requests = [short(seen) for seen in proxy.seen()[before:]]
    about = [asked for asked in requests if name in asked]
    assert about[-2:] == [f"DELETE jobs/{name}", f"GET jobs/{name}"]
    assert about.count(f"DELETE jobs/{name}") == 1
    assert not [asked for asked in requests if "/log" in asked]


def test_all_waiters_share_two_watches(led: KubeCase, proxy: TransportProxy) -> None:
    """However many jobs a process waits for: one connection for Jobs, one for pods."""
    with led.open() as spawner:
        jobs = [spawner.spawn(sh("true")).job_id for _ in range(5)]
        for job in jobs:
            assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED
        watches = [short(seen) for seen in proxy.seen() if "watch=1" in seen.path]
    assert sorted(watches) == ["WATCH jobs", "WATCH pods"]
