"""The agent's side of the streams ``job:{id}:out`` and ``job:{id}:in``."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_STREAM_LENGTH: Final = 1000
_STREAM_SECONDS: Final = 2 * 3600
_BLOCK_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_MAX_TEXT: Final = 4000


class AgentError(Exception):
    """The streams cannot be used: what is missing, and what to set."""


class NotAnswered(AgentError):
    """Nobody answered in time, and the question has no default."""


class Agent:
    """Talks to the dispatcher that started this job.

    A broken connection is mended for ``patience_seconds``. An entry whose reply was lost may be
    written twice; the dispatcher makes the same of both.
    Leaving a ``with`` block by an exception says Error, unless an end was said before.

    Args:
        job_id: The job, ``JOB_ID``.
        redis_url: ``host:port`` or ``redis://...``, ``REDIS_URL``.
        patience_seconds: How long a Redis that does not answer is waited for.

    Raises:
        AgentError: An argument is empty.
    """

    def __init__(self, job_id: str, redis_url: str, *, patience_seconds: float = 60.0) -> None:
        if not job_id or not redis_url:
            msg = "an agent needs its job id and the address of Redis: set JOB_ID and REDIS_URL"
            raise AgentError(msg)
        self.job_id = job_id
        self._url = redis_url if "://" in redis_url else f"redis://{redis_url}"
        self._patience = patience_seconds
        self._client: Any = None
        self._ended = False
        self._read = "0-0"
        self._answers: dict[str, str] = {}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Agent:
        """Make the agent of this job, from ``JOB_ID`` and ``REDIS_URL``."""
        found = os.environ if environ is None else environ
        return cls(found.get("JOB_ID", ""), found.get("REDIS_URL", ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not self._ended:
            self.error(f"{type(error).__name__}: {error}")
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- saying ------------------------------------------------------------------------------

    def progress(self, text: str, *, step: int = 0, total: int = 0) -> None:
        """Say which step begins, of how many."""
        self._say("Progress", text=text, step=step or "", total=total or "")

    def detail(self, text: str) -> None:
        """Say what happens within a step."""
        self._say("Detail", text=text)

    def done(self, summary: str = "", *, url: str = "") -> None:
        """Say that the work is done; ``url`` is what came of it, such as a pull request."""
        self._say("Done", summary=summary, text=summary, prUrl=url)
        self._ended = True

    def error(self, text: str, *, step: int = 0, total: int = 0, step_name: str = "") -> None:
        """Say that the work failed."""
        self._say("Error", text=text, step=step or "", total=total or "", stepName=step_name)
        self._ended = True

    # -- asking ------------------------------------------------------------------------------

    def ask(
        self,
        text: str,
        *,
        choices: Sequence[str] = (),
        default: str | None = None,
        context: str = "",
        timeout_seconds: float = 3600.0,
        question_id: str | None = None,
    ) -> str:
        """Ask the people who started the job, and wait for the first answer.

        Args:
            text: The question.
            choices: Labels to choose from; people may always type something else.
            default: What is taken when nobody answers in time.
            context: Further explanation.
            timeout_seconds: How long to wait.
            question_id: The same id again is the same question: one that was answered before a
                crash is not asked twice.

        Raises:
            NotAnswered: Nobody answered, and there is no default.
        """
        name = question_id or secrets.token_hex(8)
        until = time.monotonic() + timeout_seconds
        question = {
            "questionId": name,
            "questionType": "choice" if choices else "text",
            "text": text,
            "context": context,
            "choices": "|".join(choice.replace("|", "/") for choice in choices),
            "defaultAnswer": default or "",
            "timeoutSeconds": round(timeout_seconds),
        }
        self._collect(0)
        said = False
        while name not in self._answers and time.monotonic() < until:
            if not said or self._forgotten():
                self._say("Question", **question)
                said = True
            self._collect(min(_BLOCK_SECONDS, max(0.01, until - time.monotonic())))
        if name in self._answers:
            return self._answers[name]
        if default is not None:
            return default
        msg = f"nobody answered within {timeout_seconds:g} s: {text}"
        raise NotAnswered(msg)

    def _collect(self, seconds: float) -> None:
        """Take in answers; of several to one question the first counts."""
        block = max(1, round(seconds * 1000)) if seconds else None
        found = self._persistently(
            lambda redis: redis.xread({f"job:{self.job_id}:in": self._read}, block=block)
        )
        pairs = found.items() if isinstance(found, Mapping) else found or ()
        for _, entries in pairs:
            for position, fields in entries:
                self._read = position
                if fields.get("type", "").lower() == "answer":
                    text = fields.get("answer") or fields.get("content") or ""
                    self._answers.setdefault(fields.get("questionId", ""), text)

    # -- inside ------------------------------------------------------------------------------

    @property
    def _out(self) -> str:
        return f"job:{self.job_id}:out"

    def _forgotten(self) -> bool:
        """Tell whether Redis came back without what we said."""
        return not self._persistently(lambda redis: redis.exists(self._out))

    def _say(self, kind: str, **fields: object) -> None:
        entry = {"type": kind, "jobId": self.job_id}
        entry.update({name: str(value)[:_MAX_TEXT] for name, value in fields.items()})

        def write(redis: Any) -> None:
            pipe = redis.pipeline(transaction=True)
            pipe.xadd(self._out, entry, maxlen=_STREAM_LENGTH, approximate=True)
            pipe.expire(self._out, _STREAM_SECONDS)
            pipe.execute()

        self._persistently(write)

    def _persistently(self, call: Callable[[Any], T]) -> T:
        """Call until Redis answers or patience is over."""
        from redis import exceptions  # noqa: PLC0415 - slow to import

        until = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return call(self._connected())
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                self.close()
                if time.monotonic() >= until:
                    msg = f"Redis did not answer for {self._patience:g} s: {type(error).__name__}"
                    raise AgentError(msg) from None
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _connected(self) -> Any:
        if self._client is None:
            from redis import Redis  # noqa: PLC0415 - slow to import
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415

            self._client = Redis.from_url(
                self._url,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=_BLOCK_SECONDS + 5,
                socket_connect_timeout=5,
            )
        return self._client
