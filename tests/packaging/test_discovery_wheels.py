"""Discovery with real wheels in a fresh environment: six ways to fail, each said in words."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from builds import UV, Environment, checked, run
from wheels import make_wheel

SPAWNERS = "spawnery.spawners"
EXTENSIONS = "spawnery.plugins"
HOOKS = {
    "spawn": "request",
    "status": "job_id",
    "list_jobs": "",
    "watch": "request",
    "logs": "request",
    "stop": "request",
    "remove": "request",
    "plan": "request",
    "check": "",
}
HEAD = """\
import attrs
from spawnery import SpawnerPlugin, hookimpl

@attrs.frozen(kw_only=True)
class Settings:
    pass

class Stranger:
    def close(self):
        pass
"""
OPEN = """\
import json, sys
import spawnery

def told(error):
    return None if error is None else {
        "type": type(error).__name__,
        "cause": getattr(error, "cause", None),
        "message": getattr(error, "message", str(error)),
        "hint": getattr(error, "hint", None),
        "from": told(error.__cause__),
    }

found = {"error": None, "name": None}
try:
    with spawnery.Spawner.from_environment() as spawner:
        found["name"] = spawner.name
        if "spawn" in sys.argv:
            spawner.spawn(spawnery.JobSpec(job_id="a"))
except spawnery.SpawnerError as error:
    found["error"] = told(error)
