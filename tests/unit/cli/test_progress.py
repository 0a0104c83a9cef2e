"""What is seen of an image pull."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from spawnery.cli.app import App
from spawnery.cli.printing.progress import Progress
from spawnery.model import EventKind, JobEvent


def event(
    message: str,
    *,
    kind: EventKind = EventKind.PROGRESS,
    job_id: str = "demo",
    **data: Any,
) -> JobEvent:
    """Return an event of the job."""
    now = datetime.now(UTC)
    return JobEvent(id=message, kind=kind, job_id=job_id, time=now, message=message, data=data)


def test_steps_are_lines_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """A flood of events is not a flood of lines; other jobs are not ours to tell."""
    progress = Progress(App({}), "demo")
    progress.job_event(event("another job", job_id="other"))
    progress.job_event(event("pulling alpine", current=1, total=9))
    progress.job_event(event("pulling alpine: 2 of 9"))
    progress.job_event(event("not a step", kind=EventKind.SPAWNED))
    progress.close()
    progress.job_event(event("too late"))
    assert capfd.readouterr().err == "pulling alpine\n"


def test_a_step_soon_after_another_is_told_later(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it still goes on then; a step that is over, and what was spawned, is not told of."""
    monkeypatch.setattr("spawnery.cli.printing.progress._LINE_EVERY_SECONDS", 0.5)
    progress = Progress(App({}), "demo")
    for message in ("asking a helper", "pulling alpine", "pulling alpine"):
        progress.job_event(event(message))
    time.sleep(1.5)
    assert capfd.readouterr().err == "asking a helper\npulling alpine\n"
    progress.job_event(event("unpacking alpine"))
    progress.job_event(event("creating it"))
    progress.job_event(event("", kind=EventKind.SPAWNED))
    time.sleep(1.5)
    assert capfd.readouterr().err == "unpacking alpine\n"
    progress.close()


@pytest.mark.parametrize("name", ["quiet", "json"])
def test_who_wants_quiet_or_json_sees_no_steps(
    capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """Nothing is said."""
    app = App({})
    setattr(app, name, True)
    Progress(app, "demo").job_event(event("pulling alpine"))
    assert capfd.readouterr() == ("", "")


def test_verbose_tells_the_other_events(capfd: pytest.CaptureFixture[str]) -> None:
    """Each with its kind."""
    app = App({})
    app.verbose = True
    Progress(app, "demo").job_event(event("agentsmith-demo", kind=EventKind.SPAWNED))
    assert capfd.readouterr().err == "spawned: agentsmith-demo\n"


DRAWS = """
import datetime
from spawnery.cli.app import App
from spawnery.cli.printing.progress import Progress
from spawnery.model import EventKind, JobEvent

progress = Progress(App(), "demo")
for current in (None, 1 << 20, 2 << 20):
    progress.job_event(
        JobEvent(
            id=str(current),
            kind=EventKind.PROGRESS,
            job_id="demo",
            time=datetime.datetime.now(datetime.UTC),
            message="pulling [bold]alpine",
            data={} if current is None else {"current": current, "total": 2 << 20},
        )
    )
progress.close()
print("after", flush=True)
"""


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    """The bar has message and size; markup in a message means nothing."""
    main, other = pty.openpty()
    env = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "100"}
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    with subprocess.Popen([sys.executable, "-c", DRAWS], env=env, stdout=other, stderr=other):
        os.close(other)
        shown = b""
        while True:
            try:
                data = os.read(main, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
    os.close(main)
    text = shown.decode()
    assert "pulling [bold]alpine" in text
    assert "2.1 MB of 2.1 MB" in text
    assert text.rstrip().endswith("after")
