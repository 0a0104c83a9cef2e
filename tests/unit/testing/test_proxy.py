"""The fault proxy against real HTTP servers, with http.client and plain sockets."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import socket
import socketserver
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from spawnery.errors import ConfigurationError
from spawnery.testing.faults import Fault, FaultBook, FaultPort, Rule
from spawnery.testing.proxy import TransportProxy

LONG = 60


class Engine(BaseHTTPRequestHandler):
    """A small engine: counts what it did, echoes, streams, hijacks."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def _reply(self, body, **fields):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_GET(self):
        self.server.acted.append((self.command, self.path))
        if self.path == "/empty":
            self.send_response(204)
            self.end_headers()
        elif self.path.startswith("/big"):
            self._reply(bytes(range(256)) * 8192)
        elif self.path == "/until-close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"to the end")
            self.close_connection = True
        elif self.path == "/events":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while (item := self.server.feed.pop(0) if self.server.feed else None) != b"":
                if item is None:
                    self.server.more.wait(0.05)
                    continue
                self._chunk(item)
            self._chunk(b"")
        else:
            self._reply(b"hello")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self):
        self.server.acted.append((self.command, self.path))
        body = self._body()
        if self.path not in {"/attach", "/upgrade"}:
            self._reply(body)
            return
        if self.path == "/upgrade":
            self.send_response_only(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "tcp")
        else:
            self.send_response_only(200)
            self.send_header("Content-Type", "application/vnd.docker.raw-stream")
        self.end_headers()
        got = b""
        while data := self.rfile.read1(100):
            got += data
            self.wfile.write(data)
        self.wfile.write(b"|" + str(len(got)).encode())
        self.close_connection = True


class TcpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context = None

    def setup(self):
        self.acted, self.feed, self.more = [], [], threading.Event()

    def finish_request(self, request, client_address):
        with contextlib.suppress(OSError):
            if self.context is None:
                super().finish_request(request, client_address)
                return
            with self.context.wrap_socket(request, server_side=True) as secure:
                self.RequestHandlerClass(secure, client_address, self)

    def handle_error(self, request, client_address):
        pass


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def engine():
    server = TcpServer(("127.0.0.1", 0), Engine)
    server.setup()
    with serving(server):
        yield server


@pytest.fixture
def proxy(engine):
    with TransportProxy(f"tcp://127.0.0.1:{engine.server_port}") as made:
        yield made


def port_of(proxy):
    return int(proxy.address.rpartition(":")[2])


@contextlib.contextmanager
def calling(proxy):
    connection = http.client.HTTPConnection("127.0.0.1", port_of(proxy), timeout=LONG)
    try:
        yield connection
    finally:
        connection.close()


def get(connection, path="/hello", method="GET", **more):
    connection.request(method, path, **more)
    response = connection.getresponse()
    return response.status, response.read()


def raw(proxy, data):
    sock = socket.create_connection(("127.0.0.1", port_of(proxy)), timeout=LONG)
    sock.sendall(data)
    return sock


def read_all(sock):
    """Everything up to the end, and whether that end was a reset."""
    got = b""
    while True:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            return got, True
        if not data:
            return got, False
        got += data


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.01)


GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


def test_port(proxy):
    """The proxy is a FaultPort."""
    assert isinstance(proxy, FaultPort)


def test_keep_alive(proxy):
    """Several requests with bodies of every kind travel on one connection."""
    with calling(proxy) as connection:
        assert get(connection) == (200, b"hello")
        first = connection.sock
        assert get(connection, "/hello", "HEAD") == (200, b"")
        assert get(connection, "/empty") == (204, b"")
        assert get(connection, "/echo", "POST", body=b"x" * 300_000) == (200, b"x" * 300_000)
        parts = iter([b"one", b"two" * 9000, b"three"])
        reply = get(connection, "/echo", "POST", body=parts, encode_chunked=True)
        assert reply == (200, b"one" + b"two" * 9000 + b"three")
        assert connection.sock is first
        assert get(connection, "/until-close") == (200, b"to the end")
    assert [seen.index for seen in proxy.seen()] == [1, 2, 3, 4, 5, 6]
    assert proxy.count("POST", "/echo$") == 2
    assert proxy.count() == 6


def test_pipelined(proxy):
    """Requests sent in one go are answered in order, and Connection: close ends it."""
    last = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with raw(proxy, GET + last) as sock:
        got, was_reset = read_all(sock)
    assert got.count(b"hello") == 2
    assert not was_reset


def test_expect_continue(proxy):
    """The engine's 100 Continue reaches the caller before the body is sent."""
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
    with raw(proxy, head + b"Connection: close\r\n\r\n") as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"abc")
        got, _ = read_all(sock)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"abc")


