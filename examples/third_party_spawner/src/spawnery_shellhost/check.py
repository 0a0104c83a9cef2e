"""The doctor: what of the host works, what does not, what to do."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence

from spawnery.contract import CheckItem, Deadline
from spawnery.errors import SpawnerError

from .client import script
from .clock import report
from .jobs import Jobs
from .settings import PREFIX


def check(jobs: Jobs) -> list[CheckItem]:
    """Look at the host; what fails is a finding."""
    deadline = Deadline.after(jobs.runtime.io_timeout_seconds)
    sent = time.monotonic()
    try:
        answer = jobs.client.run(script("check", arguments=jobs.home), deadline)
    except SpawnerError as error:
        return [CheckItem(name="command", level="failed", detail=error.message, hint=error.hint)]
    for line in answer:
        if line.startswith("now "):
            report(jobs.runtime, line.removeprefix("now "), sent=sent)
    detail = f"a shell answers through {shlex.join(jobs.client.argv)}"
    return [CheckItem(name="command", detail=detail), *_findings(jobs, answer)]


def _findings(jobs: Jobs, answer: Sequence[str]) -> Iterator[CheckItem]:
    found = dict(line.partition(" ")[::2] for line in answer if not line.startswith("missing "))
    missing = [line.removeprefix("missing ") for line in answer if line.startswith("missing ")]
    if missing:
        detail = f"the host lacks {', '.join(missing)}"
        yield CheckItem(name="utilities", level="failed", detail=detail, hint="install them there")
    else:
        yield CheckItem(name="utilities", detail="all that the scripts need is there")
    if "root" in found:
        yield CheckItem(name="folder", detail=f"{found['root']} can be written")
    else:
        hint = f"name another one: export {PREFIX}FOLDER=..."
        detail = found.get("denied", "")
        yield CheckItem(name="folder", level="failed", detail=detail, hint=hint)
    if "proc" not in found:
        detail = "no /proc: a process that leaves its job's process group is not found again"
        yield CheckItem(name="processes", level="warning", detail=detail)
