"""What happens before a job's program runs: image pull and the like, from the events."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from spawnery.cli import output
from spawnery.contract.hookspecs import hookimpl
from spawnery.model.outcome import EventKind

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.model.outcome import JobEvent

_LINE_EVERY_SECONDS: Final = 5.0


class Progress:
    """An observer: a bar on a terminal, now and then a line elsewhere, all on stderr.

    A spawner sends events of the kind ``progress`` with a message, and with ``current`` and
    ``total`` (bytes) in their data where it knows them.
    """

    def __init__(self, app: App, job_id: str) -> None:
        self._app = app
        self._job_id = job_id
        self._lock = threading.Lock()
        self._bar: Any = None
        self._task: Any = None
        self._said = ""
        self._said_at = -_LINE_EVERY_SECONDS
        self._timer: threading.Timer | None = None
        self._over = False

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Show a step of our job."""
        if event.job_id != self._job_id:
            return
        if event.kind is EventKind.SPAWNED:
            with self._lock:
                self._cancel()
        if self._app.verbose and event.kind is not EventKind.PROGRESS:
            self._app.tell(f"{event.kind}: {event.message or event.job_id}")
        if event.kind is EventKind.PROGRESS and not (self._app.quiet or self._app.json):
            with self._lock:
                if not self._over:
                    self._show(event)

    def close(self) -> None:
        """Take the bar away: what follows is the job's own output."""
        with self._lock:
            self._over = True
            self._cancel()
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def say(self, text: str) -> None:
        """Say a line of talk, above the bar where one is shown."""
        with self._lock:
            if self._bar is not None:
                self._bar.console.print(output.printable(text), markup=False, highlight=False)
            else:
                self._app.talk(text)

    def _show(self, event: JobEvent) -> None:
        if output.coloured(sys.stderr, self._app.environ):
            self._draw(event)
        elif event.message:
            self._line(event.message)

    def _line(self, message: str) -> None:
        """Say what is done now; soon after another line only if it is still done later."""
        self._cancel()
        if message == self._said:
            return
        wait = self._said_at + _LINE_EVERY_SECONDS - time.monotonic()
        if wait > 0:
            self._timer = threading.Timer(wait, self._late, [message])
            self._timer.daemon = True
            self._timer.start()
            return
        self._said, self._said_at = message, time.monotonic()
        self._app.talk(message)

    def _late(self, message: str) -> None:
        with self._lock:
            if not self._over and self._timer is threading.current_thread():
                self._line(message)

    def _cancel(self) -> None:
        """Say nothing of a step that is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _draw(self, event: JobEvent) -> None:
        from rich.filesize import decimal

        current, total = event.data.get("current"), event.data.get("total")
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task("", total=None, size="")
            self._bar.start()
        if current is None or total is None:
            current, total, size = 0, None, ""
        else:
            size = f"{decimal(current)} of {decimal(total)}"
        self._bar.update(
            self._task,
            description=output.printable(event.message),
            completed=current,
            total=total,
            size=size,
        )


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    message = TextColumn("{task.description}", markup=False)
    size = TextColumn("{task.fields[size]}", markup=False)
    # Not redirected: rich's stand-ins for stdout and stderr take no bytes.
    return Progress(
        *(message, BarColumn(bar_width=30), size),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
