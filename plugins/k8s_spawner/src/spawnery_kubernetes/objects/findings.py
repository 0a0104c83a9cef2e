"""What is found out about a job that does not get on, or was ended, in words: pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from attrs import field, frozen
from spawnery.model import JobState

from spawnery_kubernetes.objects.facts import JobFacts, PodFacts

_QUOTE_LIMIT: Final = 600


class Patience(enum.StrEnum):
    """How long something is left to pass by itself before the job is given up."""

    NONE = "none"
    """It cannot pass."""
    START = "start"
    """``start_grace_seconds``."""
    PULL = "pull"
    """``pull_grace_seconds``."""
    ENDLESS = "endless"
    """As long as the job's own deadlines allow."""


@frozen(kw_only=True)
class Finding:
    """Why a job waits, or how it was ended.

    Attributes:
        cause: Stable code (docs/causes.md).
        message: Words for a person, with the evidence.
        hint: What to do next.
        patience: How long it may wait for this to pass.
        state: How it has ended, where this is why.
        since: When that began, where it is known from what tells it.
    """

    cause: str
    message: str
    hint: str | None = None
    patience: Patience = Patience.NONE
    state: JobState = JobState.FAILED
    since: datetime | None = None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


@frozen(kw_only=True)
class Kind:
    """One thing that goes wrong, and what gives it away in the cluster's words.

    Attributes:
        words: What gives it away.
        cause, message, hint, patience: As in a ``Finding``.
    """

    words: re.Pattern[str] = field(converter=_pattern)
    cause: str
    message: str
    hint: str
    patience: Patience = Patience.NONE


def kind_of(kinds: Sequence[Kind], text: str) -> Kind | None:
    """Return the first kind that the words give away."""
    return next((kind for kind in kinds if kind.words.search(text)), None)


def quote(text: str) -> str:
    """Shorten the cluster's words to what a person reads."""
    said = " ".join(text.split())
    return said if len(said) <= _QUOTE_LIMIT else said[:_QUOTE_LIMIT] + "..."


def describe(pod: PodFacts) -> str:
    """Return the command that shows a pod that is there."""
    return f"kubectl -n {pod.namespace} describe pod {pod.name}"


def events(what: JobFacts | PodFacts) -> str:
    """Return the command that shows what happened, to something that is gone too."""
    kind = "job" if isinstance(what, JobFacts) else "pod"
    return f"kubectl -n {what.namespace} events --for {kind}/{what.name}"
