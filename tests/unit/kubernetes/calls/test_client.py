"""The client against servers that answer badly; what they do is byte by byte the test's."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kube_config import write
from raw_server import RawServer, Script, says, whole
from spawnery.errors import EngineDenied, EngineError, EngineUnreachable, SpawnerError
from spawnery_kubernetes.access.credentials import Identity
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.calls.persistence import Persistence
from spawnery_kubernetes.calls.retry import LEAST_SECONDS
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, Broken, Unanswered
from spawnery_kubernetes.settings import KubernetesSettings

PATIENCE = 30.0
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def client_of(address: str, folder: Path) -> Iterator[KubeClient]:
    """Open a client of a server that wants no credentials."""
    environ = {"KUBECONFIG": write(folder / "config", None, {"server": address})}
    client = KubeClient(resolve_access(KubernetesSettings(), environ))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def client_and_server(folder: Path, *scripts: Script) -> Iterator[tuple[KubeClient, RawServer]]:
    """Open a client of a server that plays scripts."""
    with RawServer(*scripts) as server, client_of(server.address, folder) as client:
        yield client, server


BAD = {
    "nothing": says(),
    "no length": says(b"HTTP/1.1 200 OK\r\n\r\n{}"),
    "half a header": says(b"HTTP/1.1 200 OK\r\nContent-"),
    "no HTTP": says(b"220 mail.example.com ESMTP\r\n"),
    "half a body": says(whole(b'{"kind": "Job"}')[:-4]),
    "half a chunk": says(CHUNKED + b"10\r\n{"),
    "no last chunk": says(CHUNKED + b"2\r\n{}\r\n"),
    "bad chunks": says(CHUNKED + b"zz\r\n{}\r\n"),
}


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", BAD)
def test_no_whole_answer(name: str, method: str, tmp_path: Path) -> None:
    """What was sent and not answered in full is ambiguous, and not sent a second time."""
    with client_and_server(tmp_path, BAD[name]) as (client, server):
        with pytest.raises(Unanswered) as caught:
            client.call(method, "/x", body={}, timeout=PATIENCE)
        assert len(server.asked) == 1
    assert f"did not answer {method} /x" in caught.value.message
    assert "0x" not in caught.value.message


@pytest.mark.parametrize("name", BAD)
def test_a_get_is_sent_again(name: str, tmp_path: Path) -> None:
    """A GET is sent until it is answered in full."""
    scripts = BAD[name], BAD[name], says(whole(b"[1]"))
    with client_and_server(tmp_path, *scripts) as (client, server):
        assert client.call("GET", "/x", timeout=PATIENCE).json() == [1]
        assert len(server.asked) == 3


def test_the_answer_before_the_limit(tmp_path: Path) -> None:
    """A GET that was answered with an error, and then cut off by its limit, reports that answer."""
    gate = threading.Event()
    failed = says(whole(b"no leader", "503 Service Unavailable"))
    scripts = failed, lambda _line: gate.wait(PATIENCE) and None
    with client_and_server(tmp_path, *scripts) as (client, server):
        with pytest.raises(ApiError, match="no leader") as caught:
            client.call("GET", "/x", timeout=2.0)
        assert len(server.asked) == 2
        gate.set()
    assert caught.value.status == 503


def test_a_denial_at_the_limit(tmp_path: Path) -> None:
    """A denial that leaves no time to ask once more is believed."""
    environ = {"KUBECONFIG": write(tmp_path / "config", None, {"server": "http://127.0.0.1:1"})}
    asked: list[str] = []

    def denied(_identity: Identity, _left: float) -> None:
        asked.append("/x")
        raise ApiError(401, "who are you?")

    persistence = Persistence(
        access=resolve_access(KubernetesSettings(), environ),
        is_ready=lambda _identity, _limit: True,
        wait=lambda _seconds: False,
    )
    with pytest.raises(EngineDenied, match="who are you"):
        persistence.get_through("POST", "/x", denied, timeout=LEAST_SECONDS / 2)
    assert asked == ["/x"]


def test_drop_by_drop(tmp_path: Path) -> None:
    """The limit is for the whole answer, also where something comes all the time."""
    drip = says(*[b"%c" % byte for byte in whole(b" " * 200)], pause=0.05)
    with client_and_server(tmp_path, drip) as (client, _):
        before = time.monotonic()
        with pytest.raises(Unanswered) as caught:
            client.call("POST", "/x", timeout=1.0)
        assert time.monotonic() - before < 8.0
    assert caught.value.cause == "engine.timeout"
    assert "within 1 s" in caught.value.message


def test_a_page_in_the_place_of_the_api(tmp_path: Path) -> None:
    """A login page is an error, a redirect to one is too, and it is not followed."""
    moved = whole(b"", "302 Found", Location="http://127.0.0.1:1/login")
    with client_and_server(tmp_path, says(whole(b"<html>"))) as (client, _):
        reply = client.call("GET", "/x", timeout=PATIENCE)
    with pytest.raises(EngineError, match="no Kubernetes API"):
        reply.json()
    with client_and_server(tmp_path, says(moved)) as (client, server):
        with pytest.raises(ApiError) as caught:
            client.call("GET", "/x", timeout=PATIENCE)
        assert caught.value.status == 302
        assert len(server.asked) == 1


def test_what_is_sent(tmp_path: Path) -> None:
    """Method, path behind the server's own, query, body and header fields."""
    answer = says(whole(b"{}", "201 Created", Warning='299 - "old"'))
    with (
        RawServer(answer) as server,
        client_of(f"{server.address}/clusters/c1", tmp_path) as client,
    ):
        reply = client.call(
            "PATCH",
            client.path("jobs", "j"),
            query={"fieldManager": "a b"},
            body={"a": "ü"},
            content_type="application/merge-patch+json",
            headers={"X-One": "1"},
            timeout=PATIENCE,
        )
        (asked,) = server.asked
    assert (reply.status, reply.warnings) == (201, ("old",))
    assert reply.headers["WARNING"] == '299 - "old"'
    head, _, body = asked.partition(b"\r\n\r\n")
    path = b"/clusters/c1/apis/batch/v1/namespaces/default/jobs/j?fieldManager=a+b"
    assert head.startswith(b"PATCH " + path + b" HTTP/1.1\r\n")
    assert b"Content-Type: application/merge-patch+json" in head
    assert b"X-One: 1" in head
    assert b"Authorization" not in head
    assert body == b'{"a": "\\u00fc"}'


