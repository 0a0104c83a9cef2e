"""One thread reads the sockets of all live jobs."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from spawnery_docker.reach.sockets import Sockets

PATIENCE = 30.0
MANY = 1000


@pytest.fixture
def threads() -> list[threading.Thread]:
    """The threads that were started."""
    return []


@pytest.fixture
def sockets(threads: list[threading.Thread]) -> Iterator[Sockets]:
    """Sockets whose threads are counted, and over at the end."""

    def start(name: str, run: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=run, name=name, daemon=True))
        threads[-1].start()

    made = Sockets(start)
    yield made
    made.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for two sockets of each job."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < hard < 3 * MANY:
        pytest.skip(f"at most {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_on_one_thread(sockets: Sockets, threads: list[threading.Thread]) -> None:
    """A thousand sockets are read by one thread; each one's bytes and end come to its reader."""
    pairs = [socket.socketpair() for _ in range(MANY)]
    heard: list[list[bytes]] = [[] for _ in pairs]
    ends = threading.Semaphore(0)
    for said, (ours, _) in zip(heard, pairs, strict=True):
        sockets.add(ours, said.append, ends.release)
    for number, (_, theirs) in enumerate(pairs):
        theirs.sendall(b"code %d" % number)
        theirs.close()
    for _ in pairs:
        assert ends.acquire(timeout=PATIENCE)
    assert [b"".join(said) for said in heard] == [b"code %d" % n for n in range(MANY)]
    assert len(threads) == 1


def test_a_dropped_socket_is_closed_without_a_word(sockets: Sockets) -> None:
    """Who gave up is not called, and the other side sees the end."""
    called: list[object] = []
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(PATIENCE)
        sockets.add(ours, called.append, lambda: called.append("end"))
        sockets.drop(ours)
        assert theirs.recv(1) == b""
    assert called == []


def test_after_close_a_socket_is_closed_at_once(sockets: Sockets) -> None:
    """What comes too late is not kept open."""
    sockets.close()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(PATIENCE)
        sockets.add(ours, lambda _data: None, lambda: None)
        assert theirs.recv(1) == b""
