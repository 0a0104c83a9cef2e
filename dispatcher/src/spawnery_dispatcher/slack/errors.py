"""What Slack refuses, and that it does not answer, in our words.

Codes are Slack's (docs.slack.dev/reference/methods, "Errors" of each method), reasons those of a
``disconnect`` (docs.slack.dev/apis/events-api/using-socket-mode).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from attrs import frozen
from spawnery.errors import SpawnerError

_RATE_LIMITED: Final = "ratelimited"
_LINK_DISABLED: Final = "link_disabled"
_TOO_MANY: Final = 429
_WRONG_TOKEN: Final = frozenset(
    {
        "access_denied",
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
"""These stay until somebody makes another token."""


class SlackError(SpawnerError):
    """Slack cannot be heard.

    Args:
        message: What is wrong.
        cause: ``slack.token``, ``slack.disabled`` or ``slack.unreachable``.
        hint: The next step for a person.
        seconds: How long Slack wants us to wait before we try again.
    """

    cause = "slack.unreachable"

    def __init__(
        self, message: str, *, cause: str | None = None, hint: str = "", seconds: float = 0.0
    ) -> None:
        super().__init__(message, cause=cause, hint=hint or None, retryable=cause is None)
        self.seconds = seconds


@frozen(kw_only=True)
class Refusal:
    """An answer that is not ok.

    Attributes:
        code: Slack's; ``status N`` where something else answered, as a proxy does.
        seconds: How long Slack wants us to wait, if it says so.
    """

    code: str
    seconds: float | None = None


def _read(response: Any) -> Refusal:
    """Read the response of a ``SlackApiError``: slack-sdk's, or aiohttp's where it is no JSON."""
    status = getattr(response, "status_code", None) or getattr(response, "status", 0)
    data = getattr(response, "data", None)
    code = str((data.get("error") if isinstance(data, Mapping) else "") or f"status {status}")
    if status != _TOO_MANY and code not in {_RATE_LIMITED, "rate_limited"}:
        return Refusal(code=code)
    headers = {str(name).lower(): str(value) for name, value in (response.headers or {}).items()}
    seconds = headers.get("retry-after", "")
    return Refusal(code=_RATE_LIMITED, seconds=float(seconds) if seconds.isdigit() else None)


async def answer_of(
    call: Awaitable[Any],
    refused: Callable[[Refusal], Exception],
    unanswered: Callable[[BaseException], Exception],
) -> Any:
    """Return the answer to a call of Slack's API.

    Args:
        call: Of slack-sdk's client.
        refused: Makes what is raised where it is not ok.
        unanswered: Makes what is raised where none comes.
    """
    from aiohttp import ClientError  # noqa: PLC0415 - slow to import
    from slack_sdk.errors import SlackApiError, SlackClientError  # noqa: PLC0415 - slow to import

    try:
        return await call
    except SlackApiError as error:
        raise refused(_read(error.response)) from None
    except (SlackClientError, ClientError, OSError, TimeoutError) as error:
        raise unanswered(error) from None


def without_token(found: Refusal, variable: str, *, hint: str, otherwise: str) -> SlackError:
    """Return the error of a call that asks whether Slack takes a token.

    Args:
        found: What Slack says.
        variable: Which one has the token.
        hint: What it is, and where to find one.
        otherwise: What Slack does not do, where the token is not the reason.
    """
    if found.code not in _WRONG_TOKEN:
        return SlackError(f"{otherwise}: {found.code}", seconds=found.seconds or 0.0)
    msg = f"Slack refuses {variable}: {found.code}"
    return SlackError(msg, cause="slack.token", hint=f"{variable} is {hint}")


def not_answered(error: BaseException) -> SlackError:
    """Return the error of a call without an answer; its own words may hold an address."""
    return SlackError(f"Slack does not answer: {type(error).__name__}")


def disconnected(reason: str) -> SlackError:
    """Return the error of a connection that Slack ended."""
    if reason != _LINK_DISABLED:
        return SlackError(f"Slack ended the connection: {reason[:60] or 'no reason given'}")
    return SlackError(
        f"Socket Mode is switched off in the app's settings: {reason}",
        cause="slack.disabled",
        hint="api.slack.com/apps, Socket Mode, Enable Socket Mode",
    )
