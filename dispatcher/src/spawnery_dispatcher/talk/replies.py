"""What people read of a job: pure, and the same on every platform.

A platform turns a ``View`` into its own form: blocks on Slack, lines in a terminal, fields in JSON.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen
from spawnery.model import JobState

from spawnery_dispatcher.model.commands import About, Misunderstood
from spawnery_dispatcher.model.models import Ending, Entry, Phase, Question, Refused

TAIL_SHOWN: Final = 2000
"""Characters of the end of a log that a chat shows."""
_BAR: Final = 10
_WAITS: Final = "It waits to start"
_ELSEWHERE: Final = "It lives at another engine"
_ICONS: Final = {
    JobState.SUCCEEDED: "✅",
    JobState.FAILED: "❌",
    JobState.CANCELLED: "🛑",
    JobState.TIMED_OUT: "⏱️",
    JobState.LOST: "❓",
}
_ENDED: Final = {
    JobState.SUCCEEDED: "done",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
    JobState.TIMED_OUT: "ran out of time",
    JobState.LOST: "lost",
}


@frozen(kw_only=True)
class View:
    """A job as people see it.

    Attributes:
        title: What was asked for and how it stands, on one line.
        lines: What is to be said of it, a line each.
        question: What the agent wants to know now.
        tail: The end of the log of a job that failed.
        cancellable: Whether a button to cancel it makes sense.
    """

    title: str
    lines: tuple[str, ...] = ()
    question: Question | None = None
    tail: str = ""
    cancellable: bool = False

    def text(self) -> str:
        """Return all of it as plain text."""
        parts = [self.title, *self.lines]
        if self.question is not None:
            parts.append(f"Question: {self.question.text}")
        if self.tail:
            parts += ["The end of its log:", self.tail]
        return "\n".join(parts)


def view(entry: Entry) -> View:
    """Say how a job stands."""
    asked = f"{entry.ask.text} ({entry.job_id})"
    if entry.ending is not None:
        return _ended(asked, entry.ending)
    lines = [_standing(entry)]
    if entry.progress.detail:
        lines.append(entry.progress.detail)
    if is_elsewhere(entry.notice) or (entry.notice and not entry.cancelled_by):
        lines.append(entry.notice)
    if entry.cancelled_by:
        lines.append(being_cancelled("It", entry))
    if entry.readopted:
        lines.append("It was found running after our memory was lost; earlier messages are gone.")
    return View(
        title=asked,
        lines=tuple(lines),
        question=entry.open_question,
        cancellable=not entry.cancelled_by,
    )


def not_taken_yet(message: str, hint: str | None) -> str:
    """Say that the engine is asked for a job again, and what to do next where that is known."""
    return f"The engine does not take it yet: {message}{_next(hint)}"


def elsewhere(title: str, *, started: bool) -> str:
    """Say that a job is in a place to which no dispatcher is connected.

    Args:
        title: Of the place.
        started: Whether the engine there has it for certain.
    """
    goes_on = "It goes on there." if started else "It may not have been started there."
    return f"{_ELSEWHERE}, {title}; no dispatcher is connected to it. {goes_on}"


def is_elsewhere(notice: str) -> bool:
    """Tell whether a notice says that."""
    return notice.startswith(_ELSEWHERE)


def being_cancelled(what: str, entry: Entry) -> str:
    """Say that a job is cancelled, or when it will be."""
    if is_elsewhere(entry.notice):
        return f"{what} is cancelled when a dispatcher is connected to its engine again."
    return f"{what} is being cancelled."


def waits_to_start(message: str | None, cause: str | None, hint: str | None = None) -> str:
    """Say what a job waits for; empty where the engine does not say."""
    if not message and not cause:
        return ""
    why = f": {message}" if message else ""
    return f"{_WAITS}{why}{f' [{cause}]' if cause else ''}{_next(hint)}"


def _next(hint: str | None) -> str:
    return f"\nNext: {hint}" if hint else ""


def is_waiting(notice: str) -> bool:
    """Tell whether a notice says what a job waits for."""
    return notice.startswith(_WAITS)


def _standing(entry: Entry) -> str:
    if entry.phase is Phase.QUEUED:
        return f"Queued, number {entry.position} in line." if entry.position else "Accepted."
    if entry.phase is Phase.SPAWNING or is_waiting(entry.notice):
        return "Starting."
    progress = entry.progress
    if not progress.total:
        return progress.text or "Running."
    filled = min(_BAR, _BAR * progress.step // progress.total)
    bar = "▓" * filled + "░" * (_BAR - filled)
    return f"{bar} step {progress.step} of {progress.total}: {progress.text}"


def _ended(asked: str, ending: Ending) -> View:
    lines = [f"{ending.message} [{ending.cause}]" if _unusual(ending) else ending.message]
    if ending.url:
        lines.append(ending.url)
    if ending.hint and _unusual(ending):
        lines.append(f"Next: {ending.hint}")
    return View(
        title=f"{_ICONS[ending.state]} {asked}: {_ENDED[ending.state]}",
        lines=tuple(line for line in lines if line),
        tail=(ending.log_tail or "")[-TAIL_SHOWN:] if ending.state is JobState.FAILED else "",
    )


def _unusual(ending: Ending) -> bool:
    return ending.state is not JobState.SUCCEEDED


def ping(entry: Entry) -> str:
    """Return the one line that tells the person who asked that it is over."""
    ending = entry.ending
    state = _ENDED[ending.state] if ending is not None else "running"
    return f"{entry.ask.text}: {state}"


def refused(asked: str, refusal: Refused) -> str:
    """Say why a job is not taken in, naming what is in the way."""
    running = refusal.running
    if refusal.reason == "issue":
        return f"{asked}: {running} works on it already. See: status {running}"
    if refusal.reason == "channel":
        return f"{asked}: not now, {running} runs in this channel. Stop it with: cancel {running}"
    return f"{asked}: not now, the queue is full. Try again later."


def unknown_project(name: str, known: tuple[str, ...], nearest: str) -> str:
    """Say that there is no such project, and which there are."""
    if not known:
        return "No project is set up yet: the operator adds them to dispatcher.toml."
    if not name:
        return f"Which project? For example: fix #58 in {known[0]}. There are: {', '.join(known)}."
    guess = f" Did you mean {nearest}?" if nearest else ""
    return f"There is no project {name[:40]}.{guess} There are: {', '.join(known)}."


def misunderstood(command: Misunderstood) -> str:
    """Say that a text was not understood, with the nearest that would be."""
    if command.nearest:
        return f'I did not understand "{command.text}". Did you mean: {command.nearest}'
    return f'I did not understand "{command.text}". Say help for what I know.'


def no_job(command: About) -> str:
    """Say that there is nothing to tell of."""
    if command.job_id:
        return f"There is no job {command.job_id} that I know. See: list"
    return "Nothing runs here. Start something with, for example: fix #58"


def which_job(verb: str, job_ids: tuple[str, ...]) -> str:
    """Ask which of several jobs is meant."""
    return f"Which one? {' or '.join(f'{verb} {job_id}' for job_id in job_ids[:5])}"


def help_text(projects: tuple[str, ...], default: str | None) -> str:
    """Say what can be said."""
    where = f" (in {default} where you name no project)" if default else ""
    known = ", ".join(projects) or "none yet"
    return "\n".join(
        (
            f"fix #58 in PROJECT, or #58: an agent works on the issue{where}",
            "status [JOB]: how it stands",
            "logs [JOB]: the end of its log",
            "cancel [JOB]: stop it",
            "list: what runs in this channel",
            f"Projects: {known}",
        )
    )
