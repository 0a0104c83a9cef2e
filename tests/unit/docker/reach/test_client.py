"""What comes of a request: an answer, an error in our words, or the word that nothing was sent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from descriptors import high_pair
from docker_host import client_of
from raw_server import PATIENCE, RawServer, says, whole
from registry import free_port
from spawnery.contract import Cancellation
from spawnery.errors import EngineError, EngineUnreachable
from spawnery_docker.client import APIClient
from spawnery_docker.errors import ApiError, Unanswered
from spawnery_docker.reach.endpoint import Endpoint
from spawnery_docker.reach.transport import _LocalConnection, reach
from urllib3.util.connection import is_connection_dropped

OK = whole(b"OK", Api_Version="1.44")


@contextlib.contextmanager
def engine_at(
    server: RawServer, seconds: float = PATIENCE, cancellation: Cancellation | None = None
) -> Iterator[APIClient]:
    """Lend a client of what plays the engine."""
    client = client_of({"DOCKER_HOST": server.address.replace("http", "tcp")})
    with contextlib.closing(client), client.within(seconds, cancellation=cancellation) as engine:
        yield engine


def silent(line: socket.socket) -> None:
    """Say nothing until the other side goes."""
    line.recv(1)


def test_an_answer_is_that_of_the_package() -> None:
    """What is lent is the package's own client, whose methods ask the engine."""
    with RawServer(says(OK)) as server, engine_at(server) as engine:
        assert engine.ping()
        assert engine.ping()
        assert engine.api_version == "1.44"
    assert [line.split()[:2] for line in server.asked] == [
        [b"GET", b"/_ping"],
        [b"GET", b"/v1.44/_ping"],
    ]


def test_an_error_status_is_told_with_the_engine_s_words() -> None:
    """The status, the engine's message, and the request without its version."""
    refusal = whole(b'{"message": "no such thing"}', "404 Not Found", Api_Version="1.44")
    with RawServer(says(OK), says(refusal)) as server, engine_at(server) as engine:
        engine.ping()
        with pytest.raises(ApiError, match="no such thing") as caught:
            engine.inspect_container("x")
    assert (caught.value.status, caught.value.path) == (404, "/containers/x/json")


def test_what_is_no_answer_of_an_engine_is_said() -> None:
    """Where an engine's answer should be and none is, the error names the address."""
    page = whole(b"<html>", Api_Version="1.44")
    unreadable = pytest.raises(EngineError, match="cannot be read")
    with RawServer(says(page)) as server, unreadable as caught, engine_at(server) as engine:
        engine.info()
    assert server.address.removeprefix("http://") in caught.value.message
    other = RawServer(says(b"SSH-2.0-OpenSSH\r\n"))
    with other as server, pytest.raises(EngineError) as caught, engine_at(server) as engine:
        engine.info()
    assert caught.value.cause == "engine.not_docker"


@pytest.mark.parametrize(
    "answer", [says(), says(OK[:40]), says(OK[: OK.index(b"\r\n") + 2]), says(OK[:-1])]
)
def test_a_request_that_was_sent_is_unanswered(answer) -> None:
    """A connection that breaks after the request, in header or body, leaves open what happened."""
    told = pytest.raises(Unanswered)
    with RawServer(answer) as server, told as caught, engine_at(server) as engine:
        engine.ping()
    assert caught.value.cause != "engine.timeout"
    assert len(server.asked) == 1


def test_the_limit_is_of_the_call() -> None:
    """An engine that says nothing is waited for as long as the call has."""
    told = pytest.raises(Unanswered, match=r"within 0\.2 s")
    with RawServer(silent) as server, told as caught, engine_at(server, 0.2) as engine:
        engine.ping()
    assert caught.value.cause == "engine.timeout"


def test_without_a_connection_nothing_happened() -> None:
    """Nobody listens: that is another error than an answer that does not come."""
    client = client_of({"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"})
    with pytest.raises(EngineUnreachable, match="refused"), client.within(PATIENCE) as engine:
        engine.ping()


