"""The steps of a job's way through a dispatcher, at each of which it may crash.

Tests kill the process at one of them (``DISPATCHER_CRASH_AT=step``) and see that another one brings
the job to its one end. Between SPAWNING and SPAWNED lie the steps inside of an engine's spawn
(intent, create, start), which the conformance kit sweeps.
"""

from __future__ import annotations

import enum
import os
import signal
from typing import Final

CRASH_VARIABLE: Final = "DISPATCHER_CRASH_AT"


class Step(enum.StrEnum):
    """Where a job is on its way."""

    RECEIVED = "received"
    """A message asks for it; nothing is written."""
    ACCEPTED = "accepted"
    """It is written down and not acknowledged."""
    CLAIMED = "claimed"
    """It left the queue."""
    SPAWNING = "spawning"
    """The engine is about to be asked."""
    SPAWNED = "spawned"
    """The engine has it; that is not written."""
    RUNNING = "running"
    """That is written."""
    HEARD = "heard"
    """Something of the agent was read and not written."""
    TAKEN_IN = "taken-in"
    """It is written."""
    OUTCOME_SEEN = "outcome-seen"
    """The engine told the end; the dispatcher has not written it."""
    WITNESSED = "witnessed"
    """The engine's word is written, the ending is not."""
    ENDED = "ended"
    """The ending is written; nobody was told."""
    POSTING = "posting"
    """The job's message is about to be posted."""
    POSTED = "posted"
    """It is posted; which one it is, is not written."""
    UPDATED = "updated"
    """The final message was sent; that is not written."""
    PINGED = "pinged"
    """Who asked was told; that is not written."""


_CRASH_AT: Final = os.environ.get(CRASH_VARIABLE)


def reached(step: Step) -> None:
    """Say that a step is reached; the process dies here where a test wants it to."""
    if step == _CRASH_AT:
        os.kill(os.getpid(), signal.SIGKILL)
