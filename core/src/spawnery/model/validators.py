"""Validators of the models: each refusal names the field, the value given and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeVar

from spawnery.errors import InvalidSpec
from spawnery.model import names as naming
from spawnery.model import quantity as quantities
from spawnery.model.secret import Secret, SecretRef

E = TypeVar("E", bound=StrEnum)

RESERVED_ENV: Final = frozenset({"JOB_ID"})
"""Set by us in every job."""
MAX_STRING_BYTES: Final = 128 * 1024
"""Linux starts no program with a longer argument or variable (MAX_ARG_STRLEN, execve(2))."""
MAX_VALUE_BYTES: Final = MAX_STRING_BYTES - 1
MAX_TOTAL_BYTES: Final = 1024 * 1024
MAX_SECONDS: Final = 366 * 24 * 3600.0
_SHOWN: Final = 60
_DEEPEST: Final = 50


def shown(value: object) -> str:
    """Return the value as an error may show it: quoted and short."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def refuse(field: str, value: object, problem: str, *, hint: str | None = None) -> NoReturn:
    """Raise ``InvalidSpec`` for a field."""
    msg = f"{field}: {problem}, not {shown(value)}"
    raise InvalidSpec(msg, field=field, hint=hint)


def text(field: str, value: object, *, empty: bool = False) -> str:
    """Check that a value is text without NUL and short enough for the kernel."""
    if not isinstance(value, str):
        refuse(field, value, "must be text", hint=f'quote it: {field}: "{value}"')
    if not value and not empty:
        refuse(field, value, "must not be empty")
    if "\0" in value:
        msg = f"{field}: must not contain a NUL character"
        raise InvalidSpec(msg, field=field)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        msg = f"{field}: must be text that UTF-8 can carry (it has a lone surrogate)"
        raise InvalidSpec(msg, field=field) from None
    if size > MAX_VALUE_BYTES:
        msg = f"{field}: {size} bytes, at most {MAX_VALUE_BYTES} can be passed to a program"
        raise InvalidSpec(msg, field=field, hint="hand over large data as a file or a stream")
    return value


def optional(kind: type) -> Callable[[Any, Any, Any], None]:
    """Check that a value is None or of a class."""

    def check(_instance: object, attribute: Any, value: object) -> None:
        if value is not None and not isinstance(value, kind):
            refuse(attribute.name, value, f"must be a {kind.__name__}")

    return check


