"""What a state directory that cannot be used looks like from outside, and that no job is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import checked
from spawnery.testing import eventually

if TYPE_CHECKING:
    from conftest import Cli

LIMIT = 60.0


def test_corrupt_records_do_not_lose_a_job_that_runs(cli: Cli, tmp_path: Path) -> None:
    """The error is in words, and its command mends it: the engine still knows the job."""
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 5"
    cli.ok("spawn", "--job-id", "demo", "--", "sh", "-c", script)
    records = next((tmp_path / "state").glob("records*"))
    for file in (tmp_path / "state").glob("records*-*"):
        file.unlink()
    records.write_bytes(b"this is no database" * 500)

    done = cli("ps", "--json")
    assert (done.returncode, done.stdout) == (125, b"")
    error = json.loads(done.stderr)["error"]
    assert error["cause"] == "state.corrupt"
    assert str(records) in error["message"]
    assert cli("check").returncode == 1

    mend = error["hint"][error["hint"].index("mv ") :]
    checked(*shlex.split(mend))
    assert cli.json("status", "demo")["state"] == "RUNNING"
    (tmp_path / "go").touch()
    assert cli("wait", "demo").returncode == 5


def test_a_state_directory_that_is_a_file(cli: Cli, tmp_path: Path) -> None:
    """It is named, and so is the way to another one."""
    (tmp_path / "file").write_text("x")
    done = cli("run", "--state-dir", str(tmp_path / "file"), "true")
    assert done.returncode == 125
    assert str(tmp_path / "file").encode() in done.stderr
    assert b"SPAWNERY_STATE_DIR" in done.stderr


def test_a_home_that_cannot_be_written(cli: Cli) -> None:
    """As in a container with a read-only root."""
    done = cli("run", "true", env={"HOME": "/proc", "SPAWNERY_STATE_DIR": None})
    assert done.returncode == 125
    assert b"/proc/" in done.stderr
    assert b"SPAWNERY_STATE_DIR" in done.stderr


def error_of(cli: Cli, *args: str) -> dict[str, str]:
    """Return the error of a command that cannot do it."""
    done = cli("--json", *args)
    assert (done.returncode, done.stdout) == (125, b"")
    found: dict[str, str] = json.loads(done.stderr)["error"]
    return found


def test_records_of_a_newer_version(cli: Cli, tmp_path: Path) -> None:
    """They are left as they are, and the way out is told."""
    cli.ok("ps")
    (records,) = (tmp_path / "state").glob("records.sqlite3")
    with contextlib.closing(sqlite3.connect(records)) as file:
        file.execute("PRAGMA user_version = 99")
    before = records.read_bytes()
    error = error_of(cli, "ps")
    assert (error["cause"], str(records) in error["message"]) == ("state.newer", True)
    assert "--upgrade" in error["hint"]
    assert records.read_bytes() == before


def test_a_state_directory_of_another_user(cli: Cli, tmp_path: Path) -> None:
    """Both users are named, and nothing is made in it."""
    foreign = tmp_path / "foreign"
    if os.geteuid() == 0:
        foreign.mkdir()
        os.chown(foreign, 65534, 65534)
    else:
        foreign = Path("/")
    before = sorted(foreign.iterdir())
    error = error_of(cli, "ps", "--state-dir", str(foreign))
    assert error["cause"] == "state.denied"
    assert f"belongs to user {foreign.stat().st_uid}, we are {os.geteuid()}" in error["message"]
    assert sorted(foreign.iterdir()) == before


@pytest.fixture
def small(cli: Cli, tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB as the state directory; root alone can mount one."""
    folder = tmp_path / "state"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, timeout=LIMIT).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    cli.close()
    checked("umount", "--lazy", folder)


def test_a_full_disk_loses_no_job_that_runs(cli: Cli, small: Path, tmp_path: Path) -> None:
    """New jobs are refused, the one that runs goes on, and its end is known when there is room."""
    script = f"echo begin; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 5"
    cli.ok("spawn", "--job-id", "demo", "--", "sh", "-c", script)
    filler = small / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 512):
            pass
    assert error_of(cli, "spawn", "--job-id", "other", "true")["cause"] == "state.full"
    (tmp_path / "go").touch()
    exit_record = small / "local" / "jobs" / "agentsmith-demo" / "exit.json"
    eventually(exit_record.exists)
    filler.unlink()
    assert cli("wait", "demo").returncode == 5
    assert [row["job_id"] for row in cli.json("ps", "-a")] == ["demo"]
