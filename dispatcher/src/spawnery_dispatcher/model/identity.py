"""Job ids out of deliveries: the same delivery is the same job, however often it comes.

A mention on Slack arrives as ``message`` and as ``app_mention`` with different event ids, so the
id comes from what both share: team, channel and the message's timestamp. Slash commands and buttons
carry a trigger id, requests to the API an idempotency key.
"""

from __future__ import annotations

from spawnery.model import generate_job_id, job_id_from


def of_message(team: str, channel: str, timestamp: str, *, readable: str) -> str:
    """Return the id of the job that a Slack message asks for.

    Args:
        team: Workspace id.
        channel: Channel id.
        timestamp: ``ts`` of the message.
        readable: Beginning of the id, for people, such as ``demo-58``.
    """
    return job_id_from(f"slack/{team}/{channel}/{timestamp}", readable=readable)


def of_trigger(team: str, trigger_id: str, *, readable: str) -> str:
    """Return the id of the job that a slash command or a button asks for."""
    return job_id_from(f"slack-trigger/{team}/{trigger_id}", readable=readable)


def of_api(caller: str, idempotency_key: str | None, *, readable: str) -> str:
    """Return the id of the job that an API request asks for.

    Args:
        caller: Name of the API key: callers do not share idempotency keys.
        idempotency_key: As the request has it; without one every request is a new job.
        readable: Beginning of the id.
    """
    if idempotency_key is None:
        return job_id_from(f"api/{caller}/{generate_job_id()}", readable=readable)
    return job_id_from(f"api/{caller}/key/{idempotency_key}", readable=readable)
