"""What a batch of an agent's entries changes of its job: pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from spawnery_dispatcher.model.models import AgentEnd, Progress, Question
from spawnery_dispatcher.model.protocol import Detail, Unreadable, parse

Position = str
"""Of an entry in its stream."""


@frozen(kw_only=True)
class Said:
    """Entries of one job's stream, in their order.

    Attributes:
        job_id: The job.
        entries: (position, fields).
    """

    job_id: str
    entries: tuple[tuple[Position, Mapping[str, str]], ...]


@frozen(kw_only=True)
class TakenIn:
    """The changes.

    Attributes:
        job_id: The job.
        read: Position of the last entry that was looked at.
        progress: As it stands now.
        question: The last that was asked, None where none was.
        agent_end: How the agent says that it ended, None where it does not yet.
        dead: (position, why) of entries that say nothing.
        visible: Whether people are to see a change.
    """

    job_id: str
    read: Position
    progress: Progress
    question: Question | None = None
    agent_end: AgentEnd | None = None
    dead: tuple[tuple[Position, str], ...] = ()
    visible: bool = False


def take_in(said: Said, progress: Progress, *, ended: bool = False) -> TakenIn:
    """Look at entries in their order; after Done or Error nothing more is taken in.

    Args:
        said: The entries, at least one.
        progress: As it stood before.
        ended: Whether Done or Error was read before.
    """
    taken = TakenIn(job_id=said.job_id, read=said.entries[-1][0], progress=progress)
    for position, fields in said.entries:
        if ended or taken.agent_end is not None:
            break
        message = parse(fields)
        if isinstance(message, Unreadable):
            taken = evolve(taken, dead=(*taken.dead, (position, message.why)))
        elif isinstance(message, Progress):
            taken = evolve(taken, progress=message, visible=True)
        elif isinstance(message, Detail):
            now = evolve(taken.progress, detail=message.text)
            taken = evolve(taken, progress=now, visible=True)
        elif isinstance(message, Question):
            taken = evolve(taken, question=message, visible=True)
        else:
            taken = evolve(taken, agent_end=message)
    return taken
