"""Takes commands: what a person typed becomes a job, or an answer. The same on every platform."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from attrs import frozen
from spawnery.errors import SpawnerError
from spawnery.model import JobState

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.model import commands
from spawnery_dispatcher.model.commands import About, Fix, Help, ListJobs, Misunderstood
from spawnery_dispatcher.model.models import (
    Ask,
    Ending,
    Entry,
    Phase,
    Place,
    Platform,
    Refused,
    Reply,
)
from spawnery_dispatcher.model.protocol import answer
from spawnery_dispatcher.model.steps import Step, reached
from spawnery_dispatcher.model.traces import traceparent_of
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.talk import replies

_MAX_ANSWER: Final = 4000


@frozen(kw_only=True)
class Said:
    """Something that a person said.

    Attributes:
        text: As it was typed.
        user: Who.
        place: Where.
        at: When, by the platform.
        identify: Makes the job id of this delivery, given its readable beginning.
        traceparent: Trace context that it came with.
    """

    text: str
    user: str
    place: Place
    at: datetime
    identify: Callable[[str], str]
    traceparent: str = ""


class Intake:
    """Understands and carries out.

    Args:
        store: What is remembered.
        config: Projects and limits.
        read_log: Returns the end of a job's log as text; raises ``SpawnerError``.
        metrics: Where it is counted.
        logger: structlog's.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        read_log: Callable[[str], Any],
        metrics: Metrics,
        logger: Any,
    ) -> None:
        self._store = store
        self._config = config
        self._read_log = read_log
        self._metrics = metrics
        self._logger = logger

    async def take(self, said: Said) -> Reply:
        """Carry out what a person said; returns what they are told at once."""
        command = commands.parse(said.text, projects=tuple(self._config.projects))
        if isinstance(command, Fix):
            return await self.fix(command, said)
        if isinstance(command, About):
            return await self.about(command, said)
        if isinstance(command, ListJobs):
            return await self._list(said.place)
        if isinstance(command, Help):
            names = tuple(sorted(self._config.projects))
            return Reply(text=replies.help_text(names, self._config.default_project))
        return _misunderstood(command)

    # -- jobs --------------------------------------------------------------------------------

    async def fix(self, command: Fix, said: Said) -> Reply:
        """Take a job in."""
        known = tuple(sorted(self._config.projects))
        name = command.project or self._config.default_project or ""
        if not name and len(known) == 1:
            name = known[0]
        project = self._config.projects.get(name)
        if project is None:
            near = commands.near_project(name, known) if name else ""
            return Reply(text=replies.unknown_project(name, known, near), problem=True)
        if project.channels and said.place.channel not in project.channels:
            return Reply(text=f"{name} is not for this channel.", problem=True)
        text = f"fix #{command.issue} in {name}"
        ask = Ask(
            job_id=said.identify(f"{name}-{command.issue}"),
            project=name,
            issue=command.issue,
            text=text,
            user=said.user,
            place=said.place,
            asked_at=said.at,
            traceparent=traceparent_of(said.traceparent),
        )
        stale = await self._before_loss(said)
        if stale:
            return Reply(text=stale, problem=True)
        reached(Step.RECEIVED)
        result = await self._store.accept(ask, self._config.limits)
        reached(Step.ACCEPTED)
        if isinstance(result, Refused):
            return Reply(text=replies.refused(text, result), problem=True)
        if result.new:
            self._metrics.accepted(name)
        self._logger.info("job_accepted", job=ask.job_id, new=result.new, project=name)
        return Reply(text=f"{text}: {ask.job_id}", entry=result.entry, new=result.new)

    async def _before_loss(self, said: Said) -> str:
        """Refuse what came before our memory was lost: it may have been carried out already."""
        if said.place.platform is Platform.CHAT:  # Nobody delivers it again.
            return ""
        since = await self._store.lost_at()
        if since is None or said.at >= since:
            return ""
        return (
            "My memory was lost after you wrote this, so I cannot tell whether it was done."
            " If it was not, say it again."
        )

    async def about(self, command: About, said: Said) -> Reply:
        """Tell of a job, or cancel it."""
        entry = await self._meant(command, said.place)
        if isinstance(entry, Reply):
            return entry
        if command.verb == "cancel":
            return await self.cancel(entry, said.user)
        if command.verb == "logs":
            return await self.log_of(entry)
        return Reply(text=replies.view(entry).text(), entry=entry)

    async def _meant(self, command: About, place: Place) -> Entry | Reply:
        job_id = command.job_id
        if not job_id:
            there = sorted(await self._store.of_channel(place.platform, place.channel))
            if len(there) > 1:
                return Reply(text=replies.which_job(command.verb, tuple(there)), problem=True)
            job_id = there[0] if there else ""
        entry = await self._store.get(job_id) if job_id else None
        elsewhere = entry is not None and (
            (entry.ask.place.platform, entry.ask.place.team) != (place.platform, place.team)
        )
        if entry is None or elsewhere:
            return Reply(text=replies.no_job(command), problem=True)
        return entry

    async def cancel(self, entry: Entry, user: str) -> Reply:
        """Stop a job; one that waits ends at once."""
        if entry.ending is not None:
            return Reply(text=replies.view(entry).text(), entry=entry, problem=True)
        changed = await self._store.change(entry.job_id, lambda _: {"cancelled_by": user})
        if changed is not None and changed.phase is Phase.QUEUED:
            message = f"cancelled by {user} before it ran"
            now = await self._store.clock.now()
            ending = Ending(
                state=JobState.CANCELLED, cause="cancelled", message=message, ended_at=now
            )
            await self._store.end(entry.job_id, ending)
        latest = changed or entry
        return Reply(text=replies.being_cancelled(entry.job_id, latest), entry=latest)

    async def log_of(self, entry: Entry) -> Reply:
        """Return the end of a job's log."""
        if entry.ending is not None and entry.ending.log_tail:
            return Reply(text=entry.ending.log_tail[-replies.TAIL_SHOWN :], entry=entry)
        try:
            text = await self._read_log(entry.job_id)
        except SpawnerError as error:
            return Reply(text=f"No log: {error.message}", entry=entry, problem=True)
        return Reply(text=text[-replies.TAIL_SHOWN :] or "(nothing yet)", entry=entry)

    async def _list(self, place: Place) -> Reply:
        lines = []
        for job_id in sorted(await self._store.of_channel(place.platform, place.channel)):
            entry = await self._store.get(job_id)
            if entry is not None:
                shown = replies.view(entry)
                standing = " ".join([*shown.lines[:1], entry.notice.partition("\n")[0]]).strip()
                lines.append(f"{shown.title}: {standing}")
        return Reply(text="\n".join(lines) or "Nothing runs here.")

    # -- answers -----------------------------------------------------------------------------

    async def answer(self, job_id: str, question_id: str, text: str, *, user: str) -> Reply:
        """Hand an answer to the agent; the first to a question is the one that counts."""
        entry = await self._store.get(job_id)
        if entry is None:
            return Reply(text=f"There is no job {job_id[:60]} that I know.", problem=True)
        if entry.ending is not None:
            return Reply(text=f"{job_id} is over: it reads no answers.", entry=entry, problem=True)
        shown = commands.clean(text)[:_MAX_ANSWER]
        fields = answer(question_id, shown, by=user, at=await self._store.clock.now())
        if await self._store.answer(job_id, question_id, fields):
            return Reply(text=f"Answered: {shown}", entry=entry)
        return Reply(text="That question is answered already.", entry=entry, problem=True)


def _misunderstood(command: Misunderstood) -> Reply:
    return Reply(text=replies.misunderstood(command), problem=True)
