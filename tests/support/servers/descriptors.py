"""Sockets with a descriptor that select(2) does not take."""

from __future__ import annotations

import fcntl
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_OVER = 2000


@contextmanager
def high_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a connection; the first one's descriptor is over 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = max(soft, _OVER * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, max(enough, hard)))
    low, there = socket.socketpair()
    here = socket.socket(fileno=fcntl.fcntl(low.fileno(), fcntl.F_DUPFD, _OVER))
    low.close()
    with here, there:
        yield here, there
