"""Which spawner is asked for, and how plugins are put together; real wheels are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import attrs
import pytest
from spawnery.contract import API_VERSION, SpawnerPlugin, hookimpl
from spawnery.contract.hookspecs import SPAWNER_HOOKS
from spawnery.errors import ConfigurationError, PluginError, SpawnerInvalid
from spawnery.loading import discovery
from spawnery.loading.discovery import Installed
from spawnery.loading.registration import build_manager, check_spawner_object
from spawnery.settings import schema as settings


def item(name: str) -> Installed:
    """Return an installed spawner of that name."""
    point = EntryPoint(name, "x:plugin", discovery.SPAWNERS)
    return Installed(
        name=name,
        distribution=f"{name}-dist",
        version="1.0",
        value=point.value,
        group=point.group,
        entry_point=point,
    )


OWN = (item("fake"), item("local"))


def asked(value: str | None) -> settings.Settings:
    """Return the settings with this SPAWNER_TYPE."""
    environ = {} if value is None else {"SPAWNER_TYPE": value}
    return settings.load({"SPAWNERY_CONFIG": "", **environ})


@pytest.mark.parametrize(
    ("value", "name"),
    [("docker", "docker"), (" Docker\n", "docker"), ("K8S", "kubernetes"), ("my-own", "my-own")],
)
def test_spawner_type_is_trimmed_and_in_any_case(value: str, name: str) -> None:
    """And the choice says where it came from and what was written there."""
    choice = discovery.choose(None, asked(value), found=OWN)
    assert choice.name == name
    assert choice.origin == f"environment SPAWNER_TYPE: {value!r}"


def test_a_name_wins_over_the_variable() -> None:
    """As --spawner does."""
    assert discovery.choose("K8s", asked("docker"), found=OWN).name == "kubernetes"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_unset_is_an_error_that_lists_what_is_installed(value: str | None) -> None:
    """Even when only one spawner is there."""
    for found, example in ((OWN, "local"), ((item("docker"), *OWN), "docker"), ((), "local")):
        with pytest.raises(ConfigurationError) as caught:
            discovery.choose(None, asked(value), found=found)
        assert all(str(one) in caught.value.message for one in found)
        assert caught.value.hint == f"export SPAWNER_TYPE={example}"


def test_the_command_line_falls_back_to_this_machine_alone() -> None:
    """Only when nobody says and nothing but core's own is installed, and it says so."""
    choice = discovery.choose_or_local(None, asked(None), found=OWN)
    assert choice.name == "local"
    assert choice.note is not None
    assert "isolates nothing" in choice.note
    with pytest.raises(ConfigurationError):
        discovery.choose_or_local(None, asked(None), found=(item("docker"), *OWN))
    assert discovery.choose_or_local(None, asked("docker"), found=OWN).note is None
    assert discovery.choose_or_local("fake", asked(None), found=OWN).name == "fake"


def test_what_core_ships_is_installed() -> None:
    """With its distribution and version, and sorted by name."""
    found = discovery.installed()
    own = [one for one in found if one.distribution == "spawnery"]
    assert [one.name for one in own] == ["fake", "local"]
    assert all(one.version for one in own)
    assert list(found) == sorted(found, key=lambda one: (one.name, one.distribution))


class Whole:
    """A spawner with all hooks, none of which does anything."""

    def close(self) -> None:
        """Do nothing."""

    @hookimpl
    def build_env(self, job: Any, context: Any) -> Any:
        """Say who was asked."""
        return {"BY": "spawner"}


def _hook(name: str, argument: str | None) -> Any:
    source = f"def {name}(self{f', {argument}' if argument else ''}): return None"
    scope: dict[str, Any] = {}
    exec(source, scope)  # noqa: S102 - nine functions that differ in their names
    return hookimpl(scope[name])


_ARGUMENTS = {"status": "job_id", "list_jobs": None, "check": None}
for _name in SPAWNER_HOOKS:
    setattr(Whole, _name, _hook(_name, _ARGUMENTS.get(_name, "request")))


@attrs.frozen(kw_only=True)
class NoSettings:
    """None at all."""


PLUGIN = SpawnerPlugin(
    name="whole",
    api=API_VERSION,
    capabilities=frozenset(),
    settings=NoSettings,
    create=lambda _settings, _runtime: Whole(),
)


class Adds:
    """An extension."""

    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def build_env(self, context: Any) -> Any:
        """Say who was asked; a hook may leave out arguments."""
        return {"BY": self.name}


def order(extensions: Sequence[tuple[str, object]]) -> list[str]:
    """Return who is asked for variables, in order."""
    manager = build_manager(Whole(), extensions, plugin=PLUGIN)
    return [answer["BY"] for answer in manager.hook.build_env(job=None, context=None)]


def test_extensions_are_asked_in_their_order_and_the_spawner_last() -> None:
    """The order of SPAWNER_PLUGINS."""
    assert order([("a", Adds("a")), ("b", Adds("b"))]) == ["a", "b", "spawner"]
    assert order([]) == ["spawner"]


