"""A Redis-compatible server inside this process, for ``chat``: nothing to install, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def embedded_redis() -> Iterator[str]:
    """Run the server on a free port of the loopback interface; yields its address.

    Raises:
        ImportError: The extra ``chat`` is not installed.
    """
    from fakeredis import TcpFakeServer  # noqa: PLC0415 - only where chat is used

    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="embedded-redis", daemon=True)
    thread.start()
    port = server.server_address[1]
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.shutdown()
        server.server_close()