def test_paths(tmp_path: Path) -> None:
    """Jobs are in a group of their own."""
    with client_of("http://127.0.0.1:1", tmp_path) as client:
        assert client.path("jobs") == "/apis/batch/v1/namespaces/default/jobs"
        assert client.path("pods", "p", "log") == "/api/v1/namespaces/default/pods/p/log"


def test_nothing_listens(tmp_path: Path) -> None:
    """A port on which nothing listens is unreachable: nothing can have happened."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with client_of(f"http://127.0.0.1:{port}", tmp_path) as client:
        for method in ("GET", "POST"):
            with pytest.raises(EngineUnreachable, match="connection refused") as caught:
                client.call(method, "/x", timeout=0.5)
            assert caught.value.retryable
            assert str(tmp_path) in caught.value.message
            assert "kubectl cluster-info" in (caught.value.hint or "")


def test_a_server_that_comes_back(tmp_path: Path) -> None:
    """A request that could not be sent is sent when somebody listens, whatever it is."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    asked: list[bytes] = []

    def come_back() -> None:
        time.sleep(0.5)
        with socket.create_server(("127.0.0.1", port)) as listener:
            line, _ = listener.accept()
            with line:
                asked.append(line.recv(65536))
                line.sendall(whole(b"{}"))

    thread = threading.Thread(target=come_back)
    thread.start()
    with client_of(f"http://127.0.0.1:{port}", tmp_path) as client:
        assert client.call("POST", "/x", timeout=PATIENCE).json() == {}
    thread.join(PATIENCE)
    assert len(asked) == 1


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    """A host without an address is unreachable."""
    with (
        client_of("http://api.invalid", tmp_path) as client,
        pytest.raises(EngineUnreachable, match="its name cannot be resolved"),
    ):
        client.call("GET", "/x", timeout=0.5)


