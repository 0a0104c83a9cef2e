"""Answers, read whole or as they come."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from spawnery.errors import EngineError
from spawnery_kubernetes.calls import http_stream as transport
from spawnery_kubernetes.calls.http_stream import LineStream, Reply, error_of, warnings_of
from spawnery_kubernetes.errors import Broken

PATIENCE = 30.0


class Source:
    """A connection on which pieces come, as a stream sees it."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        self._pieces = iter(pieces)
        self.shut = threading.Event()
        self.freed = 0

    def read(self, _size: int) -> bytes:
        """Return the next piece; without one, wait until it is shut."""
        piece = next(self._pieces, None)
        if piece is None:
            assert self.shut.wait(PATIENCE)
            raise Broken("shut")
        if isinstance(piece, Exception):
            raise piece
        return piece

    def free(self) -> None:
        """Count."""
        self.freed += 1

    def stream(self) -> LineStream:
        """Make the stream."""
        return LineStream(self.read, self.shut.set, self.free)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\nc", b"\n"], [b"ab", b"c"]),
        ([b"a\n\nb"], [b"a", b"", b"b"]),
        ([], []),
        ([b"123456789\nb\n"], [b"b"]),
        ([b"1234", b"5678", b"9\nb\n"], [b"b"]),
        ([b"1234", b"5678\nb\n"], [b"12345678", b"b"]),
        ([b"123456789"], []),
    ],
)
def test_lines(pieces: list[bytes], expected: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come whole wherever they were cut; one that is too long (here 8 bytes) is left out."""
    monkeypatch.setattr(transport, "_LINE_LIMIT", 8)
    source = Source([*pieces, b""])
    assert list(source.stream().lines()) == expected
    assert source.freed


def test_a_break() -> None:
    """A break is told, the line that it cut is left out, and the connection is freed."""
    source = Source([b"a\nb", Broken("reset")])
    lines = source.stream().lines()
    assert next(lines) == b"a"
    with pytest.raises(Broken, match="reset"):
        next(lines)
    assert source.freed


def test_nothing_after_the_end() -> None:
    """What has ended stays ended."""
    stream = Source([b"a", b""]).stream()
    assert [stream.read1(), stream.read1(), stream.read1()] == [b"a", b"", b""]


def test_close_wakes_a_reader() -> None:
    """A reader that waits ends as at a clean end, and the connection is freed by then."""
    source = Source([b"a\n"])
    stream, told = source.stream(), []
    reader = threading.Thread(target=lambda: told.extend(stream.lines()))
    reader.start()
    stream.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert told in ([], [b"a"])
    assert source.freed
    stream.close()


def test_close_frees_without_a_reader() -> None:
    """Who stops reading before the end leaves no connection behind."""
    source = Source([b"a\nb\n"])
    with source.stream() as stream:
        assert next(stream.lines()) == b"a"
    assert source.shut.is_set()
    assert source.freed == 1
    assert stream.closed
    assert stream.read1() == b""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ()),
        (['299 - "unknown field \\"spec.nope\\""'], ('unknown field "spec.nope"',)),
        (['299 - "a"', '299 host:80 "b"'], ("a", "b")),
        (['299 - "a, \\"b\\"", 299 - "c"'], ('a, "b"', "c")),
        (["garbage"], ()),
    ],
)
def test_warnings(values: list[str], expected: tuple[str, ...]) -> None:
    """Warning header fields, each in its own or several in one."""
    assert warnings_of(values) == expected


def test_an_error_status() -> None:
    """A metav1.Status is taken apart."""
    body = b'{"kind":"Status","message":"jobs.batch \\"j\\" already exists","code":409,'
    body += b'"reason":"AlreadyExists","details":{"name":"j"}}'
    error = error_of(409, {"Retry-After": "3"}, body, method="POST", path="/x")
    assert (error.status, error.reason) == (409, "AlreadyExists")
    assert error.message == 'jobs.batch "j" already exists'
    assert error.details == {"name": "j"}
    assert error.retry_after == 3.0


@pytest.mark.parametrize("body", [b"<html>Bad  Gateway</html>", b"[1]", b'{"kind":"Job"}', b"\xff"])
def test_an_error_that_is_no_status(body: bytes) -> None:
    """What a load balancer says in the place of the cluster is told as it is."""
    error = error_of(502, {"Retry-After": "Wed, 21 Oct"}, body, method="GET", path="/x")
    assert error.message == " ".join(body.decode("utf-8", "replace").split())
    assert (error.reason, error.details, error.retry_after) == ("", {}, None)


def test_a_reply_that_is_no_json() -> None:
    """A login page in the place of the API is an error in words."""
    reply = Reply(200, {}, b"<html><h1>Please log in</h1>")
    with pytest.raises(EngineError, match=r"no Kubernetes API.*<html>"):
        reply.json()
    assert Reply(200, {}, b"").json() is None
