"""The reference pages say what the code says: hooks, settings, capabilities, causes."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from spawnery import JobSpec, Resources, SecretRef
from spawnery.contract.hookspecs import OPTIONAL_HOOKS, SHARED_HOOKS, SPAWNER_HOOKS, HookSpecs
from spawnery.lifecycle.preparation.capabilities import asked_for
from spawnery.local.plugin import plugin as local_plugin
from spawnery.testing import fake

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SOURCES = sorted((ROOT / "core" / "src" / "spawnery").rglob("*.py"))
CODE = re.compile(r"^\| `([a-z_.]+)` \|", re.MULTILINE)
NO_CAUSES = {"exit.json", "job.json", "engine.json", "engine.key", "engine.name"}
"""Dotted words of the source that look like a cause and are none."""


def generator() -> ModuleType:
    """Load the script that writes the generated pages."""
    spec = importlib.util.spec_from_file_location(
        "generate_docs", ROOT / "scripts" / "generate_docs.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented(page: str) -> set[str]:
    """Return the codes in the first column of a page's tables."""
    return set(CODE.findall((DOCS / page).read_text(encoding="utf-8")))


def trees() -> Iterator[ast.Module]:
    """Parse every module of core."""
    for path in SOURCES:
        yield ast.parse(path.read_text(encoding="utf-8"), str(path))


def strings(node: ast.AST) -> Iterator[str]:
    """Yield the string constants below a node."""
    for found in ast.walk(node):
        if isinstance(found, ast.Constant) and isinstance(found.value, str):
            yield found.value


@pytest.mark.parametrize("page", ["hooks.md", "settings.md"])
def test_generated_page_is_current(page: str) -> None:
    """The committed page is what scripts/generate_docs.py makes of the code."""
    made = generator().PAGES[page]()
    assert (DOCS / page).read_text(encoding="utf-8") == made, "run scripts/generate_docs.py"


@pytest.mark.parametrize("hook", [*SHARED_HOOKS, *SPAWNER_HOOKS, *OPTIONAL_HOOKS])
def test_every_hook_says_what_it_promises(hook: str) -> None:
    """Each hook's docstring has Order, Concurrency, Idempotency and Errors, none of them empty."""
    module = generator()
    found = module.sections(hook)
    assert all(found.get(name) for name in ("", *module.SECTIONS)), found


def test_no_hook_is_left_out() -> None:
    """The lists of hooks are all that the specification class has."""
    marked = {name for name, item in vars(HookSpecs).items() if hasattr(item, "spawnery_spec")}
    assert marked == {*SHARED_HOOKS, *SPAWNER_HOOKS, *OPTIONAL_HOOKS}


def capabilities_in_use() -> set[str]:
    """Collect what a spec can ask for, what core's spawners declare, and what code asks about."""
    everything = {
        "image": "i",
        "command": ("c",),
        "args": ("a",),
        "env": {"A": "b"},
        "secrets": {"S": SecretRef.engine("name", "key")},
        "network": "n",
        "labels": {"l": "v"},
        "workdir": "/",
        "user": "1",
        "deadline_seconds": 1,
        "start_deadline_seconds": 1,
        "retention_seconds": 1,
        "pull_policy": "never",
        "resources": Resources(
            memory_request="1Mi", memory_limit="1Mi", gpus=1, ephemeral_storage="1Mi"
        ),
    }
    used = set(OPTIONAL_HOOKS.values())
    for profile in ("restricted", "baseline"):
        used |= {capability for _, capability in asked_for(JobSpec(**everything, security=profile))}
    used |= local_plugin.capabilities | fake.plugin.capabilities
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
                right = ast.unparse(node.comparators[0])
                if "capabilities" in right and isinstance(node.left.value, str):
                    used.add(node.left.value)
    return used


def test_capabilities_page_is_complete() -> None:
    """Every capability that code uses is documented, and nothing else is."""
    assert documented("capabilities.md") == capabilities_in_use()


def causes_in_source() -> set[str]:
    """Collect the cause codes of core: by name where they are given, by form elsewhere."""
    found: set[str] = set()
    families = {code.partition(".")[0] for code in documented("causes.md") if "." in code}
    form = re.compile(rf"({'|'.join(sorted(families))})\.[a-z_]+\Z")
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "cause":
                branches = (node.value, *vars(node.value).values())
                found |= {b.value for b in branches if isinstance(b, ast.Constant)} - {None}
        found |= {text for text in strings(tree) if form.match(text)}
    return found - NO_CAUSES - documented("capabilities.md")


def test_every_cause_in_core_is_documented() -> None:
    """Each cause code that core's source gives stands in docs/causes.md."""
    assert causes_in_source() - documented("causes.md") == set()


@pytest.mark.parametrize("page", ["causes.md", "capabilities.md", "settings.md"])
def test_nothing_is_documented_twice(page: str) -> None:
    """Each code stands in one row: two of them would come to disagree."""
    rows = CODE.findall((DOCS / page).read_text(encoding="utf-8"))
    assert sorted(rows) == sorted(set(rows))


def test_documented_causes_of_core_exist() -> None:
    """A cause that the page ascribes to core or the local engine is in its source."""
    rows = (DOCS / "causes.md").read_text(encoding="utf-8").splitlines()
    ours = set()
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 4 and re.search(r"\b(core|local|every spawner)\b", cells[2]):
            ours.add(cells[0].strip("`"))
    assert len(ours) > 30
    text = {word for tree in trees() for word in strings(tree)}
    assert ours - text == set()


def test_links_between_pages_hold() -> None:
    """Every relative link of a page leads to a file that is there."""
    broken = []
    for page in sorted(DOCS.rglob("*.md")):
        targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        own = [target for target in targets if "://" not in target]
        broken += [f"{page.name}: {to}" for to in own if not (page.parent / to).exists()]
    assert broken == []
