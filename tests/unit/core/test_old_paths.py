"""The import paths of 0.2 that moved."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from commands import checked
from spawnery import _compat

ROOT = Path(__file__).resolve().parents[3]
WORKSPACE = (
    *("agent", "benchmarks", "core", "dispatcher", "docs", "examples", "plugins", "scripts"),
    *("templates", "tests"),
)


@pytest.mark.parametrize("old", _compat.MODULES)
def test_an_old_module_is_the_new_one(old):
    """The same object under both names, which keeps its own name; importing it warns."""
    new = _compat.MODULES[old]
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=rf"^{re.escape(old)} moved to {re.escape(new)};"):
        found = import_module(old)
    assert found is import_module(new)
    assert found.__name__ == found.__spec__.name == new


@pytest.mark.parametrize("package", _compat.NAMES)
def test_names_of_a_module_that_became_a_package(package):
    """Each name of it is there, with a warning; others are not."""
    for name, new in _compat.NAMES[package].items():
        with pytest.warns(DeprecationWarning, match=rf"^{package}\.{name} moved to {new}\.{name};"):
            assert getattr(import_module(package), name) is getattr(import_module(new), name)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = import_module(package).nonsense


def test_the_warning_names_the_line_that_imports(tmp_path):
    """Whoever has to change it is told where."""
    program = tmp_path / "old.py"
    program.write_text(
        "\nfrom spawnery.outcomes import Outcome\nfrom spawnery.records import JobRecords\n"
    )
    command = [sys.executable, "-W", "always::DeprecationWarning", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"{program}:2: DeprecationWarning: spawnery.outcomes moved" in done.stderr
    assert f"{program}:3: DeprecationWarning: spawnery.records.JobRecords moved" in done.stderr


def test_a_module_that_never_was_is_not_found():
    """The error is the usual one."""
    with pytest.raises(ModuleNotFoundError, match=r"spawnery\.nonsense"):
        import_module("spawnery.nonsense")


def test_importing_spawnery_does_not_load_them():
    """A program with new paths pays for none of it."""
    code = "import sys, spawnery; spawnery.JobSpec; print('spawnery._compat' in sys.modules)"
    assert checked(sys.executable, "-c", code) == "False\n"


def test_nothing_of_the_workspace_uses_them():
    """Sources, templates, examples, docs and tests have the new paths."""
    paths = "|".join(re.escape(path) for path in _compat.MODULES)
    names = "|".join(
        rf"{re.escape(package)} import \(?\s*{name}"
        for package, names in _compat.NAMES.items()
        for name in names
    )
    old = re.compile(rf"(?<![\w.])(?:{paths}|{names})\b(?!/)")
    users = []
    for path in (path for folder in WORKSPACE for path in (ROOT / folder).rglob("*")):
        if path.suffix not in {".py", ".jinja", ".md", ".toml"} or not path.is_file():
            continue
        if path.name in {"CHANGELOG.md", "_compat.py", "test_old_paths.py", "test_older_plugin.py"}:
            continue
        users += [f"{path}: {found}" for found in old.findall(path.read_text(encoding="utf-8"))]
    assert users == []