def test_an_extension_may_be_called_as_the_spawner() -> None:
    """They are of different groups, so the same name is no clash."""
    assert order([("whole", Adds("namesake"))]) == ["namesake", "spawner"]


def test_two_spawners_in_one_process() -> None:
    """Each facade has a manager of its own."""
    first, second = (build_manager(Whole(), [], plugin=PLUGIN) for _ in range(2))
    assert first.get_plugins().isdisjoint(second.get_plugins())


def test_a_whole_spawner_is_accepted() -> None:
    """All hooks and close()."""
    check_spawner_object(Whole(), PLUGIN)


@pytest.mark.parametrize("hook", SPAWNER_HOOKS)
def test_each_hook_is_needed(hook: str) -> None:
    """A spawner that lacks one is refused, and that one is named."""
    lacking = type("Lacking", (Whole,), {hook: None})()
    with pytest.raises(SpawnerInvalid) as caught:
        build_manager(lacking, [], plugin=PLUGIN)
    assert caught.value.cause == "plugin.invalid"
    assert caught.value.message.endswith(f"it lacks the hook {hook}")
    assert f"def {hook}(" in (caught.value.hint or "")


def test_an_optional_hook_is_needed_where_it_is_declared() -> None:
    """A spawner may have the hook ``place``, and must have it when it declares it."""
    declaring = attrs.evolve(PLUGIN, capabilities=frozenset({"place"}))
    located = type("Located", (Whole,), {"place": hookimpl(lambda self: self)})()
    check_spawner_object(located, declaring)
    check_spawner_object(located, PLUGIN)
    with pytest.raises(SpawnerInvalid, match="it lacks the hook place"):
        check_spawner_object(Whole(), declaring)


@pytest.mark.parametrize("hook", SPAWNER_HOOKS)
def test_each_hook_is_marked(hook: str) -> None:
    """A method without the mark is nearly one."""
    unmarked = type("Unmarked", (Whole,), {hook: lambda _self: None})()
    with pytest.raises(SpawnerInvalid, match=f"its {hook} is not marked as a hook") as caught:
        check_spawner_object(unmarked, PLUGIN)
    assert "@hookimpl" in (caught.value.hint or "")


def test_several_hooks_that_lack() -> None:
    """The first one is named, the others are counted."""
    lacking = type("Lacking", (Whole,), dict.fromkeys(SPAWNER_HOOKS[2:5]))()
    with pytest.raises(SpawnerInvalid, match=rf"lacks the hook {SPAWNER_HOOKS[2]} .and 2 more"):
        check_spawner_object(lacking, PLUGIN)


def test_a_spawner_needs_close() -> None:
    """It is how a facade lets go of its engine."""
    with pytest.raises(SpawnerInvalid, match=r"it has no close\(\)"):
        check_spawner_object(type("Open", (Whole,), {"close": None})(), PLUGIN)


def test_a_class_is_no_spawner() -> None:
    """create() that forgets the parentheses."""
    with pytest.raises(SpawnerInvalid, match=r"create\(\) returned the class Whole"):
        check_spawner_object(Whole, PLUGIN)


def test_a_spawner_does_not_review() -> None:
    """review_job belongs to extensions."""

    class Reviews(Whole):
        @hookimpl
        def review_job(self, job: Any) -> Any:
            return None

    with pytest.raises(SpawnerInvalid, match="review_job, which is for extensions"):
        check_spawner_object(Reviews(), PLUGIN)


class Drives:
    """An extension that acts as the spawner."""

    @hookimpl
    def stop(self, request: Any) -> None:
        """Stop."""


class Misspelt:
    """An extension whose hook does not exist."""

    @hookimpl
    def biuld_env(self, job: Any) -> Any:
        """Never called."""


class Wraps:
    """An extension around another."""

    @hookimpl(wrapper=True)
    def build_env(self, job: Any) -> Any:
        """Yield."""
        return (yield)


class Waits:
    """An extension that nobody could await."""

    @hookimpl
    async def build_env(self, job: Any) -> Any:
        """Answer a coroutine."""


class Pushes:
    """An extension that pushes to the front."""

    @hookimpl(tryfirst=True)
    def build_env(self, job: Any) -> Any:
        """Answer."""


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (Drives(), "implements stop, which only the spawner does"),
        (Misspelt(), "there is no hook biuld_env"),
        (Wraps(), "its build_env is a wrapper"),
        (Waits(), "its build_env is async"),
        (Pushes(), "its build_env asks to be called first or last"),
        (object(), "it implements no hook"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_an_extension_that_breaks_the_contract(extension: object, words: str) -> None:
    """Refused by name, with what to do."""
    with pytest.raises(PluginError) as caught:
        build_manager(Whole(), [("ext", extension)], plugin=PLUGIN)
    assert caught.value.cause == "plugin.invalid"
    assert caught.value.message.startswith("the extension ext breaks the plugin contract")
    assert words in caught.value.message
    assert caught.value.hint
