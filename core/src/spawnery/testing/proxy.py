"""A proxy between an engine's SDK and the engine's real API, which injects faults on the way.

It speaks HTTP/1.1 over TCP or unix sockets, TLS on either side, and is transparent where no rule
strikes: bytes go through as they came and at once, streams and hijacked connections included.
Point the SDK at ``address``::

    with TransportProxy("unix:///var/run/docker.sock") as proxy:
        proxy.arm(Rule(Fault.DROP_AFTER, method="POST", path="/containers/create", nth=1))
        client = docker.DockerClient(base_url=proxy.address)

Every request travels on an engine connection of its own, so that cutting one touches no other.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from spawnery.testing.faults import Fault, FaultBook, Hook, Rule, Seen
from spawnery.testing.proxy_exchange import serve
from spawnery.testing.proxy_wire import Address, Doorway, Wire

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")
_log = logging.getLogger(__name__)
_HOOK_THREADS = 256


class TransportProxy:
    """A ``FaultPort`` in front of a real engine API; every method thread-safe.

    It listens from construction until ``close()``, which a ``with`` block calls.

    Args:
        upstream: The engine's API: ``unix:///path`` or ``tcp://host:port``.
        listen: Where callers connect, in the same form; a free port of 127.0.0.1 when None. A
            file that is at a unix path already is replaced.
        server_tls: Context with the proxy's own certificate, for callers that speak TLS.
        upstream_tls: Context for the engine (its authority, a client certificate).

    Raises:
        ConfigurationError: An address is malformed, or ``listen`` cannot be bound.
    """

    def __init__(
        self,
        upstream: str,
        *,
        listen: str | None = None,
        server_tls: ssl.SSLContext | None = None,
        upstream_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.on_request: Hook | None = None
        self.on_response: Hook | None = None
        self._upstream = Address.parse(upstream)
        self._server_tls = server_tls
        self._upstream_tls = upstream_tls
        self._book = FaultBook()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()
        self._release = asyncio.Event()
        self._stop = asyncio.Event()
        self._closing = threading.Lock()
        self._closed = False
        self._door = Doorway(Address.parse(listen or "tcp://127.0.0.1:0"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where callers connect: ``unix:///path`` or ``tcp://host:port``."""
        return str(self._door.address)

    def arm(self, rule: Rule) -> None:
        """Add a rule; of several that strike the same request, the one armed first wins."""
        if rule.fault is Fault.REFUSE:
            self.refuse()
        else:
            self._book.arm(rule)

    def clear(self) -> None:
        """End every fault: forget the rules, accept connections, end delays, close stalled ones."""
        self._book.clear()
        self._on_loop(self._recover)

    def seen(self) -> tuple[Seen, ...]:
        """The journal: every request so far, in order of arrival."""
        return self._book.seen()

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """How many requests of the journal have the method and a target where path is found."""
        return self._book.count(method, path)

    def refuse(self) -> None:
        """Refuse new connections, as an engine that is down; open ones go on."""
        self._on_loop(self._shut)

    def accept(self) -> None:
        """Accept connections again, at the same address."""
        self._on_loop(self._open)

    def cut_all(self) -> None:
        """Reset every open connection of callers now, and drop those to the engine."""
        self._on_loop(self._cut_all)

    def close(self) -> None:
        """End all connections, threads and sockets; idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # What the exchanges ask for, on the loop.

    def record(self, method: str, path: str) -> Seen:
        """Write a request into the journal; for the proxy's own use."""
        return self._book.record(method, path)

    def strike(self, seen: Seen) -> Rule:
        """Return the rule that strikes a request; for the proxy's own use."""
        return self._book.strike(seen)

    def released(self) -> asyncio.Event:
        """Return what the next ``clear()`` sets; for the proxy's own use."""
        return self._release

    async def upstream(self) -> Wire:
        """Connect to the engine; for the proxy's own use."""
        return await Wire.connect(self._upstream, self._upstream_tls)

    def _on_loop(self, work: Callable[[], T]) -> None:
        """Run something on the loop and wait for it; nothing to do once closed."""
        done = threading.Event()
        failures: list[Exception] = []

        def run() -> None:
            try:
                work()
            except Exception as failure:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(failure)
            finally:
                done.set()

        with self._closing:
            if self._closed:
                return
            self._loop.call_soon_threadsafe(run)
            done.wait()
        if failures:
            raise failures[0]

    def _run(self) -> None:
        """The thread: one loop for all connections."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        """Serve until ``close()``, then leave nothing behind."""
        self._loop.set_default_executor(ThreadPoolExecutor(_HOOK_THREADS, "fault-proxy-hook"))
        self._open()
        try:
            await self._stop.wait()
        finally:
            self._shut()
            self._door.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self) -> None:
        """Listen and accept."""
        self._door.open()
        if self._door.listener is not None:
            self._loop.add_reader(self._door.listener, self._accept)

    def _shut(self) -> None:
        """Stop accepting and listening."""
        if self._door.listener is not None:
            self._loop.remove_reader(self._door.listener)
        self._door.shut()

    def _recover(self) -> None:
        """Accept again, and let go what waits for a release."""
        self._open()
        self._release.set()
        self._release = asyncio.Event()

    def _accept(self) -> None:
        """Take one connection over into a task of its own."""
        if self._door.listener is None:
            return
        try:
            sock, _peer = self._door.listener.accept()
        except OSError:
            return
        sock.setblocking(False)  # noqa: FBT003
        task = self._loop.create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that close() cancels before its first step never takes the socket over.
        task.add_done_callback(lambda ended: sock.close() if ended.cancelled() else None)

    async def _serve(self, sock: socket.socket) -> None:
        """Serve one connection to its end; a broken one is reset, as the engine's was."""
        try:
            client = await Wire.accepted(sock, self._server_tls)
        except OSError as failure:
            _log.debug("no connection with a caller: %s", failure)
            return
        self._wires.add(client)
        try:
            await serve(self, client)
        except* OSError as broken:
            _log.debug("a connection broke: %s", broken.exceptions)
            client.reset()
        finally:
            self._wires.discard(client)
            if self._stop.is_set():
                client.drop()
            await client.close()

    def _cut_all(self) -> None:
        """Reset all callers; their engine connections end with the exchanges."""
        for wire in tuple(self._wires):
            wire.reset()
