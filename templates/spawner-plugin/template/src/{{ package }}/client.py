"""The only module that talks to the host: runs the command and sends it scripts."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import secrets
import select
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Final

from spawnery.contract import Cancellation, Deadline
from spawnery.errors import EngineTimeout

from . import errors
from .settings import ShellSettings

_PIECE: Final = 65536
_KILL_SECONDS: Final = 5.0
_SLOT_SECONDS: Final = 0.2


def script(*names: str, before: str = "", arguments: tuple[str, ...] = ()) -> str:
    """Return a script whole.

    The call is the last thing in it, inside of braces: a shell that gets only a part of the text,
    because we died or the connection broke, runs none of it.

    Args:
        names: The files of ``scripts/``, ``common`` left out.
        before: Text in front of them.
        arguments: Of its function ``main``.
    """
    folder = resources.files(__package__) / "scripts"
    texts = [(folder / f"{name}.sh").read_text(encoding="utf-8") for name in ("common", *names)]
    return "\n".join([before, *texts, "{", f"main {shlex.join(arguments)}", "echo end", "}", ""])


class Connection:
    """One running command with a shell at its other end; closed from any thread.

    Args:
        argv: The command.
        environ: Its environment.

    Attributes:
        forget: Called when it is closed.
    """

    def __init__(self, argv: list[str], environ: Mapping[str, str]) -> None:
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection
        self._buffer = b""
        self._closing = threading.Lock()
        self.forget: Callable[[], None] = lambda: None
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._talk,
                env=dict(environ),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._talk.close()
            raise errors.not_started(argv, error) from None
        self._argv = argv
        woken, wake = os.pipe()
        self._woken: int | None = woken
        self._wake: int | None = wake

    def greet(self, deadline: Deadline) -> None:
        """Wait until a shell answers; up to here nothing can have happened on the host.

        Raises:
            EngineUnreachable, EngineDenied: The command ended, or nobody answered.
        """
        word = secrets.token_hex(8)
        try:
            self._send(f"exec 2>/dev/null; echo {word}\n".encode(), deadline)
            while self.line(deadline) != word:
                pass
        except (OSError, EOFError, EngineTimeout):
            raise self._refusal() from None

    def tell(self, text: str, deadline: Deadline) -> None:
        """Send a script, and nothing after it.

        Raises:
            OSError: The connection broke.
            EngineTimeout: It took too long.
        """
        self._send(text.encode(), deadline)
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()

    def _send(self, data: bytes, deadline: Deadline) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise BrokenPipeError
        os.set_blocking(stdin.fileno(), False)
        view = memoryview(data)
        while view:
            _ready(stdin.fileno(), select.POLLOUT, deadline, self._woken)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(stdin.fileno(), view) :]

    def line(self, deadline: Deadline) -> str:
        """Read a line.

        Raises:
            EOFError: The connection ended before it was whole.
            EngineTimeout: It took too long.
        """
        while b"\n" not in self._buffer:
            self._more(deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def piece(self, most: int, deadline: Deadline) -> bytes:
        """Read at least one and at most ``most`` bytes; raises as ``line``."""
        if not self._buffer:
            self._more(deadline)
        most = min(most, _PIECE)
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece

    def _more(self, deadline: Deadline) -> None:
        stdout = self._process.stdout
        if stdout is None:
            raise EOFError
        try:
            _ready(stdout.fileno(), select.POLLIN, deadline, self._woken)
        except BrokenPipeError:
            raise EOFError from None
        data = os.read(stdout.fileno(), _PIECE)
        if not data:
            raise EOFError
        self._buffer += data

    def _refusal(self) -> Exception:
        """Say why no shell answers, from what the command printed."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        self._talk.seek(0)
        return errors.no_shell(self._argv, code, self._talk.read(_PIECE))

    def interrupt(self) -> None:
        """End the command and wake a blocked reader; from any thread.

        A child of the command may have the pipe too, so that the command's end alone wakes nobody.
        """
        with self._closing:
            if self._process.poll() is None:
                self._process.kill()
            if self._wake is not None:
                os.close(self._wake)
                self._wake = None

    def close(self) -> None:
        """Leave nothing behind; called by the reader."""
        self.forget()
        self.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._talk):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with self._closing:
            if self._woken is not None:
                os.close(self._woken)
                self._woken = None


def _ready(handle: int, event: int, deadline: Deadline, woken: int | None) -> None:
    """Wait until something can be read or written.

    Args:
        handle: Where.
        event: ``select.POLLIN`` or ``select.POLLOUT``.
        deadline: How long.
        woken: Becomes ready when the connection was interrupted.

    Raises:
        BrokenPipeError: It was interrupted.
        EngineTimeout: It took too long.
    """
    if woken is None:
        raise BrokenPipeError
    poll = select.poll()
    poll.register(handle, event)
    poll.register(woken, select.POLLIN)
    ready = poll.poll(deadline.remaining() * 1000)
    if not ready:
        msg = "the host did not answer in time"
        raise EngineTimeout(msg)
    if woken in {at for at, _ in ready}:
        raise BrokenPipeError


class Client:
    """Runs scripts on the host.

    Args:
        settings: The command and what it gets.
        environ: Our own environment.
    """

    def __init__(self, settings: ShellSettings, environ: Mapping[str, str]) -> None:
        self.argv = shlex.split(settings.command)
        self._environ = {
            name: value
            for name, value in environ.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.environment)
        }
        self._slots = threading.BoundedSemaphore(settings.connections)

    def open(
        self, text: str, deadline: Deadline, cancellation: Cancellation | None = None
    ) -> Connection:
        """Send a script whose answer is read piece by piece.

        Args:
            text: The script.
            deadline: When to give up.
            cancellation: Ends the connection, like one that breaks.

        Raises:
            ConfigurationError: No command is set.
            EngineUnreachable, EngineDenied, EngineTimeout: No shell answers.
        """
        if not self.argv:
            raise errors.no_command()
        connection = Connection(self.argv, self._environ)
        if cancellation is not None:
            connection.forget = cancellation.on_cancel(connection.interrupt)
        try:
            connection.greet(deadline)
            connection.tell(text, deadline)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise errors.broken(self.argv) from None
            raise
        return connection

    def run(
        self, text: str, deadline: Deadline, cancellation: Cancellation | None = None
    ) -> list[str]:
        """Send a script and return the lines that it answers; arguments as for ``open``.

        Raises:
            Ambiguous: The connection broke, or the time was over, after the script was sent.
            EngineUnreachable, EngineDenied, ConfigurationError: It was not sent.
        """
        while not self._slots.acquire(timeout=min(_SLOT_SECONDS, deadline.remaining())):
            if deadline.expired or (cancellation is not None and cancellation.requested):
                raise errors.busy(self.argv)
        try:
            connection = self.open(text, deadline, cancellation)
            try:
                return list(_until_end(connection, deadline))
            except EOFError:
                raise errors.broken(self.argv) from None
            finally:
                connection.close()
        finally:
            self._slots.release()


def _until_end(connection: Connection, deadline: Deadline) -> Iterator[str]:
    while (line := connection.line(deadline)) != "end":
        yield line
