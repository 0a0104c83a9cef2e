"""The same job through what people use today, in the same run.

Each is installed into an environment of its own; one that does not install is listed as such.
prefect-docker and dockerspawner are not here: a spawn of theirs includes a Prefect server or a
JupyterHub, so that the numbers would not be about the same thing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from measuring import row, spread, timed

ROUNDS: Final = 20
_PROGRAM: Final = """
import sys, time
image, rounds = sys.argv[1], int(sys.argv[2])
{setup}
for _ in range(rounds + 1):
    began = time.perf_counter()
    {spawn}
    print(time.perf_counter() - began)
    time.sleep(0.3)
"""
_DOCKER_PY: Final = _PROGRAM.format(
    setup="import docker; client = docker.from_env()",
    spawn="client.containers.run(image, ['true'], detach=True, auto_remove=True)",
)
_TESTCONTAINERS: Final = _PROGRAM.format(
    setup=(
        "import os; os.environ['TESTCONTAINERS_RYUK_DISABLED'] = 'true'\n"
        "from testcontainers.core.container import DockerContainer"
    ),
    spawn="DockerContainer(image, remove=True).with_command('true').start()",
)
_PROGRAMS: Final = {"docker": _DOCKER_PY, "testcontainers": _TESTCONTAINERS}


def _docker_run(image: str) -> list[float]:
    command = ("docker", "run", "-d", "--rm", image, "true")
    return [timed(*command) for _ in range(ROUNDS)]


def _installed(package: str, image: str) -> list[float]:
    """Run a rival's program with the package that it needs, in an environment of its own."""
    uv = str(Path(sys.executable).with_name("uv"))
    with_package = (uv, "run", "--quiet", "--no-project", "--with", package, "python", "-c")
    answer = subprocess.run(
        (*with_package, _PROGRAMS[package], image, str(ROUNDS)),
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(line) for line in answer.stdout.split()][1:]


def rivals(ours: Callable[[], float], image: str) -> Iterator[str]:
    """Yield one line of the table for each rival, and one for ours beside them.

    Args:
        ours: Spawns one job and returns the seconds that it took.
        image: The image of the job, whose command is ``true``.
    """
    yield row(
        "beside rivals: ours", spread([ours() for _ in range(ROUNDS)], "ms", 1e3), "", met=True
    )
    yield row("... `docker run -d`", spread(_docker_run(image), "ms", 1e3), "", met=True)
    for package in _PROGRAMS:
        try:
            times = spread(_installed(package, image), "ms", 1e3)
        except subprocess.CalledProcessError as error:
            times = f"does not run here: {error.stderr.strip().splitlines()[-1]}"
        yield row(f"... {package}", times, "", met=True)
