"""The command on a real Docker engine: exit codes and words of jobs that never ran."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docker_case import PATIENCE, DockerCase
from docker_images import BUSYBOX
from job_calls import finished_program

pytestmark = pytest.mark.engine("docker")


@pytest.mark.parametrize(
    ("flags", "words", "code"),
    [
        (["-u", "nosuchuser"], ["true"], 125),
        (["-w", "/etc/passwd"], ["true"], 125),
        ([], ["/etc/passwd"], 126),
        ([], ["/no/such"], 127),
    ],
    ids=["user", "workdir", "not executable", "not found"],
)
def test_a_failed_start_has_dockers_exit_code(
    case: DockerCase, flags: list[str], words: list[str], code: int
) -> None:
    """125 for what never ran, 126 and 127 where the program is at fault; one reason is told."""
    done = case.cli("run", "--image", BUSYBOX, *flags, "--", *words)
    assert done.returncode == code, done.stderr
    assert "no log to follow" not in done.stderr
    assert "exit code 128" not in done.stderr


def test_a_network_without_free_addresses(case: DockerCase) -> None:
    """A start that the engine refuses under AutoRemove exits 125 and prints nothing as the job."""
    network = f"{case.prefix}-tiny"
    case.docker("network", "create", "--subnet", "10.213.77.0/30", network)
    try:
        flags = ["--image", BUSYBOX, "--network", network]
        holder = case.cli("spawn", "--job-id", "holder", *flags, "--", "sleep", "600")
        assert holder.returncode == 0, holder.stderr
        done = case.cli("run", *flags, "--", "echo", "hi")
        assert (done.returncode, done.stdout) == (125, "")
        assert "[start.failed]" in done.stderr
    finally:
        case.cli("rm", "--force", "holder")
        case.docker("network", "rm", network)


def python_of(version: str) -> str | None:
    """Find a Python of a version: on PATH, or beside the one that runs the tests."""
    beside = Path(sys.base_prefix).parent.glob(f"{version}*/bin/python")
    for found in (shutil.which(f"python{version}"), *map(str, beside)):
        if found and not subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
            return found
    return None


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_no_noise_after_a_run(case: DockerCase, version: str) -> None:
    """On every supported Python that is here a run prints what it has to and nothing else."""
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    # What we depend on is pure Python: it is the same for all versions.
    paths = [path for path in sys.path if path and not path.startswith(sys.base_prefix)]
    done = finished_program(
        [python, "-X", "dev", "-m", "spawnery", "run", "--image", BUSYBOX, "--", "echo", "hi"],
        folder=case.folder,
        environ={**case.environ, "PYTHONPATH": os.pathsep.join(paths)},
        patience=PATIENCE * 2,
    )
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    assert "Exception ignored" not in done.stderr