found["modules"] = [name for name in sys.modules if name.startswith("stranger")]
print(json.dumps(found))
"""


def spawner_source(
    name: str = "stranger", *, api: int = 1, tail: str = "", **changes: str | None
) -> str:
    """Return the source of a spawner.

    Args:
        name: What it calls itself.
        api: The plugin API that it was written for.
        tail: Lines behind it.
        changes: Hook to the line of its definition instead; None leaves it out.
    """
    methods = []
    for hook, argument in HOOKS.items():
        line = f"def {hook}(self{argument and ', '}{argument}): return None"
        line = changes.get(hook, line)
        methods += [f"    @hookimpl\n    {line}\n"] if line is not None else []
    declaration = (
        f"plugin = SpawnerPlugin(name={name!r}, api={api}, capabilities=frozenset(),"
        " settings=Settings, create=lambda settings, runtime: Stranger())\n"
    )
    return HEAD + "".join(methods) + declaration + tail


def target(folder: Path, wheel: Path) -> Path:
    """Install a wheel alone into a folder that may then be put on the path."""
    checked(UV, "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel)
    return folder


class Site:
    """A folder of installed wheels beside the environment, and the questions to ask of it."""

    def __init__(self, core: Environment, folder: Path) -> None:
        self.core = core
        self.folder = folder
        self.path: list[Path] = []

    def add(self, distribution: str, module: str, source: str, **points: Mapping[str, str]) -> None:
        """Make a wheel of one module and install it.

        Args:
            distribution: Its name.
            module: The module's name.
            source: The module's text.
            points: ``spawners`` and ``plugins``, each name to ``module:object``.
        """
        groups = {f"spawnery.{group}": names for group, names in points.items()}
        files = {f"{module}.py": source}
        wheel = make_wheel(self.folder / "wheels", distribution, modules=files, entry_points=groups)
        self.path.append(target(self.folder / f"site-{len(self.path)}", wheel))

    def open(self, *args: str, **env: str) -> dict[str, Any]:
        """Open a spawner in the fresh environment and return what came of it."""
        done = self._run("-W", "error", "-c", OPEN, *args, **env)
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "stderr": done.stderr}

    def error(self, **env: str) -> dict[str, Any]:
        """Return the error."""
        found = self.open(**env)
        assert found["error"] is not None, found
        return found["error"]

    def cli(self, *args: str, **env: str) -> Any:
        """Run the command with --json and return what it prints."""
        done = self._run("-m", "spawnery", *args, "--json", **env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, self.path))
        variables = self.core.variables(self.folder, **env) | ({"PYTHONPATH": path} if path else {})
        return run(self.core.path("python"), *args, cwd=self.folder, env=variables)


@pytest.fixture
def site(core_alone: Environment, tmp_path: Path) -> Site:
    """Return an empty one."""
    return Site(core_alone, tmp_path)


def test_a_strangers_spawner_is_found_by_its_name(site: Site) -> None:
    """Installed, named in any case and with spaces around: it runs, and nothing was changed."""
    site.add(
        "stranger-dist", "stranger", spawner_source(), spawners={"stranger": "stranger:plugin"}
    )
    found = site.open(SPAWNER_TYPE="  Stranger ")
    assert (found["error"], found["name"], found["stderr"]) == (None, "stranger", "")


def test_not_found(site: Site) -> None:
    """Names the value, its source, what is installed, the interpreter and what to do."""
    site.add(
        "stranger-dist", "stranger", spawner_source(), spawners={"stranger": "stranger:plugin"}
    )
    error = site.error(SPAWNER_TYPE="dokcer", SPAWNERY_DOKCER_NETWORK="x")
    assert (error["type"], error["cause"]) == ("SpawnerNotFound", "plugin.not_found")
    for words in ("'dokcer'", "environment SPAWNER_TYPE", "stranger (stranger-dist 1.0)", "local"):
        assert words in error["message"]
    assert str(site.core.path("python")) in error["message"]
    assert "did you mean docker?" in error["hint"]
    assert "pip install spawnery-docker" in error["hint"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("docker", "-m pip install spawnery-docker"),
        ("k8s", "-m pip install spawnery-kubernetes"),
        ("nomad", "the spawnery.spawners entry point 'nomad'"),
        ("lcoal", "did you mean local?"),
    ],
)
def test_what_to_install(site: Site, name: str, hint: str) -> None:
    """First-party names have a command, others a description, typos a near miss."""
    error = site.error(SPAWNER_TYPE=name)
    assert error["type"] == "SpawnerNotFound"
    assert hint in error["hint"]


def test_unset_is_never_a_guess(site: Site) -> None:
    """Without SPAWNER_TYPE the library refuses and lists what is installed."""
    site.add(
        "stranger-dist", "stranger", spawner_source(), spawners={"stranger": "stranger:plugin"}
    )
    error = site.error()
    assert error["type"] == "ConfigurationError"
    assert "SPAWNER_TYPE is not set" in error["message"]
    assert "stranger (stranger-dist 1.0)" in error["message"]


def test_two_distributions_claim_the_name(site: Site) -> None:
    """Neither is taken; both are named."""
    for number in (1, 2):
        source = spawner_source()
        names = {"stranger": f"stranger{number}:plugin"}
        site.add(f"stranger-{number}", f"stranger{number}", source, spawners=names)
    found = site.open(SPAWNER_TYPE="stranger")
    assert found["modules"] == []
    error = found["error"]
    assert (error["type"], error["cause"]) == ("SpawnerAmbiguous", "plugin.ambiguous")
    assert "stranger-1 1.0" in error["message"]
    assert "stranger-2 1.0" in error["message"]
    assert "pip uninstall stranger-2" in error["hint"]
    assert site.open(SPAWNER_TYPE="local")["error"] is None


def test_one_distribution_twice_on_the_path_is_one(site: Site) -> None:
    """As an editable install over a wheel is; the first on the path is used."""
    for _ in range(2):
        names = {"stranger": "stranger:plugin"}
        site.add("stranger-dist", "stranger", spawner_source(), spawners=names)
    assert site.open(SPAWNER_TYPE="stranger")["name"] == "stranger"


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("import not_there_at_all\n", "ModuleNotFoundError", "not_there_at_all"),
        ("raise RuntimeError('no luck')\n", "RuntimeError", "no luck"),
        ("import sys; sys.exit(3)\n", "SystemExit", "3"),
        ("x = (\n", "SyntaxError", "never closed"),
        ("", "AttributeError", "plugin"),
    ],
)
def test_import_failed(site: Site, source: str, kind: str, words: str) -> None:
    """The exception is the cause, and the distribution and a missing module are named."""
    site.add("stranger-dist", "stranger", source, spawners={"stranger": "stranger:plugin"})
    error = site.error(SPAWNER_TYPE="stranger")
    assert (error["type"], error["cause"]) == ("SpawnerLoadFailed", "plugin.load_failed")
    assert "stranger-dist 1.0" in error["message"]
    assert words in error["message"]
    assert error["from"]["type"] == kind
    assert "pip install --force-reinstall stranger-dist" in error["hint"]
    assert ("not_there_at_all is missing" in error["hint"]) == (kind == "ModuleNotFoundError")


@pytest.mark.parametrize(("api", "upgrade"), [(2, "spawnery"), (0, "stranger-dist")])
def test_wrong_api_version(site: Site, api: int, upgrade: str) -> None:
    """Says both versions, and which side to upgrade."""
    names = {"stranger": "stranger:plugin"}
    site.add("stranger-dist", "stranger", spawner_source(api=api), spawners=names)
    error = site.error(SPAWNER_TYPE="stranger")
    assert (error["type"], error["cause"]) == ("SpawnerIncompatible", "plugin.incompatible")
    assert f"API {api}," in error["message"]
    assert "plugin API 1" in error["message"]
    assert error["hint"].endswith(f"pip install --upgrade {upgrade}")


INVALID = {
    "class": (spawner_source(tail="plugin = Stranger\n"), "is a class (Stranger)"),
    "other": (spawner_source(tail="plugin = Stranger()\n"), "is a Stranger, not a SpawnerPlugin"),
    "name": (spawner_source("strange"), "calls itself 'strange'"),
    "made-class": (
        spawner_source(tail="object.__setattr__(plugin, 'create', lambda s, r: Stranger)\n"),
        "create() returned the class Stranger",
    ),
    "create": (
        spawner_source(tail="object.__setattr__(plugin, 'create', lambda s, r: 1 / 0)\n"),
        "ZeroDivisionError",
    ),
    "settings": (spawner_source(tail="object.__setattr__(plugin, 'settings', int)\n"), "settings"),
    "no-close": (spawner_source(tail="del Stranger.close\n"), "no close()"),
    "missing": (spawner_source(stop=None), "lacks the hook stop"),
    "unmarked": (
        spawner_source(stop=None, tail="Stranger.stop = lambda self, request: None\n"),
        "its stop is not marked as a hook",
    ),
    "misspelt": (spawner_source(spawn="def spwan(self, request): pass"), "there is no hook spwan"),
    "argument": (spawner_source(stop="def stop(self, reqest): pass"), "the argument reqest"),
    "default": (spawner_source(stop="def stop(self, request=None): pass"), "a default"),
    "async": (spawner_source(stop="async def stop(self, request): pass"), "its stop is async"),
    "wrapper": (
        spawner_source(tail="Stranger.stop = hookimpl(wrapper=True)(Stranger.stop)\n"),
        "its stop is a wrapper",
    ),
    "first": (
        spawner_source(tail="Stranger.stop = hookimpl(tryfirst=True)(Stranger.stop)\n"),
        "called first or last",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid(site: Site, case: str) -> None:
    """What breaks the contract is said in words, when the spawner is opened."""
    source, words = INVALID[case]
    site.add("stranger-dist", "stranger", source, spawners={"stranger": "stranger:plugin"})
    error = site.error(SPAWNER_TYPE="stranger")
    assert (error["type"], error["cause"]) == ("SpawnerInvalid", "plugin.invalid")
    assert words in error["message"]
    assert error["hint"]


def test_engine_unreachable(site: Site) -> None:
    """A spawner that cannot reach its engine says so, which is no fault of the plugin."""
    tail = (
        "from spawnery.errors import EngineUnreachable\n"
        "def create(settings, runtime):\n"
        "    raise EngineUnreachable('nothing answers at /run/x.sock', hint='start it')\n"
        "object.__setattr__(plugin, 'create', create)\n"
    )
    names = {"stranger": "stranger:plugin"}
    site.add("stranger-dist", "stranger", spawner_source(tail=tail), spawners=names)
    error = site.error(SPAWNER_TYPE="stranger")
    assert (error["type"], error["cause"]) == ("EngineUnreachable", "engine.unreachable")
    assert (error["message"], error["hint"]) == ("nothing answers at /run/x.sock", "start it")


def test_a_broken_plugin_that_nobody_asked_for_changes_nothing(site: Site) -> None:
    """Neither its import nor a damaged distribution: another spawner works without a word."""
    broken = {"stranger": "stranger:plugin"}
    site.add("stranger-dist", "stranger", "raise RuntimeError\n", spawners=broken, plugins=broken)
    damaged = target(site.folder / "damaged", make_wheel(site.folder / "wheels", "damaged"))
    (text,) = damaged.glob("*.dist-info/entry_points.txt")
    text.write_text(f"[{SPAWNERS}]\nx\n")
    site.path.append(damaged)
    found = site.open(SPAWNER_TYPE="local")
    assert (found["error"], found["modules"], found["stderr"]) == (None, [], "")
    rows = site.cli("spawners", SPAWNER_TYPE="local")["installed"]
    assert {row["name"] for row in rows if row["kind"] == "spawner"} == {
        "fake",
        "local",
        "stranger",
    }
    rows = site.cli("spawners", "--load", SPAWNER_TYPE="local")["installed"]
    (problem,) = {row["problem"] for row in rows if row["name"] == "stranger"}
    assert "RuntimeError" in problem


EXTENSION = """\
from spawnery import hookimpl

