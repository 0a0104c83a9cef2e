"""The Slack app: slack-bolt's, with what we hear wired to it.

A listener runs before the event is acknowledged: it writes the job down, which takes milliseconds
and asks no engine. So what is acknowledged is not lost, and what cannot be written down (Redis
away) is not acknowledged, and Slack delivers it again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from spawnery.errors import ConfigurationError
from spawnery.model import Secret

from spawnery_dispatcher.config import Config, Intake
from spawnery_dispatcher.model.models import Reply
from spawnery_dispatcher.service import Parts
from spawnery_dispatcher.slack.blocks import ANSWER, CANCEL, escape
from spawnery_dispatcher.slack.errors import (
    Refusal,
    SlackError,
    answer_of,
    not_answered,
    without_token,
)
from spawnery_dispatcher.slack.listening import Listening
from spawnery_dispatcher.store.health import is_away

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

BOT_TOKEN: Final = "SLACK_BOT_TOKEN"  # noqa: S105 - names of variables
SIGNING_SECRET: Final = "SLACK_SIGNING_SECRET"  # noqa: S105
APP_TOKEN: Final = "SLACK_APP_TOKEN"  # noqa: S105
TAKE_SECONDS: Final = 2.0
"""Slack repeats what is not acknowledged in three seconds; so we rather give up before."""
_TIMEOUT: Final = 15


def secret_of(environ: Mapping[str, str], name: str) -> Secret:
    """Return one of Slack's secrets.

    Raises:
        ConfigurationError: It is not set.
    """
    value = environ.get(name, "").strip()
    if not value:
        msg = f"{name} is not set, and slack.intake needs it"
        raise ConfigurationError(msg, hint=f"export {name}=...  (api.slack.com/apps shows it)")
    return Secret(value)


def needed(intake: Intake) -> tuple[str, ...]:
    """Return the variables that a way of intake needs."""
    if intake is Intake.OFF:
        return ()
    return (BOT_TOKEN, SIGNING_SECRET if intake is Intake.EVENTS else APP_TOKEN)


def make_client(config: Config, environ: Mapping[str, str]) -> Any:
    """Return the client of Slack's API; it repeats nothing by itself."""
    from slack_sdk.web.async_client import AsyncWebClient  # noqa: PLC0415 - slow to import

    return AsyncWebClient(
        token=secret_of(environ, BOT_TOKEN).reveal(),
        base_url=config.slack.api_url,
        timeout=_TIMEOUT,
        retry_handlers=[],
    )


async def whom_slack_knows(client: Any) -> str:
    """Return as whom Slack knows the bot token, for a person.

    Raises:
        SlackError: It is refused, or Slack does not answer.
    """

    def refused(found: Refusal) -> SlackError:
        hint = "the bot token (xoxb-...): api.slack.com/apps, OAuth & Permissions"
        otherwise = "Slack does not say who we are"
        return without_token(found, BOT_TOKEN, hint=hint, otherwise=otherwise)

    answer = await answer_of(client.auth_test(), refused, not_answered)
    return f"{answer.get('user') or answer.get('user_id')} in {answer.get('team')}"


def make_app(parts: Parts, client: Any) -> AsyncApp:
    """Wire what we hear to bolt's app; signatures are checked before it (``signing``)."""
    from slack_bolt.async_app import AsyncApp  # noqa: PLC0415 - slow to import
    from slack_bolt.response import BoltResponse  # noqa: PLC0415

    config = parts.config
    hearing = Listening(parts.intake, parts.store, config.slack, tuple(config.projects))
    app = AsyncApp(
        client=client,
        process_before_response=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
    )

    async def hear(event: dict[str, Any], body: dict[str, Any], client: Any) -> None:
        reply = await hearing.message(event, str(body.get("team_id") or ""))
        if reply is not None and not reply.new:
            place = {"channel": event["channel"], "thread_ts": event.get("thread_ts", event["ts"])}
            _say(parts, client, reply, place)

    @app.error
    async def failed(error: Exception) -> BoltResponse:
        """Have it delivered again: what is not written down is not acknowledged."""
        name = type(error).__name__
        if is_away(error):
            parts.logger.warning("event_not_taken", error=name)
            return BoltResponse(status=503, body="Redis does not answer; try again")
        parts.logger.error("event_failed", error=name, exc_info=error)
        return BoltResponse(status=500, body="a bug of ours; it is logged")

    app.event("message")(hear)
    app.event("app_mention")(hear)

    @app.command(re.compile(".*"))
    async def command(ack: Any, body: dict[str, Any]) -> None:
        reply = await hearing.command(body)
        await ack(text=escape(reply.text))

    async def press(
        ack: Any, body: dict[str, Any], action: dict[str, Any], client: Any, *, cancel: bool
    ) -> None:
        reply = await hearing.button(str(action.get("value") or ""), body, cancel=cancel)
        await ack()
        if reply.problem:
            place = {"channel": body["channel"]["id"], "user": body["user"]["id"]}
            _say(parts, client, reply, place, only_to=True)

    @app.action(re.compile(rf"{ANSWER}_\d+"))
    async def answer(ack: Any, body: dict[str, Any], action: dict[str, Any], client: Any) -> None:
        await press(ack, body, action, client, cancel=False)

    @app.action(CANCEL)
    async def cancel(ack: Any, body: dict[str, Any], action: dict[str, Any], client: Any) -> None:
        await press(ack, body, action, client, cancel=True)

    return app


_TALKING: set[asyncio.Task[None]] = set()


def _say(
    parts: Parts, client: Any, reply: Reply, place: dict[str, str], *, only_to: bool = False
) -> None:
    """Answer without keeping Slack waiting for our acknowledgement; a failure is only logged."""

    async def say() -> None:
        post = client.chat_postEphemeral if only_to else client.chat_postMessage
        try:
            await post(text=escape(reply.text), **place)
        except Exception as error:  # noqa: BLE001 - talk, not a job's answer
            parts.logger.warning("reply_failed", error=type(error).__name__)

    task = asyncio.create_task(say())
    _TALKING.add(task)
    task.add_done_callback(_TALKING.discard)
