"""A stranger's plugin: built from the template, installed beside core, selected, proven."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from attrs import frozen
from builds import CORE, ROOT, Environment, Workshop, checked, run, unpack
from copier import run_copy

EXAMPLE = ROOT / "examples" / "third_party_spawner"
TEMPLATE = ROOT / "templates" / "spawner-plugin"
TOOLS = ("pytest-xdist", "hypothesis")


@frozen
class Stranger:
    """A distribution that is not of this workspace.

    Attributes:
        engine: Its value of SPAWNER_TYPE.
        sdist: Its source, tests included.
        place: Where its wheel is installed, beside the other one's and core's.
    """

    engine: str
    sdist: Path
    place: Environment

    @property
    def prefix(self) -> str:
        """How its variables begin."""
        return f"SPAWNERY_{self.engine.upper().replace('-', '_')}_"

    def variables(self, home: Path) -> dict[str, str]:
        """Return the environment that selects it, with this machine as its host."""
        own = {f"{self.prefix}COMMAND": "sh -s", f"{self.prefix}FOLDER": str(home / "host")}
        return self.place.variables(home, SPAWNER_TYPE=self.engine, **own)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the template with names of its own."""
    folder = tmp_path_factory.mktemp("rendered") / "moon-spawner"
    answers = {"engine": "moon-base", "author": "A. Stranger"}
    run_copy(str(TEMPLATE), folder, data=answers, defaults=True, quiet=True)
    return folder


@pytest.fixture(params=["shellhost", "moon-base"])
def stranger(request: pytest.FixtureRequest, rendered: Path, workshop: Workshop) -> Stranger:
    """Each of the two, installed from its wheel in an environment with both."""
    core = f"{workshop.build(CORE).wheel}[testing]"
    both = {
        "shellhost": workshop.build(EXAMPLE),
        "moon-base": workshop.build(rendered, name="moon-base"),
    }
    place = workshop.environment(core, *(built.wheel for built in both.values()), *TOOLS)
    return Stranger(engine=request.param, sdist=both[request.param].sdist, place=place)


def test_it_is_listed_and_selected(stranger: Stranger, tmp_path: Path) -> None:
    """Both are installed; SPAWNER_TYPE alone decides which one is selected."""
    command = (stranger.place.path("spawnery"), "--json", "spawners")
    found = json.loads(checked(*command, env=stranger.variables(tmp_path)).stdout)
    assert found["selected"] == stranger.engine
    assert {item["name"]: item["distribution"] for item in found["installed"]} == {
        "fake": "spawnery",
        "local": "spawnery",
        "moon-base": "spawnery-moon-base",
        "shellhost": "spawnery-shellhost",
    }


def test_it_runs_a_job(stranger: Stranger, tmp_path: Path) -> None:
    """`spawnery run` gives the job's output and exit code, and nothing stays on the host."""
    command = (stranger.place.path("spawnery"), "run", "--", "sh", "-c", "echo out; exit 7")
    done = run(*command, cwd=tmp_path, env=stranger.variables(tmp_path))
    assert (done.returncode, done.stdout) == (7, "out\n"), done.stderr
    assert [path.name for path in (tmp_path / "host").iterdir()] == [".jobs"]
    assert list((tmp_path / "host" / ".jobs").iterdir()) == []


def test_it_explains_its_settings(stranger: Stranger, tmp_path: Path) -> None:
    """`spawnery spawners show` lists its settings under its own variables."""
    command = (stranger.place.path("spawnery"), "spawners", "show", stranger.engine)
    text = checked(*command, env=stranger.variables(tmp_path)).stdout
    assert f"{stranger.prefix}COMMAND" in text
    assert "sh -s" in text


def test_without_a_host_it_says_what_to_set(stranger: Stranger, tmp_path: Path) -> None:
    """An operator who forgot the command is told, and nothing was created."""
    env = stranger.variables(tmp_path)
    del env[f"{stranger.prefix}COMMAND"]
    done = run(stranger.place.path("spawnery"), "run", "--", "true", cwd=tmp_path, env=env)
    assert done.returncode == 125
    assert f"export {stranger.prefix}COMMAND='ssh HOST sh -s'" in done.stderr
    assert not (tmp_path / "host").exists()


@pytest.mark.timeout(900)
def test_it_passes_the_conformance_kit(stranger: Stranger, tmp_path: Path) -> None:
    """Its own tests, the whole kit among them, pass against the installed wheels."""
    unpack(stranger.sdist, tmp_path)
    (folder,) = tmp_path.glob("spawnery_*")
    shutil.rmtree(folder / "src")
    command = (stranger.place.path("python"), "-m", "pytest", "-q", "-n", "2", "--spawnery-report")
    done = run(*command, cwd=folder, env=stranger.place.variables(tmp_path), limit=800)
    assert done.returncode == 0, done.stdout
    report = done.stdout.partition("promises kept")[2]
    for number in range(1, 10):
        row = rf"^  P{number} .*?(\d+|-) +(\d+|-) +(\d+|-) +(\d+|-)$"
        line = re.search(row, report, re.MULTILINE)
        assert line is not None, report
        passed, failed = line[1], line[2]
        assert int(passed) > 0
        assert failed == "-"
