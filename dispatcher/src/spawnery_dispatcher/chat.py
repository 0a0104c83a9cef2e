"""The whole dispatcher in one terminal: the local engine, an embedded Redis, a demo agent.

Lines are commands, or the answer to the agent's question. Without a terminal the lines come from
standard input; where that is empty, a script is played: one job, its question answered, its end.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from attrs import evolve
from spawnery.model import JobState

from spawnery_dispatcher.config import Config, Limits, Project, Redis, Slack
from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.model import identity
from spawnery_dispatcher.model.models import Entry, Place, Platform
from spawnery_dispatcher.service import Parts, Service
from spawnery_dispatcher.talk.intake import Said
from spawnery_dispatcher.talk.replies import View
from spawnery_dispatcher.work.engine import open_spawner
from spawnery_dispatcher.work.waits import Waits

SCRIPT: Final = ("fix #58 in demo",)
_DEMO: Final = {
    "demo": Project(
        command=(sys.executable, "-m", "spawnery_agent.demo"), forward=(), deadline_seconds=900
    )
}
_PLACE: Final = Place(platform=Platform.CHAT, channel="terminal")
_USER: Final = "you"
_POLL_SECONDS: Final = 0.1
_QUIT: Final = frozenset({"quit", "exit", "bye"})


@contextmanager
def embedded_redis() -> Iterator[str]:
    """Run a Redis-compatible server inside this process: nothing to install, nothing kept.

    Yields:
        Its address, on a free port of the loopback interface.

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


