"""What Slack refuses, and that it does not answer, in our words.

Codes are Slack's (docs.slack.dev/reference/methods, "Errors" of each method), reasons those of a
``disconnect`` (docs.slack.dev/apis/events-api/using-socket-mode).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen
from spawnery.errors import SpawnerError

RATE_LIMITED: Final = "ratelimited"
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


def refusal(response: Any) -> Refusal:
    """Read the response of a ``SlackApiError``: slack-sdk's, or aiohttp's where it is no JSON."""
    status = getattr(response, "status_code", None) or getattr(response, "status", 0)
    data = getattr(response, "data", None)
    code = str((data.get("error") if isinstance(data, Mapping) else "") or f"status {status}")
    if status != _TOO_MANY and code not in {RATE_LIMITED, "rate_limited"}:
        return Refusal(code=code)
    headers = {str(name).lower(): str(value) for name, value in (response.headers or {}).items()}
    seconds = headers.get("retry-after", "")
    return Refusal(code=RATE_LIMITED, seconds=float(seconds) if seconds.isdigit() else None)


def not_opened(response: Any, variable: str) -> SlackError:
    """Return the error of a connection that Slack gives us no address for.

    Args:
        response: Of the ``SlackApiError``.
        variable: Which one has the app-level token.
    """
    found = refusal(response)
    if found.code in _WRONG_TOKEN:
        hint = (
            f"{variable} is an app-level token (xapp-...) with the scope connections:write:"
            " api.slack.com/apps, Basic Information, App-Level Tokens"
        )
        return SlackError(f"Slack refuses {variable}: {found.code}", cause="slack.token", hint=hint)
    return SlackError(f"Slack opens no connection: {found.code}", seconds=found.seconds or 0.0)


def not_known(response: Any, variable: str) -> SlackError:
    """Return the error of a bot token as which Slack knows nobody; arguments as ``not_opened``."""
    found = refusal(response)
    if found.code in _WRONG_TOKEN:
        hint = f"{variable} is the bot token (xoxb-...): api.slack.com/apps, OAuth & Permissions"
        return SlackError(f"Slack refuses {variable}: {found.code}", cause="slack.token", hint=hint)
    return SlackError(f"Slack does not say who we are: {found.code}", seconds=found.seconds or 0.0)


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
