"""The library names fields: no text of it outside the command line has an option of a job."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import spawnery
from spawnery.cli.printing import fields

ROOT = Path(__file__).parents[3]
SOURCES = ("core/src", "plugins/docker_spawner/src", "plugins/k8s_spawner/src", "dispatcher/src")
COMMANDS = ("docker", "kubectl", "podman", "spawnery")
"""What may stand before an option: a whole command, to be pasted."""


def modules() -> list[Path]:
    """List the modules of the library and its plugins."""
    found = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    return [path for path in found if "cli" not in path.relative_to(ROOT).parts]


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of all strings but docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
            inside |= {id(part) for part in node.values}
            yield node.lineno, "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and id(node) not in documentation | inside:
            yield node.lineno, str(node.value)


def bare_options(text: str) -> list[str]:
    """Return the options of a job in a text that belong to no command in it."""
    known = {*fields.options().values(), "--{"}
    if len(text.split()) == 1:
        return []  # an argument of a program
    found = []
    for match in re.finditer(r"(?<![\w-])--(?:[a-z][a-z-]*|\{)", text):
        before = re.split(r"[:;,\n(`]", text[: match.start()])[-1].split()
        if match.group() in known and not (before and before[0] in COMMANDS):
            found.append(match.group())
    return found


def test_the_search_finds_options():
    """It knows an option that is advice from one of a command."""
    assert bare_options("name it: --image busybox") == ["--image"]
    assert bare_options("look: docker run --user 0 x, or --user 1") == ["--user"]
    assert bare_options("at most --{} 3") == ["--{"]
    tree = ast.parse('"""Say --image."""\nz = f"a --network {b}"\n')
    assert [text for _, text in texts(tree)] == ["a --network {}"]


@pytest.mark.parametrize("folder", SOURCES)
def test_no_text_of_the_library_has_an_option(folder):
    """Messages and hints speak of fields; the command line puts its options there."""
    assert Path(spawnery.__file__).is_relative_to(ROOT / "core/src")
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in modules()
        if path.is_relative_to(ROOT / folder)
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if bare_options(text)
    ]
    assert not found
