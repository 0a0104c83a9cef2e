"""Shows jobs on Slack: one message each, in the thread of whoever asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from spawnery_dispatcher.model.models import Entry
from spawnery_dispatcher.slack.blocks import blocks, escape
from spawnery_dispatcher.slack.errors import Refusal, answer_of
from spawnery_dispatcher.talk.outbox import PutOff, Unwanted
from spawnery_dispatcher.talk.replies import View, ping

JOB_EVENT: Final = "spawnery_job"
PING_EVENT: Final = "spawnery_ended"
"""Types of the metadata by which messages of ours are found again."""
_MAX_FALLBACK: Final = 3000
_PAGES: Final = 20
_FOR_GOOD: Final = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "thread_not_found",
        "cant_update_message",
        "message_not_found",
        "edit_window_closed",
        "restricted_action",
        "msg_too_long",
        "invalid_blocks",
    }
)


class SlackMessenger:
    """See ``outbox.Messenger``.

    Args:
        client: A ``slack_sdk.web.async_client.AsyncWebClient`` that repeats nothing by itself.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def post(self, entry: Entry, shown: View, *, again: bool) -> str:
        """Post a job's message, unless the conversation has it."""
        if again:
            found = await self._find(entry, JOB_EVENT)
            if found:
                await self._update(entry, shown, found)
                return found
        answer = await self._call(
            self._client.chat_postMessage,
            **self._thread(entry),
            **_content(entry, shown),
            metadata=_metadata(JOB_EVENT, entry),
        )
        return str(answer["ts"])

    async def update(self, entry: Entry, shown: View) -> None:
        """Change a job's message."""
        await self._update(entry, shown, entry.message)

    async def ping(self, entry: Entry) -> str:
        """Tell whoever asked that it is over, unless the conversation shows that it was done."""
        found = await self._find(entry, PING_EVENT)
        if found:
            return found
        answer = await self._call(
            self._client.chat_postMessage,
            **self._thread(entry),
            text=f"<@{entry.ask.user}> {escape(ping(entry))}",
            metadata=_metadata(PING_EVENT, entry),
        )
        return str(answer["ts"])

    # -- inside ------------------------------------------------------------------------------

    async def _update(self, entry: Entry, shown: View, message: str) -> None:
        await self._call(
            self._client.chat_update,
            channel=entry.ask.place.channel,
            ts=message,
            **_content(entry, shown),
            metadata=_metadata(JOB_EVENT, entry),
        )

    def _thread(self, entry: Entry) -> dict[str, str]:
        place = entry.ask.place
        return {"channel": place.channel} | ({"thread_ts": place.thread} if place.thread else {})

    async def _find(self, entry: Entry, event: str) -> str:
        """Look a message of ours up by its metadata; empty where there is none."""
        place = entry.ask.place
        given: dict[str, Any] = {"channel": place.channel, "include_all_metadata": True}
        call = self._client.conversations_history
        if place.thread:
            call, given["ts"] = self._client.conversations_replies, place.thread
        else:
            given["oldest"] = f"{entry.ask.asked_at.timestamp():.6f}"
        for _ in range(_PAGES):
            answer = await self._call(call, limit=200, **given)
            for message in answer.get("messages") or ():
                if _is_of(message, event, entry.job_id):
                    return str(message["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
            given["cursor"] = cursor
        return ""

    async def _call(self, call: Callable[..., Awaitable[Any]], **given: Any) -> Any:
        return await answer_of(
            call(**given), _refusal, lambda error: PutOff(None, type(error).__name__)
        )


def _content(entry: Entry, shown: View) -> dict[str, Any]:
    return {"text": escape(shown.text())[:_MAX_FALLBACK], "blocks": blocks(entry.job_id, shown)}


def _metadata(event: str, entry: Entry) -> dict[str, Any]:
    return {"event_type": event, "event_payload": {"job_id": entry.job_id}}


def _is_of(message: Mapping[str, Any], event: str, job_id: str) -> bool:
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    return metadata.get("event_type") == event and payload.get("job_id") == job_id


def _refusal(found: Refusal) -> PutOff | Unwanted:
    return Unwanted(found.code) if found.code in _FOR_GOOD else PutOff(found.seconds, found.code)
