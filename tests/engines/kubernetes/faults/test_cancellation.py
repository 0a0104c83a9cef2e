"""A stop is heard in every step of a spawn, at once; nothing is left and nothing starts later."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_bare import Bare
from kube_case import PATIENCE, KubeCase, eventually
from spawnery.errors import SpawnFailed
from spawnery.model import Secret
from spawnery.testing.faults import Fault, Rule, Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

SOON = 20.0
"""Far less than what each step would take: a stop is heard within a second on an idle machine."""


def cancelled(
    bare: Bare, stands: Callable[[], Any], script: str = "sleep 600", **fields: Any
) -> SpawnFailed:
    """Spawn, cancel where the spawn stands still, and return how it ended; it ends soon."""
    request = bare.asked(script, seconds=PATIENCE, **fields)
    ended: list[BaseException | None] = []

    def spawn() -> None:
        try:
            bare.spawner.spawn(request)
        except BaseException as error:
            ended.append(error)

    caller = threading.Thread(target=spawn)
    caller.start()
    eventually(stands)
    begun = time.monotonic()
    request.cancellation.cancel()
    caller.join(PATIENCE)
    assert time.monotonic() - begun < SOON
    [error] = ended
    assert isinstance(error, SpawnFailed), error
    assert error.cause == "cancelled"
    return error


@pytest.fixture
def bare(led: KubeCase) -> Iterator[Bare]:
    """A spawner whose way to the cluster has faults."""
    made = Bare(led)
    yield made
    made.spawner.close()


class Hold:
    """Holds back the first request or answer of a kind until it is let go."""

    def __init__(self, end: str) -> None:
        self.held, self.release = threading.Event(), threading.Event()
        self._end = end

    def __call__(self, seen: Seen) -> None:
        meant = seen.method == "POST" and seen.path.partition("?")[0].endswith(self._end)
        if meant and not self.held.is_set():
            self.held.set()
            self.release.wait(PATIENCE)


def test_a_request_that_hangs(bare: Bare, proxy: TransportProxy) -> None:
    """A create that is cut off and reaches the cluster late is found and removed."""
    hold = Hold("/jobs")
    proxy.on_request = hold
    error = cancelled(bare, hold.held.is_set)
    assert "cancelled while creating the Job" in error.message
    hold.release.set()
    bare.spawner.close()
    eventually(lambda: not bare.case.objects())


def test_an_answer_that_hangs(bare: Bare, proxy: TransportProxy) -> None:
    """The cluster has acted and its answer is not heard: the Job is removed."""
    hold = Hold("/jobs")
    proxy.on_response = hold
    cancelled(bare, hold.held.is_set)
    eventually(lambda: not bare.case.objects())
    hold.release.set()


def test_between_job_and_secret(bare: Bare, proxy: TransportProxy) -> None:
    """Stopped while its Secret is being made: the Job goes, and its program never runs."""
    hold = Hold("/secrets")
    proxy.on_request = hold
    error = cancelled(bare, hold.held.is_set, secrets={"WORD": Secret("swordfish")})
    assert "creating the Secret" in error.message
    hold.release.set()
    bare.spawner.close()
    eventually(lambda: not bare.case.objects())


def test_a_pause_that_the_server_asks_for(bare: Bare, proxy: TransportProxy) -> None:
    """A wait after 429 is not waited out."""
    body = json.dumps({"kind": "Status", "message": "busy"}).encode()
    path = r"/jobs(\?|$)"
    rule = Rule(Fault.ERROR_500, method="POST", path=path, status=429, body=body, times=1000)
    proxy.arm(rule)
    cancelled(bare, lambda: proxy.count("POST", path) > 2)
    proxy.clear()
    assert bare.case.objects() == set()


def test_a_name_that_is_taken(bare: Bare) -> None:
    """The wait for a Job that is being deleted ends, and that Job stays as it is."""
    case = bare.case
    case.plant("one", labels=dict(bare.asked("sleep 600").labels))
    name = ("job", case.name("one"), "-n", case.namespace)
    keep = {"metadata": {"finalizers": ["spawnery.dev/test"]}}
    case.kubectl("patch", *name, "--type=merge", "-p", json.dumps(keep))
    case.kubectl("delete", *name, "--wait=false")
    before = case.job("one")
    try:
        begun = time.monotonic()
        error = cancelled(bare, lambda: time.monotonic() - begun > 2)
        # Between two looks at the name the Job is asked for again.
        assert "waiting for the name" in error.message or "creating the Job" in error.message
        assert case.job("one")["metadata"]["uid"] == before["metadata"]["uid"]
    finally:
        let_go = {"metadata": {"finalizers": None}}
        case.kubectl("patch", *name, "--type=merge", "-p", json.dumps(let_go))


def kubeconfig_of(folder: Path, cluster: dict[str, Any], user: dict[str, Any], space: str) -> str:
    """Write a kubeconfig of one cluster and one user."""
    content = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": space}}],
        "current-context": "c",
    }
    path = folder / "kubeconfig-hangs"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_command_for_credentials_that_hangs(case: KubeCase) -> None:
    """The spawn does not wait for the command, and nothing is sent when it comes back."""
    mark = case.folder / "asked"
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"touch {mark}; sleep 25"],
        "interactiveMode": "Never",
    }
    path = kubeconfig_of(case.folder, case.account.cluster, {"exec": command}, case.namespace)
    bare = Bare(case, kubeconfig=path)
    cancelled(bare, mark.exists)
    assert case.objects() == set()
    bare.spawner.close()


def test_a_server_that_takes_no_connection(case: KubeCase) -> None:
    """A connection that does not come about is not waited for."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        cluster = {
            "server": f"https://127.0.0.1:{silent.getsockname()[1]}",
            "insecure-skip-tls-verify": True,
        }
        path = kubeconfig_of(case.folder, cluster, {"token": "t"}, case.namespace)
        bare = Bare(case, kubeconfig=path)
        begun = time.monotonic()
        cancelled(bare, lambda: time.monotonic() - begun > 1)
        bare.spawner.close()


# -- conflicts that are none (the same POST, and the writes of a stop) ------------------------


def test_a_quota_that_was_counted_by_two(bare: Bare, proxy: TransportProxy) -> None:
    """409 from a quota on create says that nothing was made: it is tried again."""
    text = (
        'Operation cannot be fulfilled on resourcequotas "spawnery": the object has been'
        " modified; please apply your changes to the latest version and try again"
    )
    body = json.dumps({"kind": "Status", "reason": "Conflict", "message": text}).encode()
    proxy.arm(
        Rule(Fault.ERROR_500, method="POST", path=r"/jobs(\?|$)", times=2, status=409, body=body)
    )
    assert bare.spawner.spawn(bare.asked("sleep 600")).created


def test_a_stop_beside_other_changes(bare: Bare, proxy: TransportProxy) -> None:
    """A 409 on the note of a stop that is not about the uid is no reason to leave it out."""
    bare.spawner.spawn(bare.asked("sleep 600"))
    eventually(lambda: bare.status().started_at)
    text = 'Operation cannot be fulfilled on jobs.batch "x": the object has been modified'
    body = json.dumps({"kind": "Status", "reason": "Conflict", "message": text}).encode()
    proxy.arm(Rule(Fault.ERROR_500, method="PATCH", times=1, status=409, body=body))
    bare.stop()
    notes = bare.case.job("one")["metadata"]["annotations"]
    assert notes["spawnery.dev/stopped"].startswith("stop ")
