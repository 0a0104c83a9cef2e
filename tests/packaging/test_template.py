"""The template is the one source: the example in the repository is what it renders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from copier import run_copy

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "templates" / "spawner-plugin"
EXAMPLE = ROOT / "examples" / "third_party_spawner"
LEFT_BY_TOOLS = {".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


def example_answers() -> dict[str, str]:
    """Read the answers that the example was rendered with."""
    import yaml

    return yaml.safe_load((TEMPLATE / "example-answers.yml").read_text(encoding="utf-8"))


def files(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by relative path, what tools leave behind left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = set(path.relative_to(folder).parts)
        if path.is_file() and not parts & {*LEFT_BY_TOOLS, ".hypothesis", "dist"}:
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def test_example_is_the_template_rendered(tmp_path: Path) -> None:
    """Byte by byte; where it differs, scripts/render-example.sh writes the example anew."""
    run_copy(str(TEMPLATE), tmp_path / "out", data=example_answers(), defaults=True, quiet=True)
    made, committed = files(tmp_path / "out"), files(EXAMPLE)
    assert sorted(made) == sorted(committed)
    assert [name for name in made if made[name] != committed[name]] == []


def test_other_answers_leave_no_trace_of_the_example(tmp_path: Path) -> None:
    """A distribution with other names has these everywhere, in file names and texts."""
    answers = {"engine": "my-engine", "author": "A. Stranger"}
    run_copy(str(TEMPLATE), tmp_path / "out", data=answers, defaults=True, quiet=True)
    made = files(tmp_path / "out")
    assert "src/spawnery_my_engine/plugin.py" in made
    text = b"\n".join([*made.values(), *(name.encode() for name in made)]).lower()
    assert b"shellhost" not in text
    assert b"SPAWNERY_MY_ENGINE_" in made["src/spawnery_my_engine/settings.py"]
    assert b"A. Stranger" in made["LICENSE"]


@pytest.mark.parametrize("engine", ["My-Engine", "1st", "a b"])
def test_a_name_that_no_spawner_may_have_is_refused(engine: str, tmp_path: Path) -> None:
    """The template asks for names that core accepts."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "copier", "copy", "--defaults", "--quiet"),
            *("-d", f"engine={engine}", "-d", "author=me", str(TEMPLATE), str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "lower-case letters" in done.stderr
    assert not (tmp_path / "out" / "pyproject.toml").exists()
