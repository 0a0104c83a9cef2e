"""Job specs to and from what JSON can carry, and what the facade returns to JSON.

The form of a spec is that of the job file: unset fields are left out, and the value of a literal
secret is never written.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import attrs

from spawnery.errors import InvalidSpec
from spawnery.model.job import JobSpec, Resources
from spawnery.model.secret import MASK, Secret, SecretRef, SecretSource


def to_json(value: Any) -> Any:
    """Return a value as dicts, lists, text, numbers and None.

    Times become ISO 8601 text, enumerations their value, bytes base64, secrets a mask, a reference
    to a secret the form that it has in a job file (a literal one without its value).

    Args:
        value: A ``JobSpec``, ``Outcome``, ``JobStatus``, ``JobHandle``, ``JobEvent``, ``Decision``,
            ``CheckItem``, or what is made of such.
    """
    if isinstance(value, JobSpec | Resources):
        return _set_fields(value)
    if isinstance(value, SecretRef):
        return _reference(value)
    if attrs.has(type(value)):
        return {a.name: to_json(getattr(value, a.name)) for a in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return _leaf(value)


def _leaf(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, AbstractSet):
        return sorted(to_json(item) for item in value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return MASK if isinstance(value, Secret) else str(value)


def _set_fields(value: JobSpec | Resources) -> dict[str, Any]:
    pairs = ((a.name, getattr(value, a.name)) for a in attrs.fields(type(value)))
    return {name: to_json(item) for name, item in pairs if item is not None and item != {}}


def _reference(ref: SecretRef) -> dict[str, Any]:
    place: Any = ref.name
    if ref.source is SecretSource.ENGINE:
        place = {"name": ref.name, "key": ref.key}
    elif ref.source is SecretSource.LITERAL:
        place = None
    return {ref.source.value: place} | ({"optional": True} if ref.optional else {})


def spec_from_json(data: Any) -> JobSpec:
    """Make a job spec of its JSON form; a field that is null is unset.

    Args:
        data: A mapping: what ``to_json(spec)`` returns, or what a person wrote (durations also
            as ``15m``, quantities also as numbers).

    Raises:
        InvalidSpec: A field is unknown or not allowed; ``field`` names it with dots.
    """
    from spawnery.jobfile.structure import structure  # noqa: PLC0415 - cattrs is slow to import

    try:
        return structure(data, JobSpec, field="")
    except InvalidSpec as error:
        given = data.get("job_id") if isinstance(data, Mapping) else None
        error.job_id = given if isinstance(given, str) else None
        raise


def structure_options(given: Mapping[str, Any], kind: type[Any], *, field: str) -> Any:
    """Make a spawner's options of what a spec holds under its name.

    Args:
        given: Option to value, as JSON knows values.
        kind: The attrs class of the options.
        field: How messages call the whole, for example ``options.docker``.

    Raises:
        InvalidSpec: An option is unknown (with the near miss) or its value is not allowed.
    """
    from spawnery.jobfile.structure import structure  # noqa: PLC0415 - cattrs is slow to import

    return structure(given, kind, field=field)
