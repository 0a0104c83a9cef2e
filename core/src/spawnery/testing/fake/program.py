"""The little language of the fake's jobs: a ``command`` becomes what is written when, and the end.

One step per word of ``command`` and ``args``:

====================  ==============================================================
``print:TEXT``        a line on stdout
``err:TEXT``          a line on stderr
``write:TEXT``        TEXT on stdout as it is; ``write-err:TEXT`` on stderr
``workdir``           the working directory on stdout
``env``               the environment on stdout, one ``KEY=value`` per line
``flood:BYTES``       so many bytes on stdout
``sleep:SECONDS``     nothing for a while
``ignore-term``       from here on SIGTERM does nothing
``trap-term:CODE``    from here on SIGTERM makes it exit with CODE
``exit:CODE``         the end (0 when no step says otherwise); ``true``, ``false``
``signal:NUMBER``     the end by a signal
``oom``               the end by the kernel's out-of-memory killer
====================  ==============================================================

The first word must be a step: another one is a program that does not exist.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

STDOUT: Final = "stdout"
STDERR: Final = "stderr"
_FLOOD_LINE: Final = b"0123456789 the quick brown fox jumps over the lazy dog 9876543\n"
_FLOOD_BLOCK: Final = _FLOOD_LINE * 256
_TERM: Final = 15


@frozen
class End:
    """How a program ends: ``exit`` with a code, ``signal`` with a number, or ``oom``."""

    kind: str
    number: int


@frozen
class Piece:
    """What a program writes ``at`` seconds after its start; text None: its environment."""

    at: float
    stream: str
    text: str | None = None
    flood: int = 0

    def size(self, env: bytes) -> int:
        """Return its length in bytes."""
        if self.flood:
            return self.flood
        return len(env) if self.text is None else len(self.text.encode())

    def read(self, env: bytes, begin: int, end: int) -> bytes:
        """Return a part of its bytes."""
        if not self.flood:
            return (env if self.text is None else self.text.encode())[begin:end]
        end = min(end, self.flood)
        first = begin % len(_FLOOD_LINE)
        times = (end - begin + first) // len(_FLOOD_BLOCK) + 1
        return (_FLOOD_BLOCK * times)[first : first + end - begin]


@frozen
class Program:
    """A program as a function of time.

    Attributes:
        pieces: What it writes, in order.
        at: Seconds after the start at which it ends by itself.
        end: How.
        traps: What SIGTERM does from which second on: a code to exit with, None: nothing.
    """

    pieces: tuple[Piece, ...]
    at: float
    end: End
    traps: tuple[tuple[float, int | None], ...] = ()

    def killed(self, signals: tuple[tuple[float, int], ...]) -> tuple[float, End]:
        """Return when and how it ends when it gets these signals (seconds after the start)."""
        for at, number in sorted(signals):
            if at >= self.at:
                break
            trapped = [code for since, code in self.traps if since <= at]
            if number != _TERM or not trapped:
                return at, End("signal", number)
            if trapped[-1] is not None:
                return at, End("exit", trapped[-1])
        return self.at, self.end

    def written(self, *, until: float) -> Iterator[Piece]:
        """Yield what it has written by a time."""
        for piece in self.pieces:
            if piece.at > until:
                return
            yield piece


class UnknownProgram(Exception):
    """The first word is no step of the language."""


class _Builder:
    """Walks through the steps of one program."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pieces: list[Piece] = []
        self.traps: list[tuple[float, int | None]] = []

    def step(self, word: str) -> End | None:
        """Take one step; returns the end where it is one."""
        name, _, rest = word.partition(":")
        if name in {"exit", "signal", "oom", "true", "false"}:
            return _end(name, rest)
        if name in {"print", "err"}:
            stream = STDOUT if name == "print" else STDERR
            self.pieces.append(Piece(self.now, stream, f"{rest}\n"))
        elif name in {"write", "write-err"}:
            stream = STDOUT if name == "write" else STDERR
            self.pieces.append(Piece(self.now, stream, rest))
        elif name == "env":
            self.pieces.append(Piece(self.now, STDOUT))
        elif name == "flood":
            self.pieces.append(Piece(self.now, STDOUT, flood=int(rest)))
        elif name == "sleep":
            self.now += float(rest)
        elif name == "ignore-term":
            self.traps.append((self.now, None))
        elif name == "trap-term":
            self.traps.append((self.now, int(rest)))
        else:
            raise UnknownProgram(word)
        return None


def _end(name: str, rest: str) -> End:
    if name in {"true", "false"}:
        return End("exit", int(name == "false"))
    if name == "oom":
        return End("oom", 9)
    return End(name, int(rest or 0))


@functools.lru_cache(maxsize=1024)
def parse(words: tuple[str, ...]) -> Program:
    """Read a program.

    Raises:
        UnknownProgram: A word is no step.
    """
    builder = _Builder()
    end: End | None = None
    for word in words:
        try:
            end = builder.step(word)
        except ValueError:
            raise UnknownProgram(word) from None
        if end is not None:
            break
    return Program(tuple(builder.pieces), builder.now, end or End("exit", 0), tuple(builder.traps))


def environment(env: Mapping[str, str]) -> bytes:
    """Return what the step ``env`` writes."""
    return "".join(f"{key}={value}\n" for key, value in env.items()).encode()
