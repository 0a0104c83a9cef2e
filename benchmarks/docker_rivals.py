"""The same job through what people use today, in the same run.

Each is installed into an environment of its own; one that does not install is listed as such. Of
dockerspawner and prefect-docker only what makes and starts the container is measured, without the
JupyterHub and the Prefect server that call it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from measuring import row, spread, timed

ROUNDS: Final = 20
_PROGRAM: Final = """
import logging, sys, time
image, rounds = sys.argv[1], int(sys.argv[2])
{setup}
logging.disable(logging.CRITICAL)
for number in range(rounds + 1):
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
    spawn="DockerContainer(image, auto_remove=True).with_command('true').start()",
)
_DOCKERSPAWNER: Final = _PROGRAM.format(
    setup="""
import asyncio
from types import SimpleNamespace
from dockerspawner import DockerSpawner

class Alone(DockerSpawner):
    def get_env(self):
        return {}

    async def get_ip_and_port(self):
        return "127.0.0.1", 80

server = SimpleNamespace(base_url="/")
hub = SimpleNamespace(public_host="", base_url="/", api_url="http://127.0.0.1/", server=server)

def start(number):
    name = f"bench-{number}"
    user = SimpleNamespace(name=name, escaped_name=name, id=number, url="/", settings={})
    made = Alone(user=user, hub=hub, image=image, remove=True, cmd=["true"],
                 use_internal_ip=True, name_template="dockerspawner-{username}")
    asyncio.run(made.start())
""",
    spawn="start(number)",
)
_PREFECT: Final = _PROGRAM.format(
    setup="""
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration
worker = DockerWorker(work_pool_name="bench")

def start(number):
    job = DockerWorkerJobConfiguration(image=image, command="true", auto_remove=True, env={},
                                       image_pull_policy="Never", name=f"prefect-{number}")
    worker._create_and_start_container(job)
""",
    spawn="start(number)",
)
_PROGRAMS: Final = {
    "docker": _DOCKER_PY,
    "testcontainers": _TESTCONTAINERS,
    "dockerspawner": _DOCKERSPAWNER,
    "prefect-docker": _PREFECT,
}
_NAMES: Final = {"docker": "docker-py, high level"}


def _docker_run(image: str) -> list[float]:
    command = ("docker", "run", "-d", "--rm", image, "true")
    return [timed(*command) for _ in range(ROUNDS)]


def _installed(package: str, image: str) -> list[float]:
    """Run a rival's program with the package that it needs, in an environment of its own."""
    uv = str(Path(sys.executable).with_name("uv"))
    with_package = (uv, "run", "--quiet", "--no-project", "--with", package, "python", "-c")
    with tempfile.TemporaryDirectory() as folder:
        prefect = {"PREFECT_HOME": folder, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
        answer = subprocess.run(
            (*with_package, _PROGRAMS[package], image, str(ROUNDS)),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **prefect},
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
        yield row(f"... {_NAMES.get(package, package)}", times, "", met=True)
