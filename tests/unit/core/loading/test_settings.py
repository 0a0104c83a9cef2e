"""Settings: where they are read from, what wins, and how a wrong one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery.contract import SpawnerPlugin
from spawnery.errors import ConfigurationError, SpawnerInvalid
from spawnery.model import MASK, Secret
from spawnery.settings import CoreSettings, setting
from spawnery.settings import schema as settings


@attrs.frozen(kw_only=True)
class ShipSettings:
    """Settings of a spawner, one of each type."""

    network: str | None = setting(None, env="SHIP_NETWORK", description="The network.")
    crew: int = setting(3, description="How many.", check=lambda n: None if n else "must not be 0")
    speed: float = setting(1.5, description="How fast.")
    armed: bool = setting(default=False, description="Whether it is armed.")
    log: Path | None = setting(None, description="Where the log is.")  # noqa: RUF009
    ports: tuple[str, ...] = setting(("a",), description="Where it goes.")
    code: Secret | None = setting(None, description="The code.")  # noqa: RUF009
    token: str = setting("", secret=True, description="The token.")
    cargo: tuple[str, ...] = setting(attrs.Factory(tuple), description="What it carries.")


SHIP = SpawnerPlugin(
    name="my-ship",
    api=1,
    capabilities=frozenset(),
    settings=ShipSettings,
    create=lambda _settings, _runtime: None,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file of whoever runs the tests is near."""
    monkeypatch.chdir(tmp_path)


def load(environ: Mapping[str, str] | None = None, **more: Any) -> settings.Settings:
    """Load the settings of the ship."""
    return settings.load(environ or {}, plugin=more.pop("plugin", SHIP), **more)


def refused(environ: Mapping[str, str] | None = None, **more: Any) -> str:
    """Return how the settings are refused."""
    with pytest.raises(ConfigurationError) as caught:
        load(environ, **more)
    assert caught.value.cause == "config.invalid"
    return str(caught.value)


def test_defaults() -> None:
    """Nothing is set: every field has its default, and says so."""
    found = load()
    assert found.core == CoreSettings()
    assert found.plugin == ShipSettings()
    assert found.ignore == frozenset()
    assert {origin.source for origin in found.origins.values()} == {"default"}


def test_without_a_spawner_there_are_only_cores() -> None:
    """As the command line loads them before it knows which spawner is asked for."""
    found = load(plugin=None)
    assert found.plugin is None
    assert not [name for name in found.origins if "." in name]


def test_every_setting_is_described() -> None:
    """Each of core's has a sentence for people and a variable."""
    for origin in load().origins.values():
        assert origin.description.endswith(".")
        assert origin.env


def test_the_environment() -> None:
    """Each type is read from text, under the spawner's prefix or the field's own name."""
    found = load(
        {
            "SPAWNERY_STATE_DIR": "/var/x",
            "SPAWNERY_RECORDS_DAYS": "2.5",
            "SPAWNERY_STRICT_PLUGINS": "Yes",
            "SPAWNERY_FORWARD_SECRETS": "A_*, B",
            "SPAWNER_TYPE": "my-ship",
            "SPAWNER_PLUGINS": "a,,b ,",
            "SHIP_NETWORK": "sea",
            "SPAWNERY_MY_SHIP_CREW": "7",
            "SPAWNERY_MY_SHIP_SPEED": "2",
            "SPAWNERY_MY_SHIP_ARMED": "on",
            "SPAWNERY_MY_SHIP_LOG": "log",
            "SPAWNERY_MY_SHIP_PORTS": "x,y",
            "SPAWNERY_MY_SHIP_CODE": "hunter2-hunter2",
            "SPAWNERY_MY_SHIP_IGNORE": "image, resources.limits",
        }
    )
    core = found.core
    assert (core.state_dir, core.records_days, core.strict_plugins) == (Path("/var/x"), 2.5, True)
    assert (core.forward_secrets, core.plugins) == (("A_*", "B"), ("a", "b"))
    assert found.plugin == ShipSettings(
        network="sea",
        crew=7,
        speed=2,
        armed=True,
        log=Path.cwd() / "log",
        ports=("x", "y"),
        code=Secret("hunter2-hunter2"),
    )
    assert found.ignore == {"image", "resources.limits"}
    assert found.origins["my-ship.network"].source == "environment SHIP_NETWORK"
    assert found.origins["state_dir"].value == "/var/x"