class Extension:
    @hookimpl
    def build_env(self, job, context):
        print("asked {name}", flush=True, file=__import__("sys").stderr)
        return {{}}

plugin = Extension()
"""


def extensions(site: Site, *names: str) -> None:
    """Install a spawner and extensions that tell when they are asked."""
    site.add(
        "stranger-dist", "stranger", spawner_source(), spawners={"stranger": "stranger:plugin"}
    )
    for name in names:
        module = f"stranger_{name}"
        points = {name: f"{module}:plugin"}
        site.add(f"ext-{name}", module, EXTENSION.format(name=name), plugins=points)


def test_extensions_are_asked_in_the_order_of_the_variable(site: Site) -> None:
    """Only those that are named; installing one changes nothing."""
    extensions(site, "aa", "bb", "cc")
    found = site.open("spawn", SPAWNER_TYPE="stranger", SPAWNER_PLUGINS="cc, aa")
    asked = [line for line in found["stderr"].splitlines() if line.startswith("asked")]
    assert asked == ["asked cc", "asked aa"]
    assert set(found["modules"]) == {"stranger", "stranger_aa", "stranger_cc"}
    assert site.open(SPAWNER_TYPE="stranger")["modules"] == ["stranger"]


def test_an_extension_that_cannot_be_loaded_is_left_out(site: Site) -> None:
    """With a warning; the others work. Strict makes it an error."""
    extensions(site, "aa")
    site.add("ext-bad", "stranger_bad", "import nowhere\n", plugins={"bad": "stranger_bad:plugin"})
    env = {"SPAWNER_TYPE": "stranger", "SPAWNER_PLUGINS": "bad,aa"}
    found = site.open("spawn", **env)
    assert "asked aa" in found["stderr"]
    assert "going on without the extension bad" in found["stderr"]
    error = site.error(**env, SPAWNERY_STRICT_PLUGINS="true")
    assert (error["type"], error["from"]["type"]) == ("SpawnerLoadFailed", "ModuleNotFoundError")


def test_an_extension_that_is_not_installed_is_an_error(site: Site) -> None:
    """Named and absent is a mistake, which no default forgives."""
    extensions(site, "aa")
    error = site.error(SPAWNER_TYPE="stranger", SPAWNER_PLUGINS="aa,zz")
    assert error["type"] == "SpawnerNotFound"
    assert "there is no extension 'zz' (from SPAWNER_PLUGINS)" in error["message"]
    assert "aa (ext-aa 1.0)" in error["message"]


def test_two_distributions_claim_an_extension(site: Site) -> None:
    """As with spawners, neither is taken."""
    extensions(site, "aa")
    site.add("ext-two", "stranger_two", EXTENSION, plugins={"aa": "stranger_two:plugin"})
    error = site.error(SPAWNER_TYPE="stranger", SPAWNER_PLUGINS="aa")
    assert error["type"] == "SpawnerAmbiguous"
    assert "ext-aa 1.0 and ext-two 1.0" in error["message"]
