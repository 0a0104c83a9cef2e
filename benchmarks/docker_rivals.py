"""The same job through what people use today, in the same run and in turns with ours.

Each is installed into an environment of its own; one that does not install is listed as such. Of
dockerspawner and prefect-docker only what makes and starts the container is measured, without the
JupyterHub and the Prefect server that call it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, cast

from measuring import row, spread, timed

ROUNDS: Final = 20
_PAUSE: Final = 0.3
"""Seconds in which a job ends before the next begins."""
_PROGRAM: Final = """
import logging, sys, time
image = sys.argv[1]
{setup}
logging.disable(logging.CRITICAL)
for number, _ in enumerate(sys.stdin):
    began = time.perf_counter()
    {spawn}
    print(time.perf_counter() - began, flush=True)
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


class _Rival:
    """A process that spawns one job for each line that it is sent."""

    def __init__(self, package: str, image: str, folder: Path) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        with_package = (uv, "run", "--quiet", "--no-project", "--with", package, "python", "-c")
        home = folder / "prefect"
        prefect = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
        self._errors = folder / f"{package}.err"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                (*with_package, _PROGRAMS[package], image),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **prefect},
            )

    def spawn(self) -> float:
        """Return the seconds of one spawn.

        Raises:
            RuntimeError: The rival does not run here.
        """
        asked, answers = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        with contextlib.suppress(BrokenPipeError):
            asked.write("\n")
            asked.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError(self._errors.read_text().strip().splitlines()[-1])
        return float(answer)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def rivals(ours: Callable[[], float], image: str) -> Iterator[str]:
    """Yield one line of the table for each rival, and one for ours beside them.

    Args:
        ours: Spawns one job and returns the seconds that it took.
        image: The image of the job, whose command is ``true``.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        calls: dict[str, Callable[[], float]] = {
            "beside rivals: ours": ours,
            "... `docker run -d`": lambda: timed("docker", "run", "-d", "--rm", image, "true"),
        }
        for package in _PROGRAMS:
            rival = _Rival(package, image, Path(name))
            stack.callback(rival.close)
            calls[f"... {_NAMES.get(package, package)}"] = rival.spawn
        times: dict[str, list[float]] = {what: [] for what in calls}
        failed: dict[str, str] = {}
        for _ in range(ROUNDS + 1):
            for what, call in calls.items():
                if what in failed:
                    continue
                try:
                    times[what].append(call())
                except RuntimeError as error:
                    failed[what] = f"does not run here: {error}"
                time.sleep(_PAUSE)
    for what, measured in times.items():
        # The first round warms up.
        value = failed.get(what) or spread(measured[1:], "ms", 1e3)
        yield row(what, value, "", met=True)