def test_an_empty_variable_is_not_set() -> None:
    """So that a Compose file may pass on what is not there."""
    assert load({"SPAWNER_TYPE": "", "SPAWNERY_MY_SHIP_CREW": ""}).plugin.crew == 3


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SPAWNERY_MY_SHIP_CREW", "many", "must be a whole number"),
        ("SPAWNERY_MY_SHIP_CREW", "1.5", "must be a whole number"),
        ("SPAWNERY_MY_SHIP_CREW", "0", "must not be 0"),
        ("SPAWNERY_MY_SHIP_SPEED", "nan", "must be a number"),
        ("SPAWNERY_MY_SHIP_SPEED", "1e999", "must be a number"),
        ("SPAWNERY_MY_SHIP_ARMED", "maybe", "must be true or false"),
        ("SPAWNERY_RECORDS_DAYS", "0", "must be more than 0"),
        ("SPAWNERY_STOP_GRACE_SECONDS", "-1", "must not be below 0"),
    ],
)
def test_a_wrong_value_names_variable_value_and_what_is_allowed(
    name: str, value: str, words: str
) -> None:
    """As text from the environment."""
    message = refused({name: value})
    assert message.startswith(f"environment {name}: ")
    assert words in message
    assert repr(value) in message


@given(st.text(max_size=30), st.sampled_from(["CREW", "SPEED", "ARMED", "LOG", "PORTS", "CODE"]))
def test_any_text_is_read_or_refused(text: str, field: str) -> None:
    """No other error than ours, whatever a variable holds."""
    environ = {f"SPAWNERY_MY_SHIP_{field}": text}
    try:
        found = load(environ)
    except ConfigurationError as error:
        words = error.message
    else:
        words = repr(found.plugin)
    assert words


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("SPAWNERY_STATE_DIRR", "SPAWNERY_STATE_DIR"),
        ("SPAWNERY_MY_SHIP_CRWE", "SPAWNERY_MY_SHIP_CREW"),
        ("SPAWNERY_MY_SHIP_NETWORK", "SHIP_NETWORK"),
        ("SPAWNERY_SPAWNER_TYPE", "SPAWNER_TYPE"),
        ("SPAWNERY_PLUGINS", "SPAWNER_PLUGINS"),
        ("SPAWNERY_XYZZY", None),
        ("SPAWNER_TYP", "SPAWNER_TYPE"),
        ("SPAWNER_PLUGIN", "SPAWNER_PLUGINS"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, near: str | None) -> None:
    """With the near miss, and without its value, which may be a secret."""
    message = refused({name: "hunter2-hunter2"})
    assert message.startswith(f"environment {name}: there is no such setting")
    assert "hunter2" not in message
    assert (f"did you mean {near}?" if near else f"unset {name}") in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPAWNERY_DOCKER_ANYTHING", "x"),
        ("SPAWNERY_KUBERNETES_X", "x"),
        ("SPAWNERY_TEST_CLUSTER", "x"),
        ("SPAWNERY_NOMAD_ADDRESS", "x"),
        ("SPAWNERY_CONFIG", ""),
        ("SPAWNER_HOME", "x"),
        ("SPAWNER_PORT", "tcp://10.0.0.1:80"),
        ("SPAWNERY_REDIS_SERVICE_HOST", "10.0.0.1"),
        ("SPAWNERY_REDIS_SERVICE_PORT", "6379"),
        ("SPAWNERY_REDIS_SERVICE_PORT_HTTP", "80"),
        ("SPAWNERY_REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("SPAWNERY_REDIS_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
        ("SPAWNERY_REDIS_PORT_6379_TCP_ADDR", "10.0.0.1"),
        ("SPAWNERY_REDIS_PORT_6379_TCP_PORT", "6379"),
        ("SPAWNERY_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ("SPAWNERY_REDIS_PORT_53_UDP", "udp://10.0.0.1:53"),
        ("SPAWNERY_MY_SHIP_SERVICE_HOST", "10.0.0.1"),
        ("SPAWNERY_SERVICE_HOST", "10.0.0.1"),
        ("SPAWNERY_SERVICE_PORT", "80"),
        ("SPAWNERY_PORT", "tcp://10.0.0.1:80"),
        ("SPAWNERY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SPAWNERY_JOB_MARK", "set by a spawner in the job that we are"),
        ("NOT_OURS", "x"),
    ],
)
def test_variables_that_are_not_for_us(name: str, value: str) -> None:
    """Of other spawners, and what Kubernetes injects for a Service of our name."""
    assert load({name: value}, installed=["nomad"]).plugin == ShipSettings()


