"""What agent and dispatcher say to each other over Redis Streams: pure.

``job:{id}:out`` carries the agent's entries, ``job:{id}:in`` ours. Every entry is flat text fields,
``type`` in any case; absent numbers and texts are empty strings. An agent of the older dialect
sends no message ids and reads ``content``; one of the newer reads ``answer``: we send both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import frozen

from spawnery_dispatcher.model.models import AgentEnd, Progress, Question

MAX_TEXT: Final = 4000
"""Characters of one text that are taken in: more than any chat shows."""
_MAX_CHOICES: Final = 20
_LONGEST_WAIT: Final = 7 * 86400.0


def out_key(job_id: str) -> str:
    """Return the stream that the agent writes."""
    return f"job:{job_id}:out"


def in_key(job_id: str) -> str:
    """Return the stream that the agent reads."""
    return f"job:{job_id}:in"


@frozen
class Detail:
    """A smaller step than a ``Progress``."""

    text: str


Message = Progress | Detail | Question | AgentEnd


@frozen
class Unreadable:
    """An entry that says nothing we know; ``why`` is for the log and the dead letters."""

    why: str


def parse(fields: Mapping[str, str]) -> Message | Unreadable:
    """Read an entry of the agent.

    Args:
        fields: As they stand in the stream, decoded.

    Returns:
        The message; ``Unreadable`` where the type is missing or unknown, or what it needs is not
        there. Unknown fields are left out: a newer agent may send more.
    """
    kind = fields.get("type", "").strip().lower()
    reader = _READERS.get(kind)
    if reader is None:
        return Unreadable(f"unknown type {kind[:60]!r}" if kind else "no type")
    return reader(fields)


def _text(fields: Mapping[str, str], name: str) -> str:
    """Return a text without control characters, which would reach chats and terminals."""
    kept = "".join(c for c in fields.get(name, "") if c.isprintable() or c in "\n\t")
    return kept if len(kept) <= MAX_TEXT else kept[:MAX_TEXT] + "..."


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "").strip()
    return min(int(text), 1_000_000) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - fits every integer


def _seconds(fields: Mapping[str, str], name: str) -> float:
    try:
        found = float(fields.get(name, "") or 0)
    except ValueError:
        return 0.0
    return found if 0 < found <= _LONGEST_WAIT else 0.0


def _progress(fields: Mapping[str, str]) -> Message | Unreadable:
    step, total = _number(fields, "step"), _number(fields, "total")
    return Progress(step=step, total=total, text=_text(fields, "text"))


def _detail(fields: Mapping[str, str]) -> Message | Unreadable:
    return Detail(_text(fields, "text"))


def _question(fields: Mapping[str, str]) -> Message | Unreadable:
    question_id = fields.get("questionId", "").strip()
    if not question_id:
        return Unreadable("a question without questionId cannot be answered")
    labels = [label.strip() for label in _text(fields, "choices").split("|")]
    return Question(
        question_id=question_id[:200],
        text=_text(fields, "text"),
        context=_text(fields, "context"),
        choices=tuple(label for label in labels if label)[:_MAX_CHOICES],
        default=_text(fields, "defaultAnswer"),
        timeout_seconds=_seconds(fields, "timeoutSeconds"),
    )


def _done(fields: Mapping[str, str]) -> Message | Unreadable:
    text = _text(fields, "summary") or _text(fields, "text")
    url = _text(fields, "prUrl").strip()
    safe = url if url.startswith(("https://", "http://")) and " " not in url else ""
    return AgentEnd(done=True, text=text, url=safe)


def _error(fields: Mapping[str, str]) -> Message | Unreadable:
    text, step = _text(fields, "text"), _text(fields, "stepName")
    return AgentEnd(done=False, text=text, step_name=step)


_READERS: Final = {
    "progress": _progress,
    "detail": _detail,
    "question": _question,
    "done": _done,
    "error": _error,
}


def answer(question_id: str, text: str, *, by: str, at: datetime) -> dict[str, str]:
    """Return the fields of an answer, for readers of both dialects.

    Args:
        question_id: Of the question.
        text: What was chosen or typed.
        by: Who answered.
        at: When.
    """
    return {
        "type": "answer",
        "questionId": question_id,
        "content": text,
        "answer": text,
        "comment": "",
        "answeredAt": at.isoformat(),
        "answeredBy": by,
    }
