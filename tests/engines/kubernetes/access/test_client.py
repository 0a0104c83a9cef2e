"""The client and a real API server, with faults on the way between them."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_case import eventually
from kube_faults import restart
from kube_place import KubePlace, kube_place
from kubectl import Kubectl
from spawnery.errors import EngineUnreachable
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, Broken, Unanswered
from spawnery_kubernetes.settings import KubernetesSettings
from urllib3.util.connection import is_connection_dropped

pytestmark = pytest.mark.engine("kubernetes")
PATIENCE = 60.0
IN_BACKGROUND = {"propagationPolicy": "Background"}


@pytest.fixture(scope="module")
def place(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePlace]:
    """A namespace, and the account that Spawnery runs as."""
    with kube_place(kubeconfig, tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture
def proxy(place: KubePlace) -> Iterator[TransportProxy]:
    """A way to the API server on which things happen."""
    with place.proxy() as made:
        yield made


def client_of(kubeconfig: str) -> KubeClient:
    """Make a client of a kubeconfig."""
    return KubeClient(resolve_access(KubernetesSettings(), {"KUBECONFIG": kubeconfig}))


@pytest.fixture
def client(place: KubePlace, tmp_path: Path) -> Iterator[KubeClient]:
    """A client without anything between it and the API server."""
    made = client_of(place.kubeconfig(tmp_path / "direct"))
    yield made
    made.close()


@pytest.fixture
def led(place: KubePlace, proxy: TransportProxy, tmp_path: Path) -> Iterator[KubeClient]:
    """A client that goes through the proxy."""
    made = client_of(place.kubeconfig(tmp_path / "led", proxy))
    yield made
    made.close()


def kept_is_cut(client: KubeClient) -> bool:
    """Tell whether the connection that the next request is to take was closed by the server."""
    assert client._line is not None
    pool = client._line[1].connection_from_url(client._access.server)
    connection = pool._get_conn()
    try:
        return is_connection_dropped(connection)
    finally:
        pool._put_conn(connection)


def job(name: str) -> dict[str, Any]:
    """Make a Job that stays suspended."""
    container = {"name": "job", "image": "i", "command": ["true"]}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"suspend": True, "template": pod}}


@pytest.fixture
def name(place: KubePlace) -> Iterator[str]:
    """The name of a Job; it is removed afterwards."""
    made = f"client-{secrets.token_hex(4)}"
    yield made
    place.api.delete("jobs", made, **IN_BACKGROUND)


# -- without faults --------------------------------------------------------------------------


def test_a_life(client: KubeClient, name: str) -> None:
    """Create, read, change, remove; a warning of the server comes with its answer."""
    made = client.call("POST", client.path("jobs"), body=job(name), timeout=PATIENCE)
    assert made.status == 201
    here = client.path("jobs", name)
    changed = client.call(
        "PATCH",
        here,
        body={"metadata": {"annotations": {"a": "b"}}},
        content_type="application/merge-patch+json",
        timeout=PATIENCE,
    )
    assert changed.json()["metadata"]["annotations"]["a"] == "b"
    query = {"labelSelector": f"batch.kubernetes.io/job-name={name}"}
    listed = client.call("GET", client.path("jobs"), query=query, timeout=PATIENCE).json()
    assert [item["metadata"]["name"] for item in listed["items"]] == [name]
    assert client.call("GET", here, timeout=PATIENCE).headers["date"]
    gone = client.call("DELETE", here, query={"dryRun": "All"}, timeout=PATIENCE)
    assert any("child pods are preserved by default" in text for text in gone.warnings)
    client.call("DELETE", here, query=IN_BACKGROUND, timeout=PATIENCE)
    with pytest.raises(ApiError) as caught:
        client.call("GET", here, timeout=PATIENCE)
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    assert caught.value.details["name"] == name


def test_many_threads(client: KubeClient) -> None:
    """Forty threads at once get their answers; nobody waits for a connection of another one."""
    found: list[int] = []

    def ask() -> None:
        path = client.path("jobs")
        found.extend(client.call("GET", path, timeout=PATIENCE).status for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 200


# -- requests that fail ----------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE])
def test_a_lost_reply(
    fault: Fault, led: KubeClient, proxy: TransportProxy, place: KubePlace, name: str
) -> None:
    """A POST without a reply is ambiguous and never sent again, whatever became of it."""
    proxy.arm(Rule(fault, method="POST", path="/jobs"))
    with pytest.raises(Unanswered) as caught:
        led.call("POST", led.path("jobs"), body=job(name), timeout=PATIENCE)
    assert caught.value.cause == "engine.ambiguous"
    assert proxy.count("POST") == 1
    assert (place.api.get("jobs", name) is not None) is (fault is Fault.DROP_AFTER)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_lost_reply_to_a_change(
    method: str, led: KubeClient, proxy: TransportProxy, place: KubePlace, name: str
) -> None:
    """So is a change: a DELETE sent again would say 404 of what it has done itself."""
    place.api.create("jobs", job(name))
    proxy.arm(Rule(Fault.DROP_AFTER, method=method))
    with pytest.raises(Unanswered):
        led.call(
            method,
            led.path("jobs", name),
            body={"propagationPolicy": "Background"} if method == "DELETE" else {},
            content_type="application/merge-patch+json",
            timeout=PATIENCE,
        )
    assert proxy.count(method) == 1


def test_a_get_is_persistent(led: KubeClient, proxy: TransportProxy) -> None:
    """A GET is asked for again after each kind of failure that may pass."""
    for fault in (Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.CUT_MID_STREAM):
        proxy.arm(Rule(fault, method="GET", path="/jobs", times=1))
    for status in (500, 502, 503, 504):
        proxy.arm(Rule(Fault.ERROR_500, method="GET", path="/jobs", times=1, status=status))
    reply = led.call("GET", led.path("jobs"), timeout=PATIENCE)
    assert reply.json()["kind"] == "JobList"
    assert proxy.count("GET", "/jobs") == 8


def test_a_get_is_not_persistent_for_ever(led: KubeClient, proxy: TransportProxy) -> None:
    """A failure that does not pass is told, with the status."""
    proxy.arm(Rule(Fault.ERROR_500, method="GET", status=503))
    with pytest.raises(ApiError) as caught:
        led.call("GET", led.path("jobs"), timeout=1.0)
    assert caught.value.status == 503
    assert proxy.count("GET") > 1


def test_an_error_of_the_server(led: KubeClient, proxy: TransportProxy, name: str) -> None:
    """A POST that the server failed at is not sent again: it may have been acted upon."""
    proxy.arm(Rule(Fault.ERROR_500, method="POST", status=503, headers=(("Retry-After", "0"),)))
    with pytest.raises(ApiError) as caught:
        led.call("POST", led.path("jobs"), body=job(name), timeout=PATIENCE)
    assert (caught.value.status, caught.value.retry_after) == (503, 0.0)
    assert proxy.count("POST") == 1


def busy(seconds: int) -> Rule:
    """Say once that there are too many requests."""
    after = (("Retry-After", str(seconds)),)
    return Rule(Fault.ERROR_500, method="POST", status=429, times=1, headers=after)


def test_too_many_requests(led: KubeClient, proxy: TransportProxy, name: str) -> None:
    """429 is waited for as long as the server says, whatever was asked: it did nothing."""
    proxy.arm(busy(1))
    before = time.monotonic()
    reply = led.call("POST", led.path("jobs"), body=job(name), timeout=PATIENCE)
    assert reply.status == 201
    assert time.monotonic() - before >= 1.0
    assert proxy.count("POST") == 2


def test_too_many_requests_for_us(led: KubeClient, proxy: TransportProxy, name: str) -> None:
    """A time that lies behind the limit is not waited for."""
    proxy.arm(busy(600))
    with pytest.raises(ApiError) as caught:
        led.call("POST", led.path("jobs"), body=job(name), timeout=PATIENCE)
    assert (caught.value.status, caught.value.retry_after) == (429, 600.0)
    assert proxy.count("POST") == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_answer(method: str, led: KubeClient, proxy: TransportProxy, name: str) -> None:
    """A server that says nothing costs no more than the limit, once."""
    proxy.arm(Rule(Fault.STALL))
    before = time.monotonic()
    with pytest.raises(Unanswered) as caught:
        led.call(method, led.path("jobs"), body=job(name), timeout=1.0)
    assert time.monotonic() - before < PATIENCE / 2
    assert caught.value.cause == "engine.timeout"
    assert proxy.count(method) == 1


def test_nothing_listens(led: KubeClient, proxy: TransportProxy, name: str) -> None:
    """What could not be sent is told from what may have been done."""
    proxy.arm(Rule(Fault.REFUSE))
    with pytest.raises(EngineUnreachable, match="connection refused"):
        led.call("POST", led.path("jobs"), body=job(name), timeout=1.0)
    assert not proxy.count("POST")
    timer = threading.Timer(0.5, proxy.clear)
    timer.start()
    assert led.call("POST", led.path("jobs"), body=job(name), timeout=PATIENCE).status == 201
    timer.join()
    assert proxy.count("POST") == 1


def test_a_kept_connection_that_was_cut(led: KubeClient, proxy: TransportProxy) -> None:
    """A connection that the server has closed meanwhile is not used for the next request."""
    led.call("GET", led.path("jobs"), timeout=PATIENCE)
    assert not kept_is_cut(led)
    proxy.cut_all()
    eventually(lambda: kept_is_cut(led))
    dry = {"dryRun": "All"}
    reply = led.call("POST", led.path("jobs"), query=dry, body=job("cut"), timeout=PATIENCE)
    assert reply.status == 201
    assert proxy.count("POST") == 1


# -- streams ---------------------------------------------------------------------------------


def test_a_watch(client: KubeClient, place: KubePlace, name: str) -> None:
    """Events come while they happen."""
    query = {"watch": "1", "fieldSelector": f"metadata.name={name}"}
    with client.stream(client.path("jobs"), query=query, timeout=PATIENCE) as stream:
        place.api.create("jobs", job(name))
        line = next(stream.lines())
    assert b'"ADDED"' in line
    assert name.encode() in line


def test_a_watch_that_ends(client: KubeClient) -> None:
    """The end that the server gives a watch is a clean one."""
    query = {"watch": "1", "fieldSelector": "metadata.name=none", "timeoutSeconds": "1"}
    with client.stream(client.path("jobs"), query=query, timeout=PATIENCE) as stream:
        assert list(stream.lines()) == []
    assert stream.read1() == b""


def test_a_watch_that_is_cut(led: KubeClient, proxy: TransportProxy, place: KubePlace) -> None:
    """A watch that is cut inside of a line breaks, and the line is not told."""
    name = f"client-{secrets.token_hex(4)}"
    place.api.create("jobs", job(name))
    proxy.arm(Rule(Fault.CUT_MID_STREAM, path="watch=1", after_bytes=200))
    told: list[bytes] = []
    with (
        led.stream(led.path("jobs"), query={"watch": "1"}, timeout=PATIENCE) as stream,
        pytest.raises(Broken),
    ):
        told.extend(stream.lines())
    assert not told
    place.api.delete("jobs", name, **IN_BACKGROUND)


def test_a_watch_that_is_silent(client: KubeClient) -> None:
    """A watch on which nothing happens breaks after the time that it was given."""
    query = {"watch": "1", "fieldSelector": "metadata.name=none"}
    with (
        client.stream(
            client.path("jobs"), query=query, timeout=PATIENCE, idle_timeout=0.5
        ) as stream,
        pytest.raises(Broken, match=r"nothing came for 0\.5 s"),
    ):
        list(stream.lines())


def test_closing_a_watch(client: KubeClient) -> None:
    """A reader of a watch through TLS is woken by another thread within a second."""
    query = {"watch": "1", "fieldSelector": "metadata.name=none"}
    stream = client.stream(client.path("jobs"), query=query, timeout=PATIENCE)
    ended = threading.Event()

    def read() -> None:
        assert list(stream.lines()) == []
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.3)
    assert not ended.is_set()
    stream.close()
    assert ended.wait(10.0)
    reader.join()


def test_a_watch_without_an_answer(led: KubeClient, proxy: TransportProxy) -> None:
    """A watch whose header does not come is no answer, after its limit."""
    proxy.arm(Rule(Fault.STALL))
    with pytest.raises(Unanswered) as caught:
        led.stream(led.path("jobs"), query={"watch": "1"}, timeout=1.0, idle_timeout=PATIENCE)
    assert caught.value.cause == "engine.timeout"


def test_no_stream(client: KubeClient) -> None:
    """The log of a pod that is not there is an error with the server's words."""
    with pytest.raises(ApiError, match='pods "none" not found') as caught:
        client.stream(client.path("pods", "none", "log"), timeout=PATIENCE)
    assert caught.value.status == 404


# -- the server itself -----------------------------------------------------------------------


@pytest.mark.alone
def test_a_restart_of_the_server(client: KubeClient, kubeconfig: str) -> None:
    """A restart of the API server costs whoever reads nothing but time, and ends its watches."""
    query = {"watch": "1", "fieldSelector": "metadata.name=none"}
    stream = client.stream(client.path("jobs"), query=query, timeout=PATIENCE)
    watched, done = threading.Event(), threading.Event()
    found: list[int] = []
    troubles: list[Exception] = []

    def watch() -> None:
        with contextlib.suppress(Broken):
            list(stream.lines())
        watched.set()

    def ask() -> None:
        while not done.is_set():
            try:
                found.append(client.call("GET", client.path("jobs"), timeout=PATIENCE).status)
            except Exception as trouble:
                troubles.append(trouble)
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for work in (watch, ask)]
    for thread in threads:
        thread.start()
    try:
        restart(Kubectl(kubeconfig), "kube-apiserver")
        after = len(found)
        eventually(lambda: len(found) > after + 3)
        assert watched.wait(PATIENCE)
    finally:
        done.set()
        stream.close()
        for thread in threads:
            thread.join()
    assert not troubles
    assert set(found) == {200}
