"""A Redis of a test's own: on a free port, to be killed and started again with or without data."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tools import need

START_SECONDS = 30.0


def free_port() -> int:
    """Return a port on which nobody listens at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RedisServer:
    """One redis-server process; its data is in an append-only file in ``folder``.

    Args:
        folder: For its data.
        host: Where it listens; containers do not reach the loopback interface.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self._host = host
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        need("redis-server")
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    "redis-server",
                    *("--port", str(self.port), "--bind", self._host, "--dir", str(self.folder)),
                    *("--protected-mode", "no"),
                    *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
                ],
                stdout=output,
                stderr=output,
            )
        client = self.client()
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                client.ping()
            except Exception:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError(f"redis-server: {log.read_text()[-2000:]}") from None
                time.sleep(0.05)
            else:
                break
        client.close()

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def restart(self, *, forget: bool = False) -> None:
        """Crash it and start it again, with its data or without."""
        self.stop()
        if forget:
            shutil.rmtree(self.folder)
            self.folder.mkdir()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> Any:
        """Return a blocking client of a test's own."""
        from redis import Redis

        return Redis.from_url(self.url, decode_responses=True, socket_timeout=10)