def test_a_cancellation_cuts_a_call_off() -> None:
    """A job that is killed does not wait for the engine."""
    cancellation, begun = Cancellation(), time.monotonic()
    threading.Timer(0.2, cancellation.cancel).start()
    cut = pytest.raises(Unanswered)
    with RawServer(silent) as server, cut, engine_at(server, PATIENCE, cancellation) as engine:
        engine.ping()
    assert time.monotonic() - begun < PATIENCE


def test_nothing_of_the_caller_s_machine_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither netrc nor the proxies and authorities that requests would take count."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login planted password planted-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with RawServer(says(OK)) as server, engine_at(server) as engine:
        engine.ping()
    assert b"authorization" not in server.asked[0].lower()


def test_a_damaged_config_file_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The docker command warns of one and goes on; the package's constructor raises (7.2)."""
    (tmp_path / "config.json").write_text('{"auths": {"x": 5}, "proxies": 7}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with RawServer(says(OK)) as server, engine_at(server) as engine:
        assert engine.ping()


def test_a_kept_connection_among_very_many_descriptors() -> None:
    """Also one over 1023 is seen to be open, and to be closed by the engine."""
    endpoint = Endpoint(kind="unix", address="/nowhere")
    with high_pair() as (here, there):
        connection = _LocalConnection("localhost", endpoint=endpoint)
        connection.sock = here
        assert not is_connection_dropped(connection)
        there.close()
        assert is_connection_dropped(connection)


def test_a_peer_that_is_gone_without_a_word_is_noticed() -> None:
    """TCP connections are kept alive by the system, so that a stream ends at some time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        url, adapter = reach(Endpoint(kind="tcp", address=address))
        made = adapter.poolmanager.connection_from_url(url)._new_conn()
        with contextlib.closing(made):
            made.connect()
            assert made.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert made.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_a_proxy_of_the_environment_carries_the_calls() -> None:
    """HTTP_PROXY is asked for a plain TCP engine, with its login; NO_PROXY leaves it out."""
    host = {"DOCKER_HOST": "tcp://engine.example:2375"}
    with RawServer(says(OK)) as proxy:
        address = proxy.address.removeprefix("http://")
        environ = {**host, "HTTP_PROXY": f"http://me:planted@{address}"}
        client = client_of(environ)
        with contextlib.closing(client), client.within(PATIENCE) as engine:
            assert engine.ping()
        head = proxy.asked[0].split(b"\r\n")
        assert head[0].startswith(b"GET http://engine.example:2375/_ping")
        assert any(line.lower().startswith(b"proxy-authorization: basic") for line in head)
        other = client_of({**environ, "NO_PROXY": "engine.example"})
        with pytest.raises(EngineUnreachable) as caught, other.within(PATIENCE) as engine:
            engine.ping()
        assert len(proxy.asked) == 1
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Unavailable", "504 Gateway Timeout"])
def test_a_proxy_that_speaks_for_the_engine_is_no_answer(status: str) -> None:
    """Whether the engine acted is not known then, and it is no other program either."""
    refusal = whole(b"<html>", status, Server="proxy")
    with RawServer(says(refusal), says(OK), says(refusal)) as server:
        with engine_at(server) as engine, pytest.raises(Unanswered, match=status):
            engine.info()
        with engine_at(server) as engine:
            engine.ping()
            with pytest.raises(Unanswered, match=f"POST /containers/create: a proxy .* {status}"):
                engine.create_container_from_config({"Image": "x"}, "name")


def test_an_engine_s_own_status_is_an_answer() -> None:
    """A 503 that names the engine's version comes from the engine itself."""
    refusal = whole(b'{"message": "busy"}', "503 Service Unavailable", Api_Version="1.44")
    with (
        RawServer(says(refusal)) as server,
        engine_at(server) as engine,
        pytest.raises(ApiError, match="busy"),
    ):
        engine.info()