def test_stream_at_once(engine, proxy):
    """A chunk reaches the caller while the stream goes on."""
    with calling(proxy) as connection:
        connection.request("GET", "/events")
        response = connection.getresponse()
        for item in (b"first\n", b"second\n"):
            engine.feed.append(item)
            assert response.readline() == item
        engine.feed.append(b"")
        assert response.read() == b""


@pytest.mark.parametrize("path", ["/upgrade", "/attach"])
def test_hijack(proxy, path):
    """After an upgrade bytes flow both ways and a half-close is passed on."""
    with raw(proxy, f"POST {path} HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n\r\n".encode()) as sock:
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += sock.recv(1000)
        for word in (b"ping", b"pong"):
            sock.sendall(word)
            assert sock.recv(4) == word
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == (b"|8", False)


def test_delay(engine, proxy):
    """DELAY holds the request back; clear() ends the wait and the request is served."""
    proxy.arm(Rule(Fault.DELAY, delay_seconds=3600))
    with calling(proxy) as connection:
        connection.request("GET", "/hello")
        until(lambda: proxy.count() == 1)
        assert engine.acted == []
        proxy.clear()
        assert connection.getresponse().read() == b"hello"
        proxy.arm(Rule(Fault.DELAY, delay_seconds=0.2))
        start = time.monotonic()
        get(connection)
        assert time.monotonic() - start >= 0.2


def test_drop_before(engine, proxy):
    """DROP_BEFORE closes the connection and the engine sees nothing."""
    proxy.arm(Rule(Fault.DROP_BEFORE))
    with raw(proxy, GET) as sock:
        assert read_all(sock) == (b"", False)
    assert engine.acted == []
    assert proxy.count("GET", "hello") == 1


@pytest.mark.parametrize("path", ["/echo", "/big"])
def test_drop_after(engine, proxy, path):
    """DROP_AFTER: the engine acted exactly once and the caller got no byte."""
    proxy.arm(Rule(Fault.DROP_AFTER))
    method = "POST" if path == "/echo" else "GET"
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    with raw(proxy, request.encode()) as sock:
        assert read_all(sock) == (b"", False)
    assert engine.acted == [(method, path)]


