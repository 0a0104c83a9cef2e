"""From a ``View`` to Slack's blocks: pure (docs.slack.dev/reference/block-kit)."""

from __future__ import annotations

from typing import Any, Final

from spawnery_dispatcher.model.models import Question
from spawnery_dispatcher.talk.replies import View

ANSWER: Final = "spawnery_answer"
"""Beginning of the action ids of a question's buttons; its number follows."""
CANCEL: Final = "spawnery_cancel"
MAX_TEXT: Final = 2900
"""A section takes 3,000 characters."""
_MAX_LABEL: Final = 75
_MAX_VALUE: Final = 2000
_MAX_BUTTONS: Final = 20


def escape(text: str) -> str:
    """Return text in which nothing is a mention, a link or a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, MAX_TEXT)}}


def _button(text: str, action: str, value: str, **more: Any) -> dict[str, Any]:
    label = {"type": "plain_text", "text": _cut(text, _MAX_LABEL), "emoji": True}
    return {"type": "button", "text": label, "action_id": action, "value": value, **more}


def blocks(job_id: str, view: View) -> list[dict[str, Any]]:
    """Return the blocks of a job's message."""
    found = [_section(f"*{escape(view.title)}*")]
    if view.lines:
        found.append(_section(escape("\n".join(view.lines))))
    if view.question is not None:
        found += _question(job_id, view.question)
    if view.tail:
        tail = escape(view.tail).replace("```", "'''")
        found.append(_section(f"```\n{tail[-(MAX_TEXT - 10) :]}\n```"))
    if view.cancellable:
        button = _button("Cancel", CANCEL, job_id, style="danger")
        found.append({"type": "actions", "elements": [button]})
    return found


def _question(job_id: str, question: Question) -> list[dict[str, Any]]:
    asked = f":question: {escape(question.text)}"
    if question.context:
        asked += f"\n{escape(question.context)}"
    found = [_section(asked)]
    buttons = [
        _button(choice, f"{ANSWER}_{number}", answer_value(job_id, question.question_id, choice))
        for number, choice in enumerate(question.choices[:_MAX_BUTTONS])
        if len(answer_value(job_id, question.question_id, choice)) <= _MAX_VALUE
    ]
    if buttons:
        found.append({"type": "actions", "elements": buttons})
    how = "Choose, or answer in this thread." if buttons else "Answer in this thread."
    if question.default:
        how += f" Without an answer: {escape(_cut(question.default, 100))}"
    found.append({"type": "context", "elements": [{"type": "mrkdwn", "text": how}]})
    return found


def answer_value(job_id: str, question_id: str, choice: str) -> str:
    """Return what a button hands back: job, question, choice."""
    return f"{job_id}\n{question_id}\n{choice}"


def read_value(value: str) -> tuple[str, str, str]:
    """Read what a button handed back; parts that are not there are empty."""
    job_id, _, rest = value.partition("\n")
    question_id, _, choice = rest.partition("\n")
    return job_id, question_id, choice
