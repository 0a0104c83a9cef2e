"""Making a ``JobSpec`` of a job file and flags; the flags win, field by field."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from spawnery.cli.options.params import refuse
from spawnery.errors import InvalidSpec
from spawnery.model.job import JobSpec, Resources
from spawnery.model.secret import SecretRef

if TYPE_CHECKING:
    from spawnery.cli.app import App

DETACHED_RETENTION_SECONDS: Final = 900.0
"""Of ``spawn``: nobody holds the wait, so that the end must still be there to be read."""

_AS_THEY_ARE: Final = (
    *("job_id", "image", "network", "workdir", "user", "deadline_seconds"),
    *("start_deadline_seconds", "retention_seconds", "pull_policy", "security"),
)
_RESOURCES: Final = tuple(a.name for a in attrs.fields(Resources))


def spec_of(app: App, flags: Mapping[str, Any], *, retention_seconds: float | None) -> JobSpec:
    """Return the job that a command was given.

    Args:
        app: For our own environment; learns whether there is a job file.
        flags: What click made of the options of ``job_flags``.
        retention_seconds: Taken where neither file nor flag sets it.

    Raises:
        InvalidSpec: A field is not allowed.
        click.BadParameter: A flag cannot be read.
    """
    app.job_file = flags["job_file"] is not None
    base = _from_file(flags["job_file"]) if app.job_file else None
    changes = _changes(app, flags, base)
    if base is None:
        return JobSpec(**{"retention_seconds": retention_seconds} | changes)
    if base.retention_seconds is None:
        changes.setdefault("retention_seconds", retention_seconds)
    return attrs.evolve(base, **changes)


def _from_file(path: Path) -> JobSpec:
    from spawnery.jobfile import reader as jobfile

    if str(path) == "-":
        data = sys.stdin.buffer.read() if sys.stdin is not None else b""
        return jobfile.parse(data, name="stdin")
    return jobfile.load(path)


def _changes(app: App, flags: Mapping[str, Any], base: JobSpec | None) -> dict[str, Any]:
    changes = {name: flags[name] for name in _AS_THEY_ARE if flags[name] is not None}
    if flags["command"]:
        # The file's arguments belonged to the file's command.
        changes |= {"command": tuple(flags["command"]), "args": None}
    if flags["args"]:
        changes["args"] = tuple(flags["args"])
    resources = {name: flags[name] for name in _RESOURCES if flags[name] is not None}
    if resources:
        held = base.resources if base is not None else None
        changes["resources"] = attrs.evolve(held or Resources(), **resources)
    changes |= _variables(app, flags, base)
    if flags["labels"]:
        changes["labels"] = {**(base.labels if base else {}), **dict(flags["labels"])}
    if flags["options"]:
        changes["options"] = _options(flags["options"], base.options if base else {})
    return changes


def _variables(app: App, flags: Mapping[str, Any], base: JobSpec | None) -> dict[str, Any]:
    env = _env(app, flags["env_files"], flags["env"])
    secrets = dict(_secret(text) for text in flags["secrets"])
    if not env and not secrets:
        return {}
    # A name that the file has as the other kind is replaced; given twice here, it is refused.
    old_env = {k: v for k, v in (base.env if base else {}).items() if k not in secrets}
    old_secrets = {k: v for k, v in (base.secrets if base else {}).items() if k not in env}
    return {"env": old_env | env, "secrets": old_secrets | secrets}


def _env(app: App, files: Sequence[Path], pairs: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in files:
        for number, line in _env_lines(path):
            found |= _variable(app, line, where=f"{path} line {number}: ")
    for pair in pairs:
        found |= _variable(app, pair)
    return found


def _variable(app: App, text: str, *, where: str = "") -> dict[str, str]:
    """Read ``KEY=VALUE``, or ``KEY``, which is our own variable if we have it."""
    key, equals, value = text.partition("=")
    try:
        JobSpec(env={key: value})
    except InvalidSpec as error:
        msg = f"{where}{error.message}"
        raise InvalidSpec(msg, field=error.field, hint=error.hint) from None
    if not equals and key not in app.environ:
        return {}
    return {key: value if equals else app.environ[key]}


def _env_lines(path: Path) -> list[tuple[int, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        refuse("--env-file", f"{path} cannot be read: {reason}")
    numbered = enumerate(map(str.strip, lines), 1)
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


def _secret(text: str) -> tuple[str, SecretRef]:
    name, equals, where = text.partition("=")
    if not equals:
        optional = name.endswith("?")
        name = name.removesuffix("?")
        return name, SecretRef.environment(name, optional=optional)
    ref = _place(where.removesuffix("?"), optional=where.endswith("?"))
    if ref is None:
        refuse(
            "--secret",
            f"{name}: where its value is must be env:VAR, file:PATH or engine:NAME/KEY",
            "a value itself is refused here: other users see command lines, shells keep them",
        )
    return name, ref


def _place(where: str, *, optional: bool) -> SecretRef | None:
    kind, _, place = where.partition(":")
    if kind == "env" and place:
        return SecretRef.environment(place, optional=optional)
    if kind == "file" and place:
        return SecretRef.file(place, optional=optional)
    name, _, key = place.partition("/")
    if kind == "engine" and name and key:
        return SecretRef.engine(name, key, optional=optional)
    return None


def _options(
    pairs: Sequence[str], base: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    found = {engine: dict(extras) for engine, extras in base.items()}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        engine, dot, key = name.partition(".")
        if not (equals and dot and engine and key):
            refuse("--option", f"{name!r} must be ENGINE.KEY=VALUE, for example docker.init=true")
        found.setdefault(engine, {})[key] = _value(name, text)
    return found


def _value(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        if not text.startswith(("{", "[", '"')):
            return text
        refuse("--option", f"{name}: not valid JSON: {error}")