def choice(field: str, value: Any, kind: type[E]) -> E | None:
    """Convert text to a member of an enumeration."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        refuse(field, value, "must be one of " + ", ".join(kind))


def job_id(_instance: object, attribute: Any, value: object) -> None:
    """Check a job id."""
    naming.check_job_id(text(attribute.name, value), field=attribute.name)


def image(_instance: object, attribute: Any, value: object) -> None:
    """Check an image reference for what no engine accepts."""
    if value is None:
        return
    reference = text(attribute.name, value)
    if any(c.isspace() for c in reference):
        refuse(attribute.name, value, "must not contain white space")
    if reference.startswith("-"):
        refuse(attribute.name, value, "must not begin with '-'")


def words(_instance: object, attribute: Any, value: object) -> None:
    """Check a list of arguments."""
    if value is None:
        return
    if not isinstance(value, tuple):
        refuse(attribute.name, value, 'must be a list, as ["sh", "-c", "echo hi"]')
    if not value and attribute.name == "command":
        refuse(attribute.name, list(value), "must not be empty (leave it out instead)")
    for index, word in enumerate(value):
        empty = not (attribute.name == "command" and index == 0)
        text(f"{attribute.name}[{index}]", word, empty=empty)
    _total(attribute.name, value)


def _total(field: str, values: Any) -> None:
    size = sum(len(v.encode()) for v in values)
    if size > MAX_TOTAL_BYTES:
        msg = f"{field}: {size} bytes in all, at most {MAX_TOTAL_BYTES}"
        raise InvalidSpec(msg, field=field, hint="hand over large data as a file or a stream")


def _mapping(field: str, value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        refuse(field, value, "must be a mapping of names to values")
    return value


def env_key(key: object, *, field: str) -> str:
    """Check the name of an environment variable, reserved names included."""
    name = naming.check_env_key(text(f"{field} name", key), field=field)
    if name in RESERVED_ENV or name.startswith(naming.RESERVED_ENV_PREFIX):
        msg = f"{field}.{name}: is reserved, Spawnery sets it in every job"
        raise InvalidSpec(msg, field=f"{field}.{name}", hint="use another name")
    return name


def may_be_env_key(name: str) -> bool:
    """Tell whether a variable of ours may be passed to a job under its own name."""
    try:
        env_key(name, field="env")
    except InvalidSpec:
        return False
    return True


def env(_instance: object, attribute: Any, value: object) -> None:
    """Check environment variables."""
    mapping = _mapping(attribute.name, value)
    for key, item in mapping.items():
        text(f"{attribute.name}.{env_key(key, field=attribute.name)}", item, empty=True)
    _total(attribute.name, mapping.values())


def secrets(_instance: object, attribute: Any, value: object) -> None:
    """Check references to secrets."""
    for key, item in _mapping(attribute.name, value).items():
        name = f"{attribute.name}.{env_key(key, field=attribute.name)}"
        if not isinstance(item, SecretRef):
            msg = f"{name}: must be a SecretRef, not a {type(item).__name__}"
            raise InvalidSpec(msg, field=name, hint=f"SecretRef.environment({key!r})")
        if item.value is not None:
            secret_text(name, item.value.reveal())


def secret_text(field: str, value: object) -> None:
    """Check a secret's value as text, without showing it."""
    if not isinstance(value, str):
        msg = f"{field}: must be text, not a {type(value).__name__}"
        raise InvalidSpec(msg, field=field, hint="quote it")
    text(field, value, empty=True)


def env_and_secrets_apart(env: Mapping[str, Any], secrets: Mapping[str, Any]) -> None:
    """Refuse a name that is in both."""
    both = sorted(set(env) & set(secrets))
    if both:
        msg = f"env.{both[0]}: is in env and in secrets; one of them must go"
        raise InvalidSpec(msg, field=f"env.{both[0]}")


def network(_instance: object, attribute: Any, value: object) -> None:
    """Check the name of a network."""
    if value is None:
        return
    name = text(attribute.name, value)
    if any(c.isspace() or c == "/" for c in name):
        refuse(attribute.name, value, "must be the name of a network, without space or slash")


def labels(_instance: object, attribute: Any, value: object) -> None:
    """Check labels by Kubernetes' grammar, which every engine accepts."""
    for key, item in _mapping(attribute.name, value).items():
        naming.check_label_key(text(f"{attribute.name} name", key), field=attribute.name)
        field = f"{attribute.name}.{key}"
        naming.check_label_value(text(field, item, empty=True), field=field)


def workdir(_instance: object, attribute: Any, value: object) -> None:
    """Check that a path is absolute."""
    if value is None:
        return
    path = text(attribute.name, value)
    if not path.startswith("/"):
        refuse(attribute.name, value, "must be an absolute path", hint='for this folder: "$PWD"')


def user(_instance: object, attribute: Any, value: object) -> None:
    """Check a user: a name or numbers."""
    if value is None:
        return
    parts = text(attribute.name, value).split(":")
    if len(parts) > 2 or not all(part and not part.isspace() for part in parts):  # noqa: PLR2004
        refuse(attribute.name, value, "must be 'uid', 'uid:gid' or a user name")


def seconds(_instance: object, attribute: Any, value: object) -> None:
    """Check a duration; zero is allowed."""
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= MAX_SECONDS:  # type: ignore[operator]
        refuse(attribute.name, value, "must be seconds between 0 and 31622400 (366 days)")


def positive_seconds(instance: object, attribute: Any, value: object) -> None:
    """Check a duration above zero."""
    seconds(instance, attribute, value)
    if value == 0:
        refuse(attribute.name, value, "must be more than 0 seconds (leave it out for no limit)")


