"""Fields of a job in the words of the command line: ``deadline_seconds`` is ``--deadline-seconds``.

The library speaks of fields, since it does not know who calls it. What it says goes through here
before a person reads it. JSON keeps the library's words.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from spawnery.cli.app import App

_NAME: Final = r"(?<![\w.=,/-])(?P<name>{names})(?![\w-])"
_VALUE: Final = r"(?:=(?P<value>[^\s,;]+))?"
_PART: Final = r"(?<![\w.=,/-])(?P<field>env|labels)\.(?P<pair>[\w./-]+=[^\s,;]+)"
_OPTION: Final = r"(?<![\w.=,/-])options\.(?P<option>[\w-]+\.\w+(?:=[^\s,;]+)?)"


@functools.cache
def options() -> Mapping[str, str]:
    """Return the command line's option for each field of a job that has one."""
    from spawnery.cli.options.job_flags import job_flags
    from spawnery.model.job import JobSpec, Resources

    def command() -> None:
        """Stand in for a command."""

    found = {}
    for parameter in getattr(job_flags(command), "__click_params__", ()):
        option = max(parameter.opts, key=len)
        if parameter.name in attrs.fields_dict(Resources):
            found[f"resources.{parameter.name}"] = option
        elif parameter.name in attrs.fields_dict(JobSpec) and option.startswith("--"):
            found[parameter.name] = option
    return found


def message(app: App, text: str, field: str | None = None) -> str:
    """Return a message of the library with options in place of fields.

    A name that is also a plain word (``user``, ``image``) is only taken for a field where the
    message is about it.

    Args:
        app: Knows whether the job came from a file, whose fields are meant then.
        text: The message.
        field: What it is about, where that is known.
    """
    if app.job_file:
        return text
    if field is not None and text.startswith(field):
        return _begun(field) + _replace(text[len(field) :], plain_words=False)
    return _replace(text, plain_words=False)


def hint(app: App, text: str) -> str:
    """Return a hint of the library with options in place of fields.

    ``user=1000`` is a field with its value in a hint.
    """
    return text if app.job_file else _replace(text, plain_words=True)


def _begun(field: str) -> str:
    """Return the option for what a message is about, which may be a part of a field: ``env.A``."""
    if field in options():
        return options()[field]
    name, _, part = field.partition(".")
    return f"{options()[name]} {part}" if name in options() and part else field


def _replace(text: str, *, plain_words: bool) -> str:
    text = re.sub(_OPTION, _engine_option, text)
    if plain_words:
        text = re.sub(_PART, lambda found: f"{options()[found['field']]} {found['pair']}", text)
    return _pattern(plain_words).sub(_option_of, text)


def _engine_option(found: re.Match[str]) -> str:
    return f"{options()['options']} {shlex.quote(found['option'])}"


@functools.cache
def _pattern(plain_words: bool) -> re.Pattern[str]:  # noqa: FBT001 - the key of the cache
    """Return what a field looks like in a text."""
    compound = [name for name in options() if "_" in name or "." in name]
    compound += [
        name.removeprefix("resources.") for name in compound if "_" in name and "." in name
    ]
    forms = [_NAME.format(names="|".join(map(re.escape, compound))) + _VALUE]
    if plain_words:
        plain = [name.removeprefix("resources.") for name in options() if "_" not in name]
        forms.append(rf"(?<![\w.=,/-])(?P<word>{'|'.join(map(re.escape, plain))})=(?P<is>[^\s,;]+)")
    return re.compile("|".join(forms))


def _option_of(found: re.Match[str]) -> str:
    groups = found.groupdict()
    name = groups["name"] or groups["word"]
    value = groups["value"] or groups.get("is")
    known = options()
    option = known.get(name) or known[f"resources.{name}"]
    return option if value is None else f"{option} {value}"
