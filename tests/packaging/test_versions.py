"""Our distributions among each other: version ranges, extras, and the oldest that is allowed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from builds import (
    CORE,
    ROOT,
    Environment,
    Workshop,
    build,
    checked,
    members,
    metadata,
    oldest,
    released,
    requirements,
    run,
    version_of,
)
from docker_images import make_busybox
from kube_account import deployed
from kube_images import load_busybox
from kubectl import Kubectl
from packaging.requirements import Requirement
from packaging.version import Version

DOCKER = ROOT / "plugins" / "docker_spawner"
KUBERNETES = ROOT / "plugins" / "k8s_spawner"
DISPATCHER = ROOT / "dispatcher"
SCRIPT = ("sh", "-c", "echo out; exit 3")


def always(wheel: Path) -> list[Requirement]:
    """Return what a wheel depends on without extras."""
    return [item for item in requirements(wheel) if item.marker is None]


def lowest(project: Path, workshop: Workshop) -> Environment:
    """Make an environment with a distribution, the oldest core that it allows, and for both the
    oldest of all that they name.
    """
    wheel = workshop.build(project).wheel
    (allowed,) = (oldest(item) for item in always(wheel) if item.name == "spawnery")
    core = workshop.core(allowed)
    bounds: dict[str, str] = {}
    for item in (*always(core), *always(wheel)):
        bounds[item.name] = max(bounds.get(item.name, "0"), oldest(item), key=Version)
    del bounds["spawnery"]
    place = workshop.environment(core, wheel, *(f"{name}=={at}" for name, at in bounds.items()))
    told = checked(place.path("spawnery"), "--version").stdout
    assert told == f"spawnery, version {allowed}\n"
    return place


def runs(place: Environment, home: Path, **variables: str) -> None:
    """Run a job that fails: output and exit code are its own."""
    words = ("--image", make_busybox(), "--memory-limit", "64Mi", "--cpu-request", "10m")
    command = (place.path("python"), "-W", "error", "-m", "spawnery", "run", *words, "--", *SCRIPT)
    done = run(*command, cwd=home, env=place.variables(home, **variables))
    assert (done.returncode, done.stdout) == (3, "out\n"), done.stderr
    assert "FAILED, exit code 3" in done.stderr


@pytest.mark.engine("docker")
def test_docker_with_the_oldest(workshop: Workshop, docker_socket: str, tmp_path: Path) -> None:
    """With the oldest core, docker and urllib3 that pip may install, a job runs."""
    prefix = f"old{abs(hash(str(tmp_path))) % 10**6}"
    runs(
        lowest(DOCKER, workshop),
        tmp_path,
        SPAWNER_TYPE="docker",
        DOCKER_HOST=f"unix://{docker_socket}",
        SPAWNERY_INSTANCE=prefix,
        SPAWNERY_NAME_PREFIX=prefix,
    )


@pytest.mark.engine("kubernetes")
def test_kubernetes_with_the_oldest(workshop: Workshop, kubeconfig: str, tmp_path: Path) -> None:
    """With the oldest core, kubernetes and urllib3 that pip may install, a job runs."""
    person = Kubectl(kubeconfig)
    load_busybox(person)
    with deployed(person, tmp_path) as account:
        variables = account.environ(account.kubeconfig(), "oldest")
        runs(lowest(KUBERNETES, workshop), tmp_path, **{**variables, "PATH": "/usr/bin:/bin"})


def test_the_dispatcher_with_the_oldest(workshop: Workshop, tmp_path: Path) -> None:
    """With the oldest core and libraries that pip may install, its configuration is checked."""
    place = lowest(DISPATCHER, workshop)
    variables = place.variables(tmp_path, SPAWNER_TYPE="local", REDIS_URL="redis://127.0.0.1:1/0")
    done = run(place.path("spawnery-dispatcher"), "check", cwd=tmp_path, env=variables)
    assert "Traceback" not in done.stderr
    assert "redis" in done.stdout, done.stderr


@pytest.mark.parametrize("project", members(), ids=lambda path: path.name)
def test_ranges_of_ours(project: Path, workshop: Workshop) -> None:
    """Each names the others from a version that there is, up to the next minor version."""
    for item in requirements(workshop.build(project).wheel):
        if not item.name.startswith("spawnery") or not item.specifier:
            continue
        here = Version(version_of(CORE))
        assert Version(oldest(item)) <= here
        assert item.specifier.contains(f"{here.major}.{here.minor}.99")
        assert not item.specifier.contains(f"{here.major}.{here.minor + 1}.0")


@pytest.mark.parametrize(
    ("extra", "brings"),
    [("docker", ["docker"]), ("kubernetes", ["kubernetes"]), ("all", ["docker", "kubernetes"])],
)
def test_extras_bring_spawners(
    extra: str, brings: list[str], workshop: Workshop, tmp_path: Path
) -> None:
    """`pip install spawnery[docker]` brings the spawner and its package, and no other one."""
    core = workshop.build(CORE).wheel
    spawners = {
        "docker": workshop.build(DOCKER).wheel,
        "kubernetes": workshop.build(KUBERNETES).wheel,
    }
    place = workshop.environment(f"spawnery[{extra}] @ {core.as_uri()}", links=spawners.values())
    for name in spawners:
        for package in (f"spawnery_{name}", name):
            there = f"u.find_spec({package!r}) is not None"
            code = f"import importlib.util as u; assert ({there}) is {name in brings}"
            place.python(code, tmp_path)


def test_a_version_is_built_by_its_tag(tmp_path: Path) -> None:
    """An older core comes out of the tag of its release, wherever the tree is now."""
    repository = tmp_path / "repository"
    shutil.copytree(CORE, repository / "core", ignore=shutil.ignore_patterns("__pycache__"))
    text = (CORE / "pyproject.toml").read_text()
    here = f'version = "{version_of(CORE)}"'
    assert here in text
    (repository / "core" / "pyproject.toml").write_text(text.replace(here, 'version = "0.1.9"'))
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "x"), ("tag", "v0.1.9")):
        checked("git", "-C", repository, *words)
    shutil.rmtree(repository / "core")
    released(CORE, "0.1.9", tmp_path / "tree", root=repository)
    build(tmp_path / "tree" / "core", tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert metadata(wheel)["Version"] == "0.1.9"
    with pytest.raises(AssertionError, match=r"bring the tag v0\.1\.8 \(git fetch --tags\)"):
        released(CORE, "0.1.8", tmp_path / "none", root=repository)