class Terminal:
    """Shows jobs as lines; see ``outbox.Messenger``.

    Args:
        console: rich's.
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._last: dict[str, list[str]] = {}

    async def post(self, entry: Entry, shown: View, *, again: bool) -> str:  # noqa: ARG002 - a terminal forgets
        """Show a job for the first time."""
        self._show(entry, shown)
        return entry.job_id

    async def update(self, entry: Entry, shown: View) -> None:
        """Show what is new."""
        self._show(entry, shown)

    async def ping(self, entry: Entry) -> str:
        """Do nothing: who looks at the terminal sees the end."""
        return entry.job_id

    def say(self, text: str) -> None:
        """Print plain text."""
        self._console.print(text, markup=False, highlight=False)

    def _show(self, entry: Entry, shown: View) -> None:
        lines = _lines(entry, shown)
        before = self._last.get(entry.job_id, [])
        self._last[entry.job_id] = lines
        new = [line for line in lines if line not in before]
        if new:
            self.say("\n".join(new))


def _lines(entry: Entry, shown: View) -> list[str]:
    if entry.ending is not None:
        return [shown.text()]
    lines = [f"[{entry.job_id}] {line}" for line in shown.lines]
    if shown.question is not None:
        choices = f" ({' / '.join(shown.question.choices)})" if shown.question.choices else ""
        lines.append(f"[{entry.job_id}] {shown.question.text}{choices}")
    return lines


async def chat(config: Config | None, environ: Mapping[str, str], *, logger: Any) -> int:
    """Run the conversation; returns the exit code: 0 when every job was fixed.

    Args:
        config: Projects to use instead of the demo's.
        environ: Our own environment.
        logger: structlog's.
    """
    from rich.console import Console  # noqa: PLC0415 - only here

    terminal = Terminal(Console(soft_wrap=True))
    with embedded_redis() as url, tempfile.TemporaryDirectory(prefix="spawnery-chat-") as folder:
        given = _with_demo(config, url)
        ours = {"SPAWNER_TYPE": "local", "SPAWNERY_STATE_DIR": folder, **environ}
        if given.projects is _DEMO:  # its agent is a program of this machine and has no image
            ours["SPAWNER_TYPE"] = "local"
        waits = Waits()
        spawner = await open_spawner(given, ours, observers=(waits,))
        service = Service(given, spawner, waits=waits, metrics=Metrics(), logger=logger)
        running = asyncio.create_task(service.run({Platform.CHAT: terminal}))
        talk = asyncio.create_task(_Conversation(service.parts, terminal).run())
        try:
            await asyncio.wait({running, talk}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            return await talk
        finally:
            talk.cancel()
            running.cancel()
            await asyncio.gather(talk, running, return_exceptions=True)
            await spawner.close()


def _with_demo(config: Config | None, url: str) -> Config:
    redis, at_once = Redis(url=url, require_persistence=False), Slack(update_seconds=0)
    if config is not None and config.projects:
        return evolve(config, redis=redis, slack=at_once)
    limits = Limits(per_channel=5)
    return Config(
        instance="chat",
        default_project="demo",
        redis=redis,
        slack=at_once,
        limits=limits,
        projects=_DEMO,
    )


class _Conversation:
    """Takes lines and carries them out.

    Args:
        parts: Of the dispatcher.
        terminal: Where it is shown.
    """

    def __init__(self, parts: Parts, terminal: Terminal) -> None:
        self._parts = parts
        self._terminal = terminal
        self._jobs: dict[str, None] = {}
        self._interactive = sys.stdin.isatty()

    async def run(self) -> int:
        """Talk until there are no more lines, and see the jobs to their end."""
        if self._interactive:
            self._terminal.say("Type, for example: fix #58 in demo   (help; quit ends)")
        said = 0
        async for line in _typed():
            if line.lower() in _QUIT:
                break
            said += 1
            await self._carry_out(line)
        if not said and not self._interactive:
            await self._play()
        if self._interactive:
            await self._cancel_all()
        return await self._end()

    async def _play(self) -> None:
        for line in SCRIPT:
            self._terminal.say(f"> {line}")
            await self._carry_out(line)
        await self._settle()
        asked = await self._question()
        if asked is not None:
            question = asked[1]
            choice = question.choices[-1] if question.choices else "yes"
            self._terminal.say(f"> {choice}")
            await self._carry_out(choice)

    async def _carry_out(self, line: str) -> None:
        if not self._interactive:
            await self._settle()
        asked = await self._question()
        command_like = line.split(" ", 1)[0].lower() in {"status", "logs", "cancel", "list", "help"}
        if asked is not None and not command_like and "#" not in line:
            job_id, question = asked
            intake = self._parts.intake
            reply = await intake.answer(job_id, question.question_id, line, user=_USER)
        else:
            now = await self._parts.store.clock.now()
            reply = await self._parts.intake.take(_said(line, now))
        self._terminal.say(reply.text)
        if reply.entry is not None and reply.new:
            self._jobs[reply.entry.job_id] = None

    async def _settle(self) -> None:
        """Let a script wait until its job asks or ends and that is shown, as a person would."""

        async def settled() -> bool:
            over = not await self._open() or await self._question() is not None
            return over and not await self._parts.store.due()

        await _until(settled)

    async def _question(self) -> Any:
        for job_id in self._jobs:
            entry = await self._parts.store.get(job_id)
            if entry is not None and entry.ending is None and entry.open_question is not None:
                return job_id, entry.open_question
        return None

    async def _open(self) -> list[str]:
        live = await self._parts.store.live()
        return [job_id for job_id in self._jobs if job_id in live]

    async def _cancel_all(self) -> None:
        for job_id in await self._open():
            entry = await self._parts.store.get(job_id)
            if entry is not None:
                await self._parts.intake.cancel(entry, _USER)

    async def _end(self) -> int:
        """Wait until all jobs have ended and that was shown; what asks now is cancelled."""
        await self._settle()
        if await self._question() is not None:
            self._terminal.say("There are no more lines, so nobody answers: cancelled.")
            await self._cancel_all()

        async def over() -> bool:
            return not (await self._open() or await self._parts.store.due())

        await _until(over)
        entries = [await self._parts.store.get(job_id) for job_id in self._jobs]
        endings = [entry.ending for entry in entries if entry is not None and entry.ending]
        return 0 if all(ending.state is JobState.SUCCEEDED for ending in endings) else 1


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is reached: what it depends on is in Redis, and tells nobody."""
    while not await reached():  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS)


def _said(line: str, now: datetime) -> Said:
    key = (_USER, "terminal", f"{now.timestamp():.6f}")
    return Said(
        text=line,
        user=_USER,
        place=_PLACE,
        at=now,
        identify=lambda readable: identity.of_message(*key, readable=readable),
    )


async def _typed() -> AsyncIterator[str]:
    """Yield the lines of standard input that have something on them."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    from spawnery.contract import start_daemon  # noqa: PLC0415 - only here

    start_daemon("chat-input", read)
    while (line := await lines.get()) is not None:
        if line.strip():
            yield line.strip()
