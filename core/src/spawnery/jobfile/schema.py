"""The JSON Schema (2020-12) of the job file, made of the models.

It says what a schema can say: what holds between fields, sizes, and whether a quantity is above
zero is left to the loader.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

import attrs

from spawnery.model import duration as durations
from spawnery.model import names as naming
from spawnery.model.job import JobSpec, PullPolicy, Resources, Security
from spawnery.model.secret import SecretSource
from spawnery.model.validators import MAX_SECONDS, RESERVED_ENV

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_NULL: Final = {"type": "null"}
_NO_NUL: Final = {"type": "string", "pattern": r"^[^\u0000]*$"}
_WORD: Final = _NO_NUL | {"minLength": 1}
_ENV_NAME: Final = {
    "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$",
    "not": {"pattern": rf"^({'|'.join(sorted(RESERVED_ENV))}$|{naming.RESERVED_ENV_PREFIX})"},
}
_LABEL_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_DNS_NAME: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_QUANTITY: Final = {
    "anyOf": [
        {
            "type": "string",
            "maxLength": 64,
            "pattern": r"^\+?([0-9]+\.?[0-9]*|\.[0-9]+)"
            r"([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,9})?$",
        },
        {"type": "number", "exclusiveMinimum": 0},
    ]
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the job file."""
    properties = {"$schema": {"type": "string", "description": "Where this schema is."}}
    return {
        "$schema": DIALECT,
        "title": "Spawnery job",
        "description": "One run of one command.",
        "type": "object",
        "properties": properties | _properties(JobSpec, _job_fields()),
        "additionalProperties": False,
        "$defs": {"secret": _secret(), "resources": _resources()},
    }


def _properties(kind: type[Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Give each field of a model its description, and null as a way to leave it unset."""
    words = _descriptions(kind)
    return {
        a.name: {"description": words.get(a.name, ""), "anyOf": [fields[a.name], _NULL]}
        for a in attrs.fields(kind)
    }


def _descriptions(kind: type[Any]) -> dict[str, str]:
    """Read the attributes' descriptions from the docstring of a model."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found = {}
    for entry in re.split(r"\n?    (?=\w[\w, ]*: )", section):
        names, _, text = entry.partition(": ")
        words = " ".join(text.replace("``", "").split())
        found.update(dict.fromkeys(names.split(", "), words))
    return found


def _job_fields() -> dict[str, Any]:
    text_map = {"type": "object", "propertyNames": _ENV_NAME}
    return {
        "job_id": _label(naming.MAX_JOB_ID),
        "image": _WORD | {"pattern": r"^[^-\s\u0000][^\s\u0000]*$"},
        "command": {"type": "array", "minItems": 1, "prefixItems": [_WORD], "items": _NO_NUL},
        "args": {"type": "array", "items": _NO_NUL},
        "env": text_map | {"additionalProperties": _NO_NUL},
        "secrets": text_map | {"additionalProperties": {"$ref": "#/$defs/secret"}},
        "resources": {"$ref": "#/$defs/resources"},
        "network": _WORD | {"pattern": r"^[^\s/\u0000]+$"},
        "labels": _labels(),
        "workdir": _WORD | {"pattern": r"^/[^\u0000]*$"},
        "user": _WORD
        | {
            "pattern": r"^[^:\u0000]*[^:\s\u0000][^:\u0000]*(:[^:\u0000]*[^:\s\u0000][^:\u0000]*)?$"
        },
        "deadline_seconds": _duration(zero=False),
        "start_deadline_seconds": _duration(zero=False),
        "retention_seconds": _duration(zero=True),
        "pull_policy": {"enum": [str(item) for item in PullPolicy]},
        "security": {"enum": [str(item) for item in Security]},
        "options": {
            "type": "object",
            "propertyNames": {"minLength": 1},
            "additionalProperties": {"type": "object"},
        },
    }


def _label(longest: int) -> dict[str, Any]:
    pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
    return {"type": "string", "maxLength": longest, "pattern": pattern}


def _labels() -> dict[str, Any]:
    ours = naming.RESERVED_LABELS.replace(".", r"\.")
    return {
        "type": "object",
        "propertyNames": {
            "pattern": rf"^({_DNS_NAME}/)?(?=[^/]{{1,{naming.MAX_LABEL}}}$){_LABEL_NAME}$",
            "not": {"pattern": f"^{ours}"},
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": naming.MAX_LABEL,
            "pattern": rf"^({_LABEL_NAME})?$",
        },
    }


def _duration(*, zero: bool) -> dict[str, Any]:
    bound = {"minimum": 0} if zero else {"exclusiveMinimum": 0}
    text = {"type": "string", "pattern": f"^{durations.PATTERN}$"}
    return {"anyOf": [{"type": "number", "maximum": MAX_SECONDS} | bound, text]}


def _resources() -> dict[str, Any]:
    fields: dict[str, Any] = {a.name: _QUANTITY for a in attrs.fields(Resources)}
    fields["gpus"] = {"type": "integer", "minimum": 1}
    return {
        "type": "object",
        "properties": _properties(Resources, fields),
        "additionalProperties": False,
    }


def _secret() -> dict[str, Any]:
    """Return the schema of a reference: exactly one source, ``optional`` but for a literal."""
    engine = {
        "type": "object",
        "properties": {"name": _WORD, "key": _WORD},
        "required": ["name", "key"],
        "additionalProperties": False,
    }
    places = {
        SecretSource.ENVIRONMENT: _WORD,
        SecretSource.FILE: _WORD,
        SecretSource.ENGINE: engine,
    }
    forms = [
        {
            "type": "object",
            "properties": {str(source): place, "optional": {"type": "boolean"}},
            "required": [str(source)],
            "additionalProperties": False,
        }
        for source, place in places.items()
    ]
    literal = {
        "type": "object",
        "properties": {"literal": _NO_NUL},
        "required": ["literal"],
        "additionalProperties": False,
    }
    return {"oneOf": [*forms, literal]}
