"""What a state directory that cannot be used looks like from outside, and that no job is lost."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
    subprocess.run(shlex.split(mend), check=True, timeout=LIMIT)
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