def test_drop_after_stream(engine, proxy):
    """DROP_AFTER of an endless stream does not wait for its end."""
    proxy.arm(Rule(Fault.DROP_AFTER))
    with raw(proxy, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        assert read_all(sock) == (b"", False)
    assert engine.acted == [("GET", "/events")]
    engine.feed.append(b"")


@pytest.mark.parametrize("size", [0, 1, 1000, 1_500_000])
def test_cut_exact(proxy, size):
    """CUT_MID_STREAM lets exactly that many bytes of body through, then resets."""
    proxy.arm(Rule(Fault.CUT_MID_STREAM, after_bytes=size))
    with raw(proxy, b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        got, was_reset = read_all(sock)
    body = got.partition(b"\r\n\r\n")[2]
    assert body == (bytes(range(256)) * 8192)[:size]
    assert was_reset


def test_cut_chunked(engine, proxy):
    """In a chunked stream the framing does not count, and what came before is read."""
    proxy.arm(Rule(Fault.CUT_MID_STREAM, after_bytes=8))
    engine.feed += [b"12345", b"67890", b""]
    with raw(proxy, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        got, was_reset = read_all(sock)
    assert got.partition(b"\r\n\r\n")[2] == b"5\r\n12345\r\n5\r\n678"
    assert was_reset


def test_stall(engine, proxy):
    """STALL answers nothing until clear(), which closes; the engine saw nothing."""
    proxy.arm(Rule(Fault.STALL))
    with raw(proxy, GET) as sock:
        until(lambda: proxy.count() == 1)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(LONG)
        proxy.clear()
        assert read_all(sock) == (b"", False)
    assert engine.acted == []


def test_close_releases_stalled(engine):
    """close() ends stalled callers, the thread and the listener, and may be called twice."""
    proxy = TransportProxy(f"tcp://127.0.0.1:{engine.server_port}")
    proxy.arm(Rule(Fault.STALL))
    with raw(proxy, GET) as one, raw(proxy, b"POST") as two:
        until(lambda: proxy.count() == 1)
        proxy.close()
        proxy.close()
        assert read_all(one)[0] == b""
        assert read_all(two)[0] == b""
    assert not proxy._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        raw(proxy, GET)
    proxy.clear()


def test_error_500(engine, proxy):
    """ERROR_500 answers for the engine, body read, connection kept."""
    proxy.arm(Rule(Fault.ERROR_500, times=1))
    proxy.arm(Rule(Fault.ERROR_500, status=503, body=b"{}", times=1))
    with calling(proxy) as connection:
        reply = get(connection, "/echo", "POST", body=b"x" * 100_000)
        assert reply == (500, b'{"message": "injected fault"}')
        assert get(connection) == (503, b"{}")
        assert engine.acted == []
        assert get(connection) == (200, b"hello")


def test_error_500_after(engine, proxy):
    """ERROR_500_AFTER: the engine acted once, the caller gets the error."""
    proxy.arm(Rule(Fault.ERROR_500_AFTER))
    with calling(proxy) as connection:
        assert get(connection, "/echo", "POST", body=b"x")[0] == 500
    assert engine.acted == [("POST", "/echo")]


def test_refuse(proxy):
    """REFUSE refuses new connections only, until clear(); refuse() and accept() do the same."""
    with calling(proxy) as connection:
        assert get(connection) == (200, b"hello")
        for down, up in (
            (lambda: proxy.arm(Rule(Fault.REFUSE)), proxy.clear),
            (proxy.refuse, proxy.accept),
        ):
            down()
            with pytest.raises(ConnectionRefusedError):
                raw(proxy, GET)
            assert get(connection) == (200, b"hello")
            up()
            with calling(proxy) as other:
                assert get(other) == (200, b"hello")


def test_cut_all(engine, proxy):
    """cut_all() resets idle and streaming callers alike."""
    events = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    with raw(proxy, events) as one, raw(proxy, GET) as two:
        assert one.recv(10)
        assert two.recv(10)
        proxy.cut_all()
        assert read_all(one)[1]
        assert read_all(two)[1]
    engine.feed.append(b"")


def test_engine_down(engine):
    """With no engine behind it the proxy resets the caller and goes on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with TransportProxy(f"tcp://127.0.0.1:{port}") as proxy:
        for _ in range(2):
            with raw(proxy, GET) as sock:
                assert read_all(sock) == (b"", True)


def test_caller_gone(engine, proxy):
    """When the caller goes away, the engine's stream is ended too."""
    with raw(proxy, b"POST /upgrade HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        assert sock.recv(10)
    until(lambda: not proxy._tasks)


def test_hooks_in_order(engine, proxy):
    """on_request comes before the engine acts, on_response after it and before the caller."""
    order = []
    proxy.on_request = lambda seen: order.append(("request", seen.path, len(engine.acted)))
    proxy.on_response = lambda seen: order.append(("response", seen.path, len(engine.acted)))
    with calling(proxy) as connection:
        get(connection)
        order.append("caller")
    assert order == [("request", "/hello", 0), ("response", "/hello", 1), "caller"]


def test_hook_blocks_its_request_only(engine, proxy):
    """A request waits for its hook; others go on, and the caller gets no byte meanwhile."""
    inside, go = threading.Event(), threading.Event()

    def hook(seen):
        if seen.path == "/echo":
            inside.set()
            go.wait(LONG)

    proxy.on_response = hook
    post = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    with raw(proxy, post) as sock, calling(proxy) as connection:
        assert inside.wait(LONG)
        assert get(connection) == (200, b"hello")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(LONG)
        go.set()
        assert read_all(sock)[0].endswith(b"x")


def test_hook_fails(engine, proxy, caplog):
    """A hook that raises drops its request and is logged."""
    proxy.on_request = lambda seen: 1 / 0
    with raw(proxy, GET) as sock:
        assert read_all(sock) == (b"", False)
    assert engine.acted == []
    assert "ZeroDivisionError" in caplog.text


def test_selection():
    """Method, path, nth and times select; the first armed rule that strikes wins."""
    book = FaultBook()
    book.arm(Rule(Fault.DROP_BEFORE, method="post", path=r"/create\?", nth=2))
    book.arm(Rule(Fault.STALL, path="create", times=1))
    asked = [("POST", "/x"), *[("POST", "/create?a")] * 3, ("GET", "/create?a")]
    struck = [book.strike(book.record(*request)).fault for request in asked]
    assert struck == [Fault.PASS, Fault.STALL, Fault.DROP_BEFORE, Fault.PASS, Fault.PASS]


@pytest.mark.parametrize(
    "values", [{"nth": 0}, {"times": -1}, {"path": "("}, {"after_bytes": -1}, {"fault": "refuse"}]
)
def test_bad_rule(values):
    """A rule that could never strike is refused in words."""
    fault = Fault.REFUSE if values.pop("fault", None) else Fault.PASS
    with pytest.raises(ConfigurationError):
        Rule(fault, **({"nth": 1} if fault is Fault.REFUSE else values))


@pytest.mark.parametrize("text", ["http://x:1", "unix://", "tcp://host", "tcp://h:x", "/a"])
def test_bad_address(text):
    """An address that is neither unix nor tcp is refused."""
    with pytest.raises(ConfigurationError, match="no address"):
        TransportProxy(text)


def test_taken_address(engine):
    """A listen address in use is refused in words."""
    taken = f"tcp://127.0.0.1:{engine.server_port}"
    with pytest.raises(ConfigurationError, match="cannot listen"):
        TransportProxy(taken, listen=taken)


def test_concurrent(engine, proxy):
    """Fifty connections at once are each served, and each request journalled once."""
    barrier = threading.Barrier(50, timeout=LONG)
    proxy.on_request = lambda seen: barrier.wait()

    def call(number):
        with calling(proxy) as connection:
            return get(connection, "/echo", "POST", body=b"%d" % number)

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(call, range(50))) == [(200, b"%d" % n) for n in range(50)]
    assert len(engine.acted) == 50
    assert {seen.index for seen in proxy.seen()} == set(range(1, 51))


def test_unix(tmp_path):
    """Unix sockets on both sides, refusal and half-close included; the file goes at close."""
    upstream, listen = tmp_path / "engine.sock", tmp_path / "proxy.sock"
    server = UnixServer(str(upstream), Engine)
    server.acted = []

    def talk(data):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(LONG)
            sock.connect(str(listen))
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)[0]

    with serving(server), TransportProxy(f"unix://{upstream}", listen=f"unix://{listen}") as proxy:
        assert proxy.address == f"unix://{listen}"
        assert talk(GET).endswith(b"hello")
        upgraded = talk(b"POST /upgrade HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n\r\nabc")
        assert upgraded.endswith(b"abc|3")
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            talk(GET)
        proxy.accept()
        proxy.arm(Rule(Fault.CUT_MID_STREAM, after_bytes=2))
        assert talk(GET).endswith(b"\r\n\r\nhe")
    assert not listen.exists()


def _tls(folder):
    spec = importlib.util.spec_from_file_location(
        "tls_material", Path(__file__).with_name("tls_material.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.contexts(folder)


def test_tls_stream(engine, tmp_path):
    """A stream in TLS comes piece by piece, is cut exactly, and ends where its reader goes."""
    server_tls, client_tls = _tls(tmp_path)
    engine.context = server_tls
    address = f"tcp://127.0.0.1:{engine.server_port}"
    with TransportProxy(address, server_tls=server_tls, upstream_tls=client_tls) as proxy:
        port = port_of(proxy)
        proxy.arm(Rule(Fault.CUT_MID_STREAM, nth=2, after_bytes=8))
        made = [
            http.client.HTTPSConnection("127.0.0.1", port, timeout=LONG, context=client_tls)
            for _ in range(3)
        ]
        streamed, cut, left = map(contextlib.closing, made)
        with streamed as connection:
            connection.request("GET", "/events")
            response = connection.getresponse()
            for item in (b"first\n", b"second\n"):
                engine.feed.append(item)
                assert response.readline() == item
            engine.feed.append(b"")
            assert response.read() == b""
        with cut as connection:
            engine.feed += [b"12345", b"67890", b""]
            connection.request("GET", "/events")
            response = connection.getresponse()
            assert response.read(8) == b"12345678"
            with pytest.raises((OSError, http.client.HTTPException)):
                response.read()
        with left as connection:
            connection.request("GET", "/events")
            assert connection.getresponse().status == 200
        until(lambda: not proxy._tasks)
        engine.feed.append(b"")


def test_tls(engine, tmp_path):
    """TLS ends at the proxy and begins again with a client certificate; faults work the same."""
    server_tls, client_tls = _tls(tmp_path)
    with_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with_client.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with_client.load_verify_locations(tmp_path / "certificate.pem")
    with_client.verify_mode = ssl.CERT_REQUIRED
    engine.context = with_client
    address = f"tcp://127.0.0.1:{engine.server_port}"
    with TransportProxy(address, server_tls=server_tls, upstream_tls=client_tls) as proxy:
        port = port_of(proxy)
        secure = http.client.HTTPSConnection("127.0.0.1", port, timeout=LONG, context=client_tls)
        with contextlib.closing(secure) as connection:
            assert get(connection) == (200, b"hello")
            assert get(connection, "/echo", "POST", body=b"y" * 200_000)[1] == b"y" * 200_000
            proxy.arm(Rule(Fault.CUT_MID_STREAM, after_bytes=1_500_000, times=1))
            connection.request("GET", "/big")
            response = connection.getresponse()
            assert len(response.read(1_500_000)) == 1_500_000
            with pytest.raises((OSError, http.client.HTTPException)):
                response.read()
        with raw(proxy, b"no hello of TLS\r\n\r\n") as sock:
            read_all(sock)
        with contextlib.closing(secure) as connection:
            assert get(connection) == (200, b"hello")