def memory(_instance: object, attribute: Any, value: object) -> None:
    """Check a quantity of bytes that makes sense for a job."""
    if value is not None:
        field = f"resources.{attribute.name}"
        quantities.sensible_bytes(text(field, value), field=field)


def cpu(_instance: object, attribute: Any, value: object) -> None:
    """Check a quantity of cores; every engine can count it, in billionths too."""
    if value is not None:
        field = f"resources.{attribute.name}"
        quantities.cpu_nanos(text(field, value), field=field)


def positive_whole(_instance: object, attribute: Any, value: object) -> None:
    """Check a whole number above zero."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        refuse(f"resources.{attribute.name}", value, "must be a whole number above 0")


def request_within_limit(what: str, request: str | None, limit: str | None) -> None:
    """Refuse a request above its limit."""
    if request is None or limit is None:
        return
    if quantities.parse_quantity(request) > quantities.parse_quantity(limit):
        field = f"resources.{what}_request"
        msg = f"{field}: {request} is more than resources.{what}_limit {limit}"
        raise InvalidSpec(msg, field=field)


def options(_instance: object, attribute: Any, value: object) -> None:
    """Check that options are mappings under an engine's name; the engine checks the rest."""
    for engine, extras in _mapping(attribute.name, value).items():
        text(f"{attribute.name} name", engine)
        if not isinstance(extras, Mapping) or not all(isinstance(k, str) for k in extras):
            refuse(f"{attribute.name}.{engine}", extras, "must be a mapping of option to value")
        _json_value(f"{attribute.name}.{engine}", extras)


def _json_value(field: str, value: object, depth: int = 0) -> None:
    """Check that a value can be written as JSON, which is what the spec hash is made of."""
    if depth > _DEEPEST:
        msg = f"{field}: is nested more than {_DEEPEST} deep"
        raise InvalidSpec(msg, field=field)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                refuse(field, key, "must have text as keys")
            _json_value(f"{field}.{key}", item, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _json_value(f"{field}[{index}]", item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        refuse(field, value, "must be a number")
    elif value is not None and not isinstance(value, str | int | float | SecretRef):
        allowed = "text, a number, true, false, a list or a mapping"
        msg = f"{field}: must be {allowed}, not a {type(value).__name__}"
        raise InvalidSpec(msg, field=field)


def kernel_variables(env: Mapping[str, str], secrets: Mapping[str, object], *, job_id: str) -> None:
    """Refuse a variable that is too long with its name, which engines take and the job dies of.

    ``NAME=VALUE`` and its end are one string to the kernel, and it takes none that is longer than
    ``MAX_STRING_BYTES``. Secrets whose value we do not know are the engine's own.
    """
    for kind, values in (("env", env), ("secrets", secrets)):
        for key, value in values.items():
            text = value.reveal() if isinstance(value, Secret) else str(value)
            if len(key) + len(text.encode()) + 2 > MAX_STRING_BYTES:
                msg = f"{kind}.{key}: with its value it is longer than {MAX_STRING_BYTES} bytes"
                hint = "hand it over as a file, or let the job fetch it"
                raise InvalidSpec(msg, field=f"{kind}.{key}", hint=hint, job_id=job_id)


def total_environment(
    env: Mapping[str, str], secrets: Mapping[str, object], *, job_id: str
) -> None:
    """Refuse an environment that is too large as a whole for a program to be started with."""
    sizes = [len(k) + len(v.encode()) for k, v in env.items()]
    sizes += [len(v.reveal().encode()) for v in secrets.values() if isinstance(v, Secret)]
    if sum(sizes) > MAX_TOTAL_BYTES:
        msg = f"env: {sum(sizes)} bytes with all secrets, at most {MAX_TOTAL_BYTES}"
        hint = "hand over large data as a file or a stream"
        raise InvalidSpec(msg, field="env", hint=hint, job_id=job_id)
