"""What comes in from Slack, understood: who may say it, and what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spawnery_dispatcher.config import Slack
from spawnery_dispatcher.model import commands, identity
from spawnery_dispatcher.model.commands import Fix, Help, Misunderstood
from spawnery_dispatcher.model.models import Entry, Place, Platform, Reply
from spawnery_dispatcher.slack.blocks import read_value
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.talk.intake import Intake, Said

_DENIED: Final = "You are not on the list of people who may give me commands here."
_SUBTYPES: Final = frozenset({None, "", "thread_broadcast", "file_share"})
"""Messages that people write; others tell of edits, joins and bots."""


class Listening:
    """Hears messages, commands and buttons.

    Args:
        intake: Carries them out.
        store: What is remembered.
        settings: Who may say what where.
        projects: Names, to tell a command from other talk.
    """

    def __init__(
        self, intake: Intake, store: Store, settings: Slack, projects: tuple[str, ...]
    ) -> None:
        self._intake = intake
        self._store = store
        self._settings = settings
        self._projects = projects

    async def message(self, event: Mapping[str, Any], team: str) -> Reply | None:
        """Hear a message or a mention; None where there is nothing to say.

        A mention is one message that comes as two events; both lead to the same job. Talk that is
        no command is ignored unless it is addressed to us.
        """
        channel, user = str(event.get("channel") or ""), str(event.get("user") or "")
        stamp, text = str(event.get("ts") or ""), str(event.get("text") or "")
        if event.get("bot_id") or event.get("subtype") not in _SUBTYPES or not (user and stamp):
            return None
        if not self._listens(channel, team):
            return None
        thread = str(event.get("thread_ts") or stamp)
        addressed = event.get("type") == "app_mention" or event.get("channel_type") == "im"
        command = commands.parse(text, projects=self._projects)
        plain = isinstance(command, Misunderstood | Help)
        if plain and event.get("thread_ts"):
            asked = await self._asked_in(channel, thread)
            if asked is not None:
                return await self._answer(asked, text, user)
        if plain and (not addressed or (event.get("type") == "message" and _mentions(text))):
            return None
        if not self._may(user):
            return Reply(text=_DENIED, problem=True)
        if event.get("type") == "message" and _mentions(text) and not isinstance(command, Fix):
            return None  # It comes as a mention too, which is answered.
        place = Place(platform=Platform.SLACK, channel=channel, thread=thread, team=team)
        return await self._intake.take(
            Said(
                text=text,
                user=user,
                place=place,
                at=_moment(stamp) or await self._store.clock.now(),
                identify=lambda readable: identity.of_message(
                    team, channel, stamp, readable=readable
                ),
            )
        )

    async def command(self, body: Mapping[str, Any]) -> Reply:
        """Hear a slash command."""
        channel, user = str(body.get("channel_id") or ""), str(body.get("user_id") or "")
        team, trigger = str(body.get("team_id") or ""), str(body.get("trigger_id") or "")
        if not self._listens(channel, team) or not self._may(user):
            return Reply(text=_DENIED, problem=True)
        place = Place(platform=Platform.SLACK, channel=channel, team=team)
        return await self._intake.take(
            Said(
                text=str(body.get("text") or ""),
                user=user,
                place=place,
                at=await self._store.clock.now(),
                identify=lambda readable: identity.of_trigger(team, trigger, readable=readable),
            )
        )

    async def button(self, value: str, body: Mapping[str, Any], *, cancel: bool) -> Reply:
        """Hear a button: a choice, or the wish to cancel."""
        user = str((body.get("user") or {}).get("id") or "")
        channel = str((body.get("channel") or {}).get("id") or "")
        team = str((body.get("team") or {}).get("id") or "")
        if not self._listens(channel, team) or not self._may(user):
            return Reply(text=_DENIED, problem=True)
        job_id, question_id, choice = read_value(value)
        entry = await self._store.get(job_id)
        if entry is None or entry.ask.place.channel != channel:
            return Reply(text="There is no such job here.", problem=True)
        if cancel:
            return await self._intake.cancel(entry, user)
        return await self._intake.answer(job_id, question_id, choice, user=user)

    # -- inside ------------------------------------------------------------------------------

    def _listens(self, channel: str, team: str) -> bool:
        settings = self._settings
        known = not settings.channels or channel in settings.channels
        return bool(channel) and known and (not settings.teams or team in settings.teams)

    def _may(self, user: str) -> bool:
        return bool(user) and (not self._settings.users or user in self._settings.users)

    async def _asked_in(self, channel: str, thread: str) -> Entry | None:
        """Return the job that waits for an answer in a thread."""
        for job_id in sorted(await self._store.of_channel(Platform.SLACK, channel)):
            entry = await self._store.get(job_id)
            if entry and entry.ask.place.thread == thread and entry.open_question:
                return entry
        return None

    async def _answer(self, entry: Entry, text: str, user: str) -> Reply | None:
        if not self._may(user):
            return Reply(text=_DENIED, problem=True)
        question = entry.open_question
        if question is None:
            return None
        reply = await self._intake.answer(entry.job_id, question.question_id, text, user=user)
        # The job's message shows that it was answered; two events of one mention say it twice.
        return None if reply.problem else reply


def _mentions(text: str) -> bool:
    return "<@" in text


def _moment(stamp: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        return None