@pytest.mark.parametrize("name", ["SPAWNERY_REDIS_PORT", "SPAWNERY_PORT"])
def test_a_port_of_nobody_is_refused(name: str) -> None:
    """What Kubernetes injects under that name is an address; a bare number is a typing error."""
    assert name in refused({name: "6379"})


def test_variables_of_a_spawner_that_is_not_installed() -> None:
    """When it is asked for, that it is missing is the error, and not its variables."""
    environ = {"SPAWNER_TYPE": " Nomad", "SPAWNERY_NOMAD_ADDRESS": "x"}
    assert load(environ, plugin=None).core.spawner_type == " Nomad"
    assert "SPAWNERY_NOMAD_ADDRESS" in refused(environ)


FILE = """\
# Ours.
state_dir = "/var/file"
plugins = ["a", "b"]
records_days = 3

[my-ship]
crew = 9
armed = true
ignore = ["image"]

[docker]
whatever = 1
"""


def write(folder: Path, text: str) -> Path:
    """Write a settings file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spawnery.toml"
    path.write_text(text)
    return path


def test_the_file(tmp_path: Path) -> None:
    """Core's at the top level, the spawner's in its table, others' left alone."""
    path = write(tmp_path / "there", FILE)
    found = load(config_file=path)
    assert found.core.state_dir == Path("/var/file")
    assert (found.core.plugins, found.core.records_days) == (("a", "b"), 3)
    assert (found.plugin.crew, found.plugin.armed, found.ignore) == (9, True, {"image"})
    assert found.origins["state_dir"].source == f"{path} line 2"
    assert found.origins["my-ship.crew"].source == f"{path} line 7"


def test_which_file(tmp_path: Path) -> None:
    """Named by the caller, by SPAWNERY_CONFIG, in this folder, in the user's; the first wins."""
    write(tmp_path / "home" / ".config" / "spawnery", "tail_bytes = 4")
    environ = {"HOME": str(tmp_path / "home")}
    assert load(environ).core.tail_bytes == 4
    write(tmp_path / "xdg" / "spawnery", "tail_bytes = 3")
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert load(environ).core.tail_bytes == 3
    write(tmp_path, "tail_bytes = 2")
    assert load(environ).core.tail_bytes == 2
    environ["SPAWNERY_CONFIG"] = str(write(tmp_path / "named", "tail_bytes = 1"))
    assert load(environ).core.tail_bytes == 1
    flag = write(tmp_path / "flag", "tail_bytes = 0")
    assert load(environ, config_file=flag).core.tail_bytes == 0


