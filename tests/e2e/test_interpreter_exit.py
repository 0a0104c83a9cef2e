"""A program that uses the library ends when its own code does, whatever is still open."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

LIMIT = 60.0
OPEN_ALL = """
import threading
from spawnery import JobSpec, Spawner, hookimpl

class Hanging:
    @hookimpl
    def job_event(self, event):
        threading.Event().wait()

spawner = Spawner.open({name!r}, extensions=[Hanging()])
spawner.spawn(JobSpec(job_id="a", command={command}, retention_seconds=900), follow=True)
for verb in (lambda: next(spawner.logs("a", follow=True)), lambda: list(spawner.watch())):
    threading.Thread(target=verb, daemon=True).start()
spawner.on_end("a", print)
print("the end of the program", flush=True)
"""


@pytest.mark.parametrize(
    ("name", "command"), [("local", ["sleep", "600"]), ("fake", ["sleep:600"])]
)
def test_nothing_of_ours_keeps_it_alive(cli: Cli, name: str, command: list[str]) -> None:
    """Neither the watch, nor a followed log, a pool, or an observer that hangs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPEN_ALL.format(name=name, command=command)],
        env=cli.env | {"SPAWNER_TYPE": name},
        cwd=cli.folder,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"the end of the program\n"), done.stderr
