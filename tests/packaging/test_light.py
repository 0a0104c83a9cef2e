"""P9 with both spawners and their packages installed: what asks no engine imports neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builds import Environment, run

PACKAGES = {"docker", "kubernetes", "requests", "urllib3", "websocket"}
OTHER = {"docker": "kubernetes", "kubernetes": "docker"}
PROGRAM = """
import atexit, json, os, sys
def tell():
    with open(os.environ["MODULES"], "w") as file:
        json.dump(sorted(sys.modules), file)
atexit.register(tell)
"""
MAIN = PROGRAM + "from spawnery.cli import main; main()"
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: none, context: {cluster: none, user: nobody}}]
current-context: none
"""


def imported(
    place: Environment, home: Path, *words: str, code: str = MAIN, **variables: str
) -> tuple[str, set[str]]:
    """Run the command; returns what it prints, and the packages that it has imported."""
    (home / "kubeconfig").write_text(KUBECONFIG)
    modules = home / "modules.json"
    env = place.variables(
        home,
        MODULES=str(modules),
        KUBECONFIG=str(home / "kubeconfig"),
        DOCKER_HOST=f"unix://{home}/none",
        **variables,
    )
    done = run(place.path("python"), "-W", "error", "-c", code, *words, cwd=home, env=env)
    assert "Traceback" not in done.stderr
    found = {name.partition(".")[0] for name in json.loads(modules.read_text())}
    return done.stdout, found


def completing(line: str) -> dict[str, str]:
    """Return the variables under which bash asks to complete a line."""
    count = len(line.split()) - (not line.endswith(" "))
    return {
        "_SPAWNERY_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(count),
    }


@pytest.mark.parametrize("asked", ["docker", "kubernetes"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--version",), "spawnery, version "),
        (("--help",), "spawners"),
        (("run", "--help"), "--image"),
        (("spawners",), "spawnery-kubernetes"),
        (("spawners", "--load"), "spawnery-docker"),
        (("spawners", "show", "docker"), "network"),
        (("spawners", "show", "kubernetes"), "namespace"),
        (("schema",), "options"),
        (("completion", "bash"), "_SPAWNERY_COMPLETE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_asks_no_engine(
    asked: str, words: tuple[str, ...], says: str, both: Environment, tmp_path: Path
) -> None:
    """It does its work without any of the packages, whichever spawner is chosen."""
    text, found = imported(both, tmp_path, *words, SPAWNER_TYPE=asked)
    assert says in text
    assert found.isdisjoint(PACKAGES)


@pytest.mark.parametrize("asked", ["docker", "kubernetes"])
@pytest.mark.parametrize(
    ("line", "says"),
    [("spawnery sp", "spawners"), ("spawnery run --im", "--image"), ("spawnery ps --a", "--all")],
)
def test_completion(asked: str, line: str, says: str, both: Environment, tmp_path: Path) -> None:
    """Commands and options are completed without any of the packages."""
    text, found = imported(both, tmp_path, SPAWNER_TYPE=asked, **completing(line))
    assert says in text
    assert found.isdisjoint({*PACKAGES, "spawnery_docker", "spawnery_kubernetes"})


def test_import(both: Environment, tmp_path: Path) -> None:
    """`import spawnery`, and every public name of it, brings neither spawner nor package."""
    code = f"{PROGRAM}\nimport spawnery\nfor name in spawnery.__all__: getattr(spawnery, name)"
    _, found = imported(both, tmp_path, code=code, SPAWNER_TYPE="docker")
    assert found.isdisjoint({*PACKAGES, "spawnery_docker", "spawnery_kubernetes"})


@pytest.mark.parametrize("asked", ["docker", "kubernetes"])
def test_the_first_call(asked: str, both: Environment, tmp_path: Path) -> None:
    """What asks the engine imports that spawner's package, and nothing of the other spawner."""
    _, found = imported(both, tmp_path, "ps", SPAWNER_TYPE=asked)
    assert f"spawnery_{asked}" in found
    assert found.isdisjoint({OTHER[asked], f"spawnery_{OTHER[asked]}"})
    assert asked in found