def test_no_connection_within_the_limit(tmp_path: Path) -> None:
    """A host that takes no connection is unreachable, after the limit."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        with (
            client_of(f"http://127.0.0.1:{address[1]}", tmp_path) as client,
            pytest.raises(EngineUnreachable, match=r"no connection within 0\.\d+ s"),
        ):
            client.call("POST", "/x", timeout=0.5)
        for one in waiting:
            one.close()


# -- streams ---------------------------------------------------------------------------------


def test_a_stream(tmp_path: Path) -> None:
    """Lines come as they are sent, and a last chunk is a clean end."""
    script = says(CHUNKED, b"4\r\na\nb\n\r\n", b"2\r\nc\n\r\n", b"0\r\n\r\n")
    with client_and_server(tmp_path, script) as (client, server):
        with client.stream("/x", query={"watch": "1"}, timeout=PATIENCE) as stream:
            assert list(stream.lines()) == [b"a", b"b", b"c"]
        assert b"GET /x?watch=1 " in server.asked[0]
        assert b"Connection: close" in server.asked[0]


@pytest.mark.parametrize(
    "rest", [b"", b"4\r\na\n", b"4\r\na\nb\n\r\n", b"zz\r\n", b"4\r\na\nb\n\r\nx"]
)
def test_a_stream_that_breaks(rest: bytes, tmp_path: Path) -> None:
    """An end without a last chunk is a break, never a clean end."""
    with (
        client_and_server(tmp_path, says(CHUNKED + rest)) as (client, _),
        client.stream("/x", timeout=PATIENCE) as stream,
        pytest.raises(Broken) as caught,
    ):
        list(stream.lines())
    assert "0x" not in str(caught.value)


def test_a_stream_that_falls_silent(tmp_path: Path) -> None:
    """A stream on which nothing comes breaks, and the reason is told."""
    gate = threading.Event()

    def play(line: socket.socket) -> None:
        line.sendall(CHUNKED + b"2\r\na\n\r\n")
        gate.wait(PATIENCE)

    with client_and_server(tmp_path, play) as (client, _):
        with client.stream("/x", timeout=PATIENCE, idle_timeout=0.3) as stream:
            lines = stream.lines()
            assert next(lines) == b"a"
            with pytest.raises(Broken, match=r"nothing came for 0\.3 s"):
                next(lines)
        gate.set()


def test_a_stream_without_a_header(tmp_path: Path) -> None:
    """The limit is for the header; what does not come within it is no answer."""
    gate = threading.Event()
    with client_and_server(tmp_path, lambda _line: gate.wait(PATIENCE) and None) as (client, _):
        with pytest.raises(Unanswered) as caught:
            client.stream("/x", timeout=0.4, idle_timeout=PATIENCE)
        gate.set()
    assert caught.value.cause == "engine.timeout"


def test_closing_a_stream_wakes_its_reader(tmp_path: Path) -> None:
    """A reader that waits for ever ends at once when another thread closes."""
    gate, ended = threading.Event(), threading.Event()

    def play(line: socket.socket) -> None:
        line.sendall(CHUNKED + b"2\r\na\n\r\n")
        gate.wait(PATIENCE)

    with client_and_server(tmp_path, play) as (client, _):
        stream = client.stream("/x", timeout=PATIENCE)
        lines = stream.lines()
        assert next(lines) == b"a"
        rest: list[bytes] = []

        def read() -> None:
            rest.extend(lines)
            ended.set()

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.2)
        assert not ended.is_set()
        stream.close()
        assert ended.wait(PATIENCE)
        reader.join()
        assert rest == []
        gate.set()


def test_an_error_in_the_place_of_a_stream(tmp_path: Path) -> None:
    """An error status is an error, and one that may pass is asked for again."""
    failed = says(whole(b"no", "503 Service Unavailable"))
    missing = says(whole(b"no such pod", "404 Not Found"))
    with client_and_server(tmp_path, failed, missing) as (client, server):
        with pytest.raises(ApiError, match="no such pod"):
            client.stream("/x", timeout=PATIENCE)
        assert len(server.asked) == 2


# -- denials ---------------------------------------------------------------------------------

RULE = b'User "u" cannot create resource "jobs" in API group "batch" in the namespace "n"'
NO = says(whole(RULE, "403 Forbidden"))
FULL = says(whole(b"exceeded quota: few", "403 Forbidden"))
WHO = says(whole(b"who are you?", "401 Unauthorized"))
READY = says(whole(b"ok"))
UNREADY = says(whole(b"[-]poststarthook/rbac failed", "500 Internal Server Error"))
MAY_NOT_ASK = says(whole(b"no", "403 Forbidden"))
DONE = says(whole(b"{}"))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("denial", [NO, WHO])
def test_a_denial_before_the_server_is_ready(method: str, denial: Script, tmp_path: Path) -> None:
    """A server that has not read its rules yet denies everything: that is not believed."""
    scripts = denial, UNREADY, denial, says(), DONE
    with client_and_server(tmp_path, *scripts) as (client, server):
        assert client.call(method, "/x", timeout=PATIENCE).json() == {}
        asked = [request.split()[1] for request in server.asked]
        assert asked == [b"/x", b"/readyz", b"/x", b"/readyz", b"/x"]


@pytest.mark.parametrize("denial", [NO, WHO])
def test_a_denial_just_before_the_server_is_ready(denial: Script, tmp_path: Path) -> None:
    """A server that is ready by the time that it is asked is asked once more."""
    with client_and_server(tmp_path, denial, READY, DONE) as (client, server):
        assert client.call("POST", "/x", timeout=PATIENCE).json() == {}
        assert len(server.asked) == 3


@pytest.mark.parametrize("answer", [READY, MAY_NOT_ASK])
def test_a_denial(answer: Script, tmp_path: Path) -> None:
    """A denial by a server that is ready, or does not tell us, is one."""
    with client_and_server(tmp_path, NO, answer, NO) as (client, server):
        with pytest.raises(ApiError, match="cannot create resource"):
            client.call("POST", "/x", timeout=PATIENCE)
        assert len(server.asked) == 3
    with (
        client_and_server(tmp_path, WHO, answer, WHO) as (client, _),
        pytest.raises(EngineDenied, match="who are you"),
    ):
        client.call("POST", "/x", timeout=PATIENCE)


def test_a_denial_of_another_kind(tmp_path: Path) -> None:
    """What is forbidden for another reason than who we are is believed at once."""
    with client_and_server(tmp_path, FULL) as (client, server):
        with pytest.raises(ApiError, match="exceeded quota"):
            client.call("POST", "/x", timeout=PATIENCE)
        assert len(server.asked) == 1


def test_a_server_that_never_gets_ready(tmp_path: Path) -> None:
    """Then nothing happened, and it may be tried again later."""
    words = "is not ready yet: it answered POST /x with 403: User"
    with (
        client_and_server(tmp_path, *[NO, UNREADY] * 50) as (client, _),
        pytest.raises(EngineUnreachable, match=words) as caught,
    ):
        client.call("POST", "/x", timeout=0.6)
    assert caught.value.retryable


# -- ends ------------------------------------------------------------------------------------


def test_a_closed_client(tmp_path: Path) -> None:
    """A client that was closed says so, and does not wait for a server any more."""
    with client_and_server(tmp_path, says(whole(b"{}"))) as (client, server):
        client.close()
        with pytest.raises(SpawnerError) as caught:
            client.call("GET", "/x", timeout=PATIENCE)
        assert caught.value.cause == "spawner.closed"
        assert not server.asked


def test_closing_ends_a_pause(tmp_path: Path) -> None:
    """Who waits for the next attempt is woken by the end of the client."""
    later = says(whole(b"no", "429 Too Many Requests", Retry_After="600"))
    with client_and_server(tmp_path, later) as (client, _):
        timer = threading.Timer(0.5, client.close)
        timer.start()
        with pytest.raises(ApiError) as caught:
            client.call("POST", "/x", timeout=3600.0)
        assert caught.value.status == 429
        timer.join()


LIGHT = """
import sys
from spawnery_kubernetes.plugin import plugin
from spawnery_kubernetes.settings import KubernetesSettings
HEAVY = {"kubernetes", "urllib3", "requests", "docker"}
print(sorted(HEAVY & set(sys.modules)))
from spawnery_kubernetes.access.resolve import resolve_access
access = resolve_access(KubernetesSettings(), {"KUBECONFIG": sys.argv[1]})
print(sorted(HEAVY & set(sys.modules)))
from spawnery_kubernetes.client import KubeClient
client = KubeClient(access)
client.call("GET", "/version", timeout=30)
client.close()
print("docker" in sys.modules)
"""


def test_light(tmp_path: Path) -> None:
    """The package is imported at the first call, without a warning, and no other engine's."""
    with RawServer(says(whole(b"{}"))) as server:
        path = write(tmp_path / "config", None, {"server": server.address})
        words = [sys.executable, "-W", "error", "-c", LIGHT, path]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE * 2)
    assert (done.stdout, done.stderr) == ("[]\n[]\nFalse\n", "")
