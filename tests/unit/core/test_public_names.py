"""The public packages: one place each to import from, and light."""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from commands import checked

ROOT = Path(__file__).resolve().parents[3]
PUBLIC = (
    "spawnery",
    "spawnery.contract",
    "spawnery.model",
    "spawnery.settings",
    "spawnery.toolkit",
)


def seen_by_mypy(package: str) -> dict[str, str]:
    """Return the names that a package imports under TYPE_CHECKING, with their modules."""
    tree = ast.parse(Path(import_module(package).__file__).read_text(encoding="utf-8"))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("spawnery.")
        for alias in node.names
        if alias.asname == alias.name
    }


@pytest.mark.parametrize("package", PUBLIC)
def test_the_names_are_those_that_mypy_sees(package: str) -> None:
    """Both lists of a package are the same, and each name is that of its module."""
    module, typed = import_module(package), seen_by_mypy(package)
    assert sorted(typed) == sorted(set(module.__all__) - {"__version__"})
    for name, home in typed.items():
        assert getattr(module, name) is getattr(import_module(home), name)
    assert set(typed) <= set(dir(module))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = module.nonsense


def test_a_package_loads_what_is_asked_for() -> None:
    """The declaration of a plugin costs neither pluggy nor the hooks."""
    code = "import sys; from spawnery.contract import SpawnerPlugin; print(*sys.modules)"
    loaded = checked(sys.executable, "-c", code).split()
    assert "spawnery.contract.declaration" in loaded
    assert not {"pluggy", "spawnery.contract.hookspecs", "spawnery.contract.requests"} & set(loaded)


def test_strangers_need_nothing_else() -> None:
    """The template of a spawner, what is rendered of it, and the examples import public names."""
    inside = re.compile(r"^\s*(?:from|import) (spawnery\.[.\w]+)", re.MULTILINE)
    found = {
        f"{path}: {module}"
        for folder in ("examples", "templates")
        for path in (ROOT / folder).rglob("*")
        if ".py" in path.name and ".pyc" not in path.name
        for module in inside.findall(path.read_text(encoding="utf-8"))
        if module not in {*PUBLIC, "spawnery.errors"} and not module.startswith("spawnery.testing")
    }
    assert found == set()
