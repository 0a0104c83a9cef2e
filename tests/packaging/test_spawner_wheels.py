"""The spawners' wheels beside core's in clean environments: found, and nothing loaded unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builds import CORE, ROOT, UV, Environment, Workshop, checked, run
from wheels import make_wheel

PLUGINS = {"docker": "docker_spawner", "kubernetes": "k8s_spawner"}
OPENED = """
import json, sys
from spawnery import Spawner
with Spawner.from_environment() as spawner:
    name = spawner.name
print(json.dumps([name, sorted(sys.modules)]))
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: none, context: {cluster: none, user: nobody}}]
current-context: none
"""
SDKS = {"docker", "kubernetes", "requests", "urllib3"}


def wheel_of(name: str, workshop: Workshop) -> Path:
    """Return the wheel of a spawner."""
    return workshop.build(ROOT / "plugins" / PLUGINS[name]).wheel


@pytest.mark.parametrize(
    ("name", "brings"),
    [("docker", frozenset({"docker"})), ("kubernetes", frozenset({"kubernetes"}))],
)
def test_its_entry_point(
    name: str, brings: frozenset[str], workshop: Workshop, tmp_path: Path
) -> None:
    """Beside core alone, the spawner is listed, and brings its own SDK alone, without extras."""
    place = workshop.environment(workshop.build(CORE).wheel, wheel_of(name, workshop))
    done = checked(place.path("spawnery"), "--json", "spawners", env=place.variables(tmp_path))
    listed = {item["name"]: item["distribution"] for item in json.loads(done.stdout)["installed"]}
    assert listed[name] == f"spawnery-{name}"
    for sdk in ("docker", "kubernetes", "paramiko"):  # the last is docker's extra ssh
        there = f"u.find_spec({sdk!r}) is not None"
        place.python(f"import importlib.util as u; assert ({there}) is {sdk in brings}", tmp_path)


@pytest.mark.parametrize(
    ("asked", "name"), [("docker", "docker"), ("kubernetes", "kubernetes"), ("k8s", "kubernetes")]
)
def test_only_the_one_that_is_asked_for(
    asked: str, name: str, both: Environment, tmp_path: Path
) -> None:
    """SPAWNER_TYPE loads that spawner, neither the other one nor an SDK before its first call."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    where = {"KUBECONFIG": f"{tmp_path}/kubeconfig", "DOCKER_HOST": f"unix://{tmp_path}/none"}
    opened, modules = json.loads(both.python(OPENED, tmp_path, SPAWNER_TYPE=asked, **where))
    assert opened == name
    packages = {module.partition(".")[0] for module in modules}
    (other,) = set(PLUGINS) - {name}
    assert f"spawnery_{name}" in packages
    assert f"spawnery_{other}" not in packages
    assert packages.isdisjoint(SDKS)


@pytest.mark.parametrize(("name", "version"), [("docker", "5.0.3"), ("kubernetes", "34.1.0")])
def test_a_package_that_was_changed_afterwards(
    name: str, version: str, both: Environment, tmp_path: Path
) -> None:
    """At load it is said in words, and the package is not imported; the other spawner works."""
    wheel = make_wheel(tmp_path, name, version, modules={f"{name}/__init__.py": "raise ValueError"})
    changed = tmp_path / "changed"
    checked(UV, "pip", "install", "--quiet", "--no-deps", "--target", changed, wheel)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    where = {"KUBECONFIG": f"{tmp_path}/kubeconfig", "DOCKER_HOST": f"unix://{tmp_path}/none"}
    where["PYTHONPATH"] = str(changed)
    words = [both.path("spawnery"), "run", "--image", "busybox", "--", "true"]
    done = run(*words, cwd=tmp_path, env=both.variables(tmp_path, SPAWNER_TYPE=name, **where))
    assert done.returncode == 125
    assert f"the package {name} {version} is installed; spawnery-{name} " in done.stderr
    assert f"-m pip install '{name}>=" in done.stderr
    assert "Traceback" not in done.stderr
    (other,) = set(PLUGINS) - {name}
    assert json.loads(both.python(OPENED, tmp_path, SPAWNER_TYPE=other, **where))[0] == other
