"""What people type, understood: pure.

``fix #58 in demo`` and its shorter forms, ``status``, ``logs``, ``cancel``, ``list``, ``help``;
what is not understood gets the nearest that would be.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection
from typing import Final

from attrs import frozen

MAX_TEXT: Final = 2000
"""Characters; no command needs as many, and nobody's megabyte is taken apart."""


@frozen(kw_only=True)
class Fix:
    """Work on an issue; ``project`` is empty where the person names none."""

    issue: int
    project: str = ""


@frozen(kw_only=True)
class About:
    """``status``, ``logs`` or ``cancel`` of a job; without an id, of the one that is meant here."""

    verb: str
    job_id: str = ""


@frozen
class ListJobs:
    """Tell of all jobs of this channel."""


@frozen
class Help:
    """Tell what can be said."""


@frozen(kw_only=True)
class Misunderstood:
    """Not understood.

    Attributes:
        text: What was said, safe to show.
        nearest: What may have been meant, to be typed again; empty where nothing is near.
    """

    text: str
    nearest: str = ""


Command = Fix | About | ListJobs | Help | Misunderstood

_MENTION: Final = re.compile(r"<@[A-Z0-9]+(\|[^>]*)?>")
_FIX: Final = re.compile(
    r"(?:(?P<verb>fix|solve)\s+)?(?:ticket\s+|issue\s+)?#(?P<issue>(?=0*[1-9])[0-9]{1,9})"
    r"(?:\s+in\s+(?P<project>\S+))?\Z",
    re.IGNORECASE,
)
_ABOUT: Final = re.compile(
    r"(?P<verb>status|logs?|cancel|stop)(?:\s+(?:of\s+)?(?P<job>\S+))?\Z", re.IGNORECASE
)
_JOB_ID: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?\Z")
_LIST: Final = frozenset({"list", "list jobs", "jobs", "ls"})
_HELP: Final = frozenset({"help", "?", "hi", "hello", "hey", "h"})
_SAME: Final = {"log": "logs", "stop": "cancel"}
_WORDS: Final = ("fix", "status", "logs", "cancel", "list", "help")
_SHOWN: Final = 80


def clean(text: str) -> str:
    """Return a person's text on one line: no mentions, control or invisible formatting characters.

    Right-to-left marks and their like could make a text read as another one.
    """
    without = _MENTION.sub(" ", text[:MAX_TEXT])
    visible = (c if unicodedata.category(c)[0] not in "CZ" else " " for c in without)
    return " ".join("".join(visible).split())


def parse(text: str, *, projects: Collection[str] = ()) -> Command:
    """Understand a person's text.

    Args:
        text: As it was typed; mentions of us are left out.
        projects: Names to suggest from.
    """
    line = clean(text)
    lowered = line.lower()
    if match := _FIX.match(line):
        return Fix(issue=int(match["issue"]), project=(match["project"] or "").lower())
    if lowered in _LIST:
        return ListJobs()
    if not line or lowered in _HELP:
        return Help()
    if match := _ABOUT.match(line):
        verb, job = match["verb"].lower(), (match["job"] or "").strip("`").lower()
        if not job or _JOB_ID.match(job):
            return About(verb=_SAME.get(verb, verb), job_id=job)
    return Misunderstood(text=line[:_SHOWN], nearest=_nearest(lowered, projects))


def _nearest(line: str, projects: Collection[str]) -> str:
    """Guess what was meant: a number makes it a fix, else the first word tells."""
    number = re.search(r"#?\s?((?=0*[1-9])[0-9]{1,9})\b", line)
    first, _, rest = line.partition(" ")
    verb = difflib.get_close_matches(first, _WORDS, n=1, cutoff=0.6)
    if number and (not verb or verb[0] == "fix"):
        last = line.rsplit(" ", 1)[-1]
        project = difflib.get_close_matches(last, list(projects), n=1, cutoff=0.6)
        return f"fix #{int(number[1])}" + (f" in {project[0]}" if project else "")
    if not verb:
        return ""
    if verb[0] == "fix":
        return "fix #58"
    job = rest.strip()
    return f"{verb[0]} {job}" if job and _JOB_ID.match(job) and verb[0] not in _LIST else verb[0]


def near_project(name: str, projects: Collection[str]) -> str:
    """Return the project whose name is nearest; empty where none is near."""
    found = difflib.get_close_matches(name.lower(), list(projects), n=1, cutoff=0.5)
    return found[0] if found else ""
