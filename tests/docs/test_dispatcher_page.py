"""docs/dispatcher.md names what dispatcher.toml has, and its examples are taken."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from spawnery_dispatcher import configfile
from spawnery_dispatcher.cli import main
from spawnery_dispatcher.config import PLACEHOLDERS, Config
from spawnery_dispatcher.model.commands import Misunderstood, parse
from spawnery_dispatcher.model.protocol import answer
from spawnery_dispatcher.model.protocol import parse as understood

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "dispatcher.md").read_text(encoding="utf-8")
AGENTS = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
README = (ROOT / "dispatcher" / "README.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## dispatcher.toml")[2]
ROWS = [line.split("|")[1:-1] for line in TABLE.splitlines() if line.startswith("| `")]
KEY = re.compile(r"`([^`]+)`")


def keys(kind: type[Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the keys of a class of the configuration; NAME stands for names of people's own."""
    for attribute in attrs.fields(attrs.resolve_types(kind)):
        here, inner = (*path, attribute.name), attribute.type
        if typing.get_origin(inner) is Mapping and attrs.has(typing.get_args(inner)[1]):
            here, inner = (*here, "NAME"), typing.get_args(inner)[1]
        ours = isinstance(inner, type) and inner.__module__ == Config.__module__
        if ours and attrs.has(inner):
            yield from keys(inner, here)
        else:
            yield ".".join(here)


def test_the_table_has_every_key() -> None:
    """In the order of the code, and no key that there is not."""
    told = [key for row in ROWS for key in KEY.findall(row[0])]
    assert sorted(told) == sorted(keys(Config))
    assert len(told) == len(set(told))


def test_defaults_are_those_of_the_code() -> None:
    """Where the table names plain values, they are the code's."""
    config = Config(instance="x")
    cells = {row[0].strip(): row[1].strip() for row in ROWS}
    limits = config.limits
    assert cells["`limits.jobs`, `limits.per_project`, `limits.per_user`"] == (
        f"{limits.jobs}, {limits.per_project}, {limits.per_user}"
    )
    assert cells["`limits.per_channel`"] == str(limits.per_channel)
    assert cells["`limits.queue`"] == str(limits.queue)
    assert cells["`redis.url`"] == f"`{config.redis.url}`"
    assert cells["`keep_seconds`"] == f"{config.keep_seconds / 86400:g} days"
    assert cells["`slack.update_seconds`"] == str(config.slack.update_seconds)
    assert cells["`server.host`, `server.port`"] == f"{config.server.host}, {config.server.port}"
    assert cells["`server.max_body_bytes`"] == f"{config.server.max_body_bytes // 1024} KiB"


def test_placeholders_are_told() -> None:
    """All that words of a command may hold, and no others."""
    assert set(re.findall(r"`\{([a-z_]+)\}`", TABLE)) == set(PLACEHOLDERS)


@pytest.mark.parametrize(
    "text",
    [
        *re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL),
        (ROOT / "examples" / "dispatcher.toml").read_text(encoding="utf-8"),
    ],
)
def test_examples_are_taken(text: str, tmp_path: Path) -> None:
    """Each example is read as it stands, and has a project."""
    path = tmp_path / "dispatcher.toml"
    path.write_text(text, encoding="utf-8")
    config = configfile.load({}, path=str(path))
    assert config.default_project in config.projects


def test_commands_of_people_are_understood() -> None:
    """What the page says that people can say is understood."""
    table = PAGE.partition("## What people can say")[2].partition("## ")[0]
    said = [
        text
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for text in KEY.findall(row)
    ]
    assert len(said) >= 8
    for text in said:
        command = parse(re.sub(r" ?\[?JOB\]?", "", text), projects=("demo",))
        assert not isinstance(command, Misunderstood), text


def test_every_command_is_told() -> None:
    """The README of the distribution has all commands."""
    assert [name for name in main.commands if f"`{name}" not in README] == []


def test_the_streams_are_told() -> None:
    """docs/agents.md has each type of entry and each field of an answer."""
    for kind in ("Progress", "Detail", "Question", "Done", "Error"):
        assert f"| `{kind}` |" in AGENTS
        assert "unknown type" not in repr(understood({"type": kind}))
    fields = answer("q", "main", by="U1", at=datetime.now(UTC))
    told = set(KEY.findall(AGENTS))
    assert set(fields) <= told
