"""Streams give the bytes of a body, and a broken one is never taken for one that is over."""

from __future__ import annotations

import contextlib
import gc
import http.client
import itertools
import threading

import pytest
from docker_host import client_of
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_server import PATIENCE, RawServer, Script, says, whole
from spawnery_docker.errors import Unanswered
from spawnery_docker.reach.http_stream import ByteStream, Held, json_lines

HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def chunked(chunks: list[bytes]) -> bytes:
    """Return a body as the engine sends it."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@contextlib.contextmanager
def opened(script: Script):
    """Open a stream of what a server says."""
    with RawServer(script) as server:
        client = client_of({"DOCKER_HOST": server.address.replace("http", "tcp")})
        stream = client.stream("GET", "/events", query={}, timeout=PATIENCE)
        with contextlib.closing(client), contextlib.closing(stream):
            yield stream


def all_of(stream: ByteStream) -> bytes:
    """Read a stream to its end."""
    return b"".join(iter(stream.read1, b""))


@settings(deadline=None, max_examples=25)
@given(CHUNKS, st.lists(st.integers(0, 10**4), max_size=8))
def test_any_cutting_gives_the_same_bytes(chunks: list[bytes], cuts: list[int]) -> None:
    """However the bytes arrive, the body is the same, and its end is a clean one."""
    wire = CHUNKED + chunked(chunks)
    places = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    pieces = [wire[begin:end] for begin, end in itertools.pairwise(places)]
    with opened(says(*pieces)) as stream:
        assert all_of(stream) == b"".join(chunks)


@settings(deadline=None, max_examples=25)
@given(CHUNKS, st.integers(0, 10**4))
def test_a_chunked_body_that_is_cut_raises(chunks: list[bytes], cut: int) -> None:
    """Wherever the connection ends before the last chunk, that is no end of the body."""
    body = chunked(chunks)
    broken = pytest.raises(OSError, match="closed inside the answer")
    with broken, opened(says(CHUNKED + body[: cut % (len(body) - 4)])) as stream:
        all_of(stream)


def test_all_chunks_that_are_there_are_read_at_once() -> None:
    """The engine sends each line of a log as a chunk; they do not come one by one."""
    with opened(says(CHUNKED + chunked([b"one\n", b"two\n"])[:-5])) as stream:
        assert stream.read1() == b"one\ntwo\n"


@pytest.mark.parametrize(
    "body", [b"x\r\n", b"-5\r\n", b"3\r\nabcd\r\n", b"\r\n", b"1" * 5000, b"3;a=b\r\nabc--0\r\n"]
)
def test_a_body_that_is_not_chunked_raises(body: bytes) -> None:
    """What is no size of a chunk ends the stream as a broken one."""
    broken = pytest.raises(OSError, match="closed inside the answer")
    with broken, opened(says(CHUNKED + body + b"0\r\n\r\n")) as stream:
        all_of(stream)


def test_a_body_of_known_length_that_is_cut_raises() -> None:
    """A body shorter than its header says is no whole one."""
    broken = pytest.raises(OSError, match="closed inside the answer")
    with broken, opened(says(whole(b"0123456789", Api_Version="1.44")[:-3])) as stream:
        all_of(stream)


def test_a_body_without_a_length_comes_as_it_arrives() -> None:
    """Bytes are handed over when they are there, also where no chunk says how many."""
    release = threading.Event()

    def talk(line) -> None:
        line.sendall(HEAD + b"\r\nfirst")
        release.wait(PATIENCE)
        line.sendall(b"second")

    with opened(talk) as stream:
        assert stream.read1() == b"first"
        release.set()
        assert all_of(stream) == b"second"


@pytest.mark.parametrize("head", [CHUNKED + b"1\r\nx\r\n", HEAD + b"\r\nx"])
def test_closing_wakes_a_reader(head: bytes) -> None:
    """Close from another thread ends a wait for bytes as a clean end."""
    ended: list[bytes] = []

    def talk(line) -> None:
        line.sendall(head)
        line.recv(1)

    with opened(talk) as stream:
        assert stream.read1() == b"x"
        thread = threading.Thread(target=lambda: ended.append(stream.read1()))
        thread.start()
        stream.close()
        thread.join(PATIENCE)
        assert ended == [b""]
        assert stream.read1() == b""


def test_lines_of_json() -> None:
    """Objects are found over the borders of chunks; what is no object is passed over."""
    body = chunked([b'{"a": 1}\n{"b"', b": 2}\nno json\n[3]\n", b'{"c": 4}'])
    with opened(says(CHUNKED + body)) as stream:
        assert list(json_lines(stream)) == [{"a": 1}, {"b": 2}, {"c": 4}]


@contextlib.contextmanager
def held(script: Script):
    """Hold an answer of a server."""
    with RawServer(script) as server:
        client = client_of({"DOCKER_HOST": server.address.replace("http", "tcp")})
        answer: Held = client.hold("/containers/x/wait", query={}, timeout=PATIENCE)
        with contextlib.closing(client), answer.sock:
            answer.sock.settimeout(PATIENCE)
            yield answer


def test_what_came_with_the_header_is_not_lost() -> None:
    """A held answer's first bytes may have come with its header, the rest by the bare socket."""
    body = chunked([b'{"StatusCode": 3, ', b'"Error": null}'])
    with held(says(CHUNKED + body[:9], body[9:], pause=0.2)) as answer:
        data = answer.rest
        while piece := answer.sock.recv(4096):
            with pytest.raises(http.client.HTTPException):
                answer.decode(data)
            data += piece
        assert answer.decode(data) == b'{"StatusCode": 3, "Error": null}'


@pytest.mark.parametrize("framing", [b"Connection: close\r\n\r\n", b"\r\n"])
def test_a_held_answer_stays_open_where_the_other_side_will_close(framing: bytes) -> None:
    """A proxy that ends each connection behind its answer takes no socket from the selector."""
    release = threading.Event()

    def talk(line) -> None:
        line.sendall(HEAD + framing)
        release.wait(PATIENCE)
        line.sendall(b"later")

    with held(talk) as answer:
        gc.collect()
        release.set()
        assert answer.sock.recv(10) == b"later"
        assert answer.sock.recv(10) == b""


@given(CHUNKS.filter(bool), st.integers(0, 10**4))
def test_a_part_of_an_answer_is_none(chunks: list[bytes], cut: int) -> None:
    """A held body without its last chunk is refused."""
    body, answer = chunked(chunks), object.__new__(Held)
    answer._chunked = True
    assert answer.decode(body) == b"".join(chunks)
    with pytest.raises(http.client.HTTPException):
        answer.decode(body[: cut % (len(body) - 4)])


@pytest.mark.parametrize("cut", [len(HEAD), len(CHUNKED) - 2])
def test_a_header_that_is_cut_is_no_answer(cut: int) -> None:
    """Where the header breaks off behind a whole line, no stream begins that would end at once."""
    with pytest.raises(Unanswered, match="inside the header"), opened(says(CHUNKED[:cut])):
        pass
