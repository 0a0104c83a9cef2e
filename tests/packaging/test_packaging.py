"""What is published can be installed and used as it is: wheels, sdists, metadata, imports."""

from __future__ import annotations

import json
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from builds import (
    CORE,
    ROOT,
    UV,
    Environment,
    Workshop,
    build,
    checked,
    members,
    metadata,
    requirements,
    run,
    unpack,
)
from readme_renderer import markdown

SDKS = ("docker", "kubernetes", "requests", "urllib3", "pydantic", "redis", "slack_bolt", "aiohttp")
EVERY_NAME = """
import json, sys, spawnery
for name in spawnery.__all__:
    getattr(spawnery, name)
import spawnery.testing, spawnery.cli
print(json.dumps(sorted(sys.modules)))
"""
SPAWNERS = """
import contextlib, io, json, sys
from spawnery.cli import main
sys.argv = ["spawnery", "spawners"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(params=members(), ids=lambda path: path.name)
def member(request: pytest.FixtureRequest) -> Path:
    """Each distribution of the workspace."""
    return request.param


def package_of(member: Path) -> Path:
    """Return the folder of the package that a distribution provides."""
    (marker,) = (member / "src").glob("*/__init__.py")
    return marker.parent


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel, the list of files itself left out."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/RECORD")]
        return {name: archive.read(name) for name in names}


def test_wheel_has_its_package_typed(member: Path, workshop: Workshop) -> None:
    """A wheel has all sources of its package, py.typed and the licence, and nothing else."""
    found = contents(workshop.build(member).wheel)
    package = package_of(member)
    sources = {
        path.relative_to(member / "src").as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{package.name}/py.typed" in found
    assert {name for name in found if ".dist-info/" not in name} == sources
    assert any(name.endswith("/licenses/LICENSE") for name in found)


def test_metadata_is_whole(member: Path, workshop: Workshop) -> None:
    """Licence, description, supported Python and entry points are what the index shows."""
    found = metadata(workshop.build(member).wheel)
    assert found["License-Expression"] == "MIT"
    assert found["License-File"] == "LICENSE"
    assert found["Requires-Python"] == ">=3.11"
    assert found["Description-Content-Type"] == "text/markdown"
    assert len(found.get_payload()) > 200
    assert "Typing :: Typed" in found.get_all("Classifier")
    assert found["Summary"]


def test_the_index_takes_it(member: Path, workshop: Workshop) -> None:
    """Twine finds nothing wrong with the metadata of wheel and sdist, and warns of nothing."""
    built = workshop.build(member)
    checked(sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist)


def test_the_page_of_the_index(member: Path, workshop: Workshop) -> None:
    """The description renders, is headed by the name, and no link leads into the repository."""
    found = metadata(workshop.build(member).wheel)
    page = markdown.render(found.get_payload())
    assert page is not None
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", page)
    assert heading is not None
    assert re.sub("<.*?>", "", heading[1]).strip() == found["Name"]
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_page_of_core_names_the_others(workshop: Workshop) -> None:
    """Each other distribution is named there, as pip knows it."""
    page = metadata(workshop.build(CORE).wheel).get_payload()
    others = {metadata(workshop.build(member).wheel)["Name"] for member in members()} - {"spawnery"}
    assert [name for name in sorted(others) if f"`{name}`" not in page] == []


def test_addresses_come_from_one_setting(member: Path, workshop: Workshop) -> None:
    """The metadata have the project's home as the root's pyproject.toml says it, else none."""
    home = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["spawnery"]["home"]
    found = metadata(workshop.build(member).wheel)
    assert found.get_all("Project-URL", []) == ([f"Repository, {home}"] if home else [])
    assert found["Home-page"] is None


def test_sdist_builds_the_same_wheel(member: Path, workshop: Workshop, tmp_path: Path) -> None:
    """The sdist alone, unpacked elsewhere, builds a wheel with the same contents."""
    built = workshop.build(member)
    unpack(built.sdist, tmp_path / "unpacked")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert (source / "PKG-INFO").exists()
    (tmp_path / "again").mkdir()
    build(source, tmp_path / "again")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert contents(again) == contents(built.wheel)


def test_members_install_together(workshop: Workshop, tmp_path: Path) -> None:
    """All wheels in one clean environment: no conflict, every package can be imported."""
    wheels = [workshop.build(member).wheel for member in members()]
    place = workshop.environment(*wheels)
    checked(UV, "pip", "check", "--python", place.path("python"))
    packages = [package_of(member).name for member in members()]
    place.python(f"import {', '.join(packages)}", tmp_path)


def test_sdist_installs(workshop: Workshop, tmp_path: Path) -> None:
    """Core's sdist, which builds a wheel on the way in, gives the command and its version."""
    place = workshop.environment(workshop.build(CORE).sdist)
    done = checked(place.path("spawnery"), "--version", env=place.variables(tmp_path))
    assert metadata(workshop.build(CORE).wheel)["Version"] in done.stdout


def test_core_alone_lists_its_spawners(core_alone: Environment, tmp_path: Path) -> None:
    """The entry points of core are found: local and fake, from the distribution spawnery."""
    command = (core_alone.path("spawnery"), "--json", "spawners")
    done = checked(*command, env=core_alone.variables(tmp_path))
    text = done.stdout
    assert '"local"' in text
    assert '"fake"' in text


def test_core_alone_runs_a_job(core_alone: Environment, tmp_path: Path) -> None:
    """After `pip install spawnery` and nothing else, a job runs and its exit code is ours."""
    env = core_alone.variables(tmp_path)
    command = (core_alone.path("spawnery"), "run", "--", "sh", "-c", "echo out; exit 7")
    done = run(*command, cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "local" in done.stderr


@pytest.mark.parametrize("code", [EVERY_NAME, SPAWNERS], ids=["every public name", "spawners"])
def test_core_imports_no_sdk(code: str, core_alone: Environment, tmp_path: Path) -> None:
    """Neither all public names nor the list of spawners brings an SDK in."""
    modules = set(json.loads(core_alone.python(code, tmp_path)))
    assert modules.isdisjoint(SDKS)
    assert "spawnery" in modules


def test_core_depends_on_no_sdk(workshop: Workshop) -> None:
    """Core asks for no SDK; of the workspace, for the spawners alone, and only by extras."""
    needed = requirements(workshop.build(CORE).wheel)
    assert {item.name for item in needed}.isdisjoint(SDKS)
    ours = [item for item in needed if item.name.startswith("spawnery-")]
    assert {item.name for item in ours} == {"spawnery-docker", "spawnery-kubernetes"}
    assert all(str(item.marker).startswith("extra ==") for item in ours)


def test_typed_for_others(core_alone: Environment, workshop: Workshop, tmp_path: Path) -> None:
    """A stranger's mypy --strict understands the installed package."""
    program = "from spawnery import JobHandle, JobSpec, Spawner\n\n\ndef run() -> JobHandle:\n"
    program += "    with Spawner.from_environment() as spawner:\n"
    program += "        return spawner.spawn(JobSpec(command=('true',)))\n"
    (tmp_path / "program.py").write_text(program)
    python = core_alone.path("python")
    checked(
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", python),
        *("--cache-dir", tmp_path / "cache", tmp_path / "program.py"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
    )