def test_what_wins(tmp_path: Path) -> None:
    """Flags over the environment over the file over the default."""
    path = write(tmp_path / "there", "[my-ship]\ncrew = 4\n")
    environ: dict[str, str] = {}
    assert load(environ, config_file=path).plugin.crew == 4
    environ["SPAWNERY_MY_SHIP_CREW"] = "5"
    assert load(environ, config_file=path).plugin.crew == 5
    found = load(environ, config_file=path, flags={"my-ship.crew": "6"})
    assert found.plugin.crew == 6
    assert found.origins["my-ship.crew"].source == "flag my-ship.crew"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('# c\nstate_dri = "x"\n', 2, "there is no setting state_dri\ndid you mean state_dir?"),
        (
            "[my-ship]\ncrwe = 1\n",
            2,
            "there is no setting my-ship.crwe\ndid you mean my-ship.crew?",
        ),
        ("[dokcer]\nx = 1\n", 1, "there is no setting dokcer\ndid you mean docker?"),
        ("\n[my-ship]\n  crew = 'x'\n", 3, "my-ship.crew must be a whole number, not 'x'"),
        ("tail_bytes = 1.5\n", 1, "tail_bytes must be a whole number, not 1.5"),
        ("tail_bytes = true\n", 1, "tail_bytes must be a whole number, not True"),
        ("strict_plugins = 1\n", 1, "strict_plugins must be true or false, not 1"),
        ("plugins = [1]\n", 1, "plugins must be a list of words"),
        ("state_dir = {a = 1}\n", 1, "state_dir must be a path"),
        ("records_days = inf\n", 1, "records_days must be a number"),
    ],
)
def test_a_wrong_file_names_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    """And the near miss, or what is allowed."""
    path = write(tmp_path / "there", text)
    message = refused(config_file=path)
    assert message.startswith(f"{path} line {line}: ")
    assert words in message


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a = \n", "(at line 1"), (b"\xff", "is not UTF-8"), (None, "does not exist")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Missing though it was named, or not TOML: said with its name."""
    path = tmp_path / "named.toml"
    if content is not None:
        path.write_bytes(content)
    message = refused({"SPAWNERY_CONFIG": str(path)})
    assert str(path) in message
    assert words in message


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (dict[str, str], "dict[str, str]"),
        (list[str], "list[str]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[str, str], "tuple[str, str]"),
        (bytes, "bytes"),
        (int | str, "int | str"),
        (Any, "Any"),
        (None, "None"),
    ],
)
def test_a_type_that_settings_cannot_have(kind: Any, shown: str) -> None:
    """The plugin's mistake is told with class and field, and with the types that work."""
    made = attrs.make_class(
        "OddSettings", {"odd": attrs.field(type=kind, metadata=_metadata())}, frozen=True
    )
    with pytest.raises(SpawnerInvalid) as caught:
        load(plugin=attrs.evolve(SHIP, settings=made))
    assert caught.value.message.startswith("OddSettings.odd: settings cannot be of the type ")
    assert shown in caught.value.message
    assert "tuple[str, ...]" in (caught.value.hint or "")


def _metadata() -> Any:
    return attrs.fields(CoreSettings).instance.metadata


def test_a_type_that_cannot_be_found() -> None:
    """As of an import under TYPE_CHECKING."""
    field = attrs.field(type="Nowhere", default=None, metadata=_metadata())
    made = attrs.make_class("LostSettings", {"lost": field})
    with pytest.raises(SpawnerInvalid, match=r"the types of LostSettings .*Nowhere") as caught:
        load(plugin=attrs.evolve(SHIP, settings=made))
    assert "TYPE_CHECKING" in (caught.value.hint or "")


def test_an_unknown_flag_is_refused() -> None:
    """With the near miss."""
    assert "did you mean my-ship.crew?" in refused(flags={"my-ship.crwe": "1"})
    assert load(flags={"docker.network": "x"}).plugin == ShipSettings()


@pytest.mark.parametrize("name", ["code", "token"])
def test_secrets_never_print(tmp_path: Path, name: str) -> None:
    """Not in the table of origins, and not when they are refused."""
    found = load({f"SPAWNERY_MY_SHIP_{name.upper()}": "hunter2-hunter2"})
    assert found.origins[f"my-ship.{name}"].value == MASK
    path = write(tmp_path / "there", f'[my-ship]\n{name} = ["hunter2-hunter2"]\n')
    message = refused(config_file=path)
    assert "line 2" in message
    assert "hunter2" not in message


def test_a_settings_class_of_another_kind_is_refused() -> None:
    """A field that is not made with ``setting`` is a mistake of the plugin, said in words."""

    @attrs.frozen
    class Bare:
        crew: int = 3

    plugin = attrs.evolve(SHIP, settings=Bare)
    with pytest.raises(SpawnerInvalid, match=r"Bare\.crew is not made with"):
        load(plugin=plugin)
