"""One job from end to end on every supported Python that this machine has, from wheels."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from builds import CORE, ROOT, Environment, Workshop, members
from docker_images import make_busybox
from pythons import NEXT, SUPPORTED, find_python

LIMIT = 120.0
SCRIPT = "echo out; echo err >&2; exit 3"
CLEAN = ("Traceback", "Exception ignored", "Warning", "Error:")
"""What none of our commands prints."""


@pytest.fixture(params=(*SUPPORTED, *NEXT))
def place(request: pytest.FixtureRequest, workshop: Workshop) -> Environment:
    """An environment of that Python with core and both spawners."""
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    plugins = (ROOT / "plugins" / name for name in ("docker_spawner", "k8s_spawner"))
    wheels = [workshop.build(project).wheel for project in (CORE, *plugins)]
    return workshop.environment(*wheels, python=python)


def spawnery(
    place: Environment, home: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command of an environment with every warning shown."""
    done = subprocess.run(
        [str(place.path("python")), "-W", "always", "-X", "dev", "-m", "spawnery", *words],
        cwd=home,
        env=place.variables(home, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    for text in CLEAN:
        assert text not in done.stderr
    return done


def life(place: Environment, home: Path, *image: str, **variables: str) -> None:
    """Run a job that fails, spawn one and stop it: output, exit codes and messages are right."""
    done = spawnery(place, home, "run", *image, "--", "sh", "-c", SCRIPT, **variables)
    assert (done.returncode, done.stdout) == (3, "out\n"), done.stderr
    assert "FAILED, exit code 3" in done.stderr
    done = spawnery(place, home, "spawn", *image, "--", "sleep", "600", **variables)
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    done = spawnery(place, home, "stop", "--grace", "1", job, **variables)
    assert done.returncode == 0, done.stderr
    assert "CANCELLED" in spawnery(place, home, "ps", "-a", **variables).stdout


def test_local(place: Environment, tmp_path: Path) -> None:
    """On the local engine."""
    life(place, tmp_path, SPAWNER_TYPE="local")


@pytest.mark.engine("docker")
def test_docker(place: Environment, docker_socket: str, tmp_path: Path) -> None:
    """On a real Docker engine; Python 3.13 once reported an error after every run."""
    address = f"unix://{docker_socket}"
    prefix = f"py{abs(hash(str(tmp_path))) % 10**8}"
    life(
        place,
        tmp_path,
        *("--image", make_busybox(address), "--memory-limit", "64Mi"),
        SPAWNER_TYPE="docker",
        DOCKER_HOST=address,
        SPAWNERY_INSTANCE=prefix,
        SPAWNERY_NAME_PREFIX=prefix,
    )


@pytest.mark.parametrize("member", members(), ids=lambda path: path.name)
def test_the_metadata_promise_what_is_tried(member: Path) -> None:
    """Classifiers and lower bound of each distribution are the Pythons of these tests."""
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={SUPPORTED[0]}"
    numbered = re.compile(r"Programming Language :: Python :: (\d\.\d+)")
    found = map(numbered.fullmatch, project["classifiers"])
    assert tuple(match[1] for match in found if match is not None) == SUPPORTED


def test_ci_has_every_supported_python() -> None:
    """Each runs all tests there."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert tuple(workflow["jobs"]["check"]["strategy"]["matrix"]["python"]) == SUPPORTED
