"""Job files: a ``JobSpec`` in YAML, JSON or TOML; every refusal names file, line and field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NoReturn

from spawnery.errors import InvalidSpec
from spawnery.jobfile.formats import Document, Malformed, read_json, read_toml, read_yaml
from spawnery.jobfile.json import spec_from_json
from spawnery.jobfile.schema import json_schema
from spawnery.model.job import JobSpec

__all__ = ["MAX_BYTES", "json_schema", "load", "parse"]

MAX_BYTES: Final = 4 * 1024 * 1024
_READERS: Final = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".json": read_json,
    ".toml": read_toml,
}


def load(path: str | os.PathLike[str]) -> JobSpec:
    """Read a job file.

    Args:
        path: Its name ends in .yaml, .yml, .json or .toml.

    Raises:
        InvalidSpec: It cannot be read, or a field is unknown or not allowed.
    """
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in _READERS:
        msg = f"the job file {file} must be one of {', '.join(_READERS)}"
        raise InvalidSpec(msg, hint="spawnery schema prints what a job file may hold")
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"the job file {file} cannot be read: {error.strerror}"
        raise InvalidSpec(msg) from None
    return parse(data, name=str(path), kind=kind)


def parse(data: bytes, *, name: str, kind: str | None = None) -> JobSpec:
    """Make a job spec of the content of a job file.

    Args:
        data: UTF-8 text.
        name: How messages call the file.
        kind: ``.yaml``, ``.json`` or ``.toml``; when None, JSON if it begins with a brace, else
            YAML.

    Raises:
        InvalidSpec: The text cannot be read, or a field is unknown or not allowed.
    """
    text = _decoded(data, name)
    read = _READERS[kind or (".json" if text.lstrip().startswith("{") else ".yaml")]
    try:
        document = read(text)
    except Malformed as error:
        where = f"{name} line {error.line}" if error.line else name
        msg = f"{where}: {error}"
        raise InvalidSpec(msg, field=error.name, hint=error.hint) from None
    content = _fields(document.content, name)
    try:
        return spec_from_json(content)
    except InvalidSpec as error:
        raise _located(error, document, name) from None


def _decoded(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        msg = f"{name} has more than {MAX_BYTES} bytes"
        raise InvalidSpec(msg, hint="hand over large data as a file or a stream")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        msg = f"{name} line {line}: is not UTF-8 text"
        raise InvalidSpec(msg) from None


def _fields(content: Any, name: str) -> dict[str, Any]:
    if content is None:
        _refuse(f"{name} is empty: a job file is a mapping of fields to values")
    if not isinstance(content, dict):
        kind = type(content).__name__
        _refuse(f"{name}: a job file is a mapping of fields to values, not a {kind}")
    # Editors find the schema by this key.
    return {key: value for key, value in content.items() if key != "$schema"}


def _refuse(message: str) -> NoReturn:
    raise InvalidSpec(message, hint="for example\nimage: alpine:3.20\ncommand: [echo, hi]")


def _located(error: InvalidSpec, document: Document, name: str) -> InvalidSpec:
    """Add file and line, and what to write where text was meant."""
    spot = document.spot(error.field or "")
    where = f"{name} line {spot.line}" if spot is not None else name
    hint = error.hint
    if hint is not None and hint.startswith("quote it") and spot is not None and spot.scalar:
        key = (error.field or "").rpartition(".")[2]
        entry = f'"{spot.text}"' if key.endswith("]") else f'{key}: "{spot.text}"'
        hint = f"quote it: {entry}"
    return InvalidSpec(
        f"{where}: {error.message}", field=error.field, hint=hint, job_id=error.job_id
    )
