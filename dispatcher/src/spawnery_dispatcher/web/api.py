"""The JSON API: ``/api/v1/jobs`` and what belongs to a job. Described in ``openapi``."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from spawnery.contract import LogText, TextDecoder, gap_in_words
from spawnery.errors import SpawnerError
from spawnery.jobfile.json import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from spawnery_dispatcher.model import identity
from spawnery_dispatcher.model.commands import Fix, clean
from spawnery_dispatcher.model.models import Entry, Place, Platform, Reply
from spawnery_dispatcher.service import Parts
from spawnery_dispatcher.talk.intake import Said
from spawnery_dispatcher.web.openapi import document

_POLL_SECONDS: Final = 0.3
_HEARTBEAT_SECONDS: Final = 15.0
_MAX_KEY: Final = 200
_MAX_ISSUE: Final = 999_999_999
Handler = Callable[[Request, str], Awaitable[Response]]


class Refusal(Exception):
    """The answer to a request that is not carried out."""

    def __init__(self, status: int, error: str, hint: str | None = None) -> None:
        super().__init__(error)
        self.response = JSONResponse(
            {"error": error} | ({"hint": hint} if hint else {}), status_code=status
        )


class Api:
    """Handlers.

    Args:
        parts: Of the dispatcher.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keys = parts.config.api_keys

    def routes(self) -> list[Route]:
        """Return what is to be served."""
        job = "/api/v1/jobs/{job_id}"
        return [
            Route("/api/v1/openapi.json", _described),
            Route("/api/v1/jobs", self._as_caller(self._list), methods=["GET"]),
            Route("/api/v1/jobs", self._as_caller(self._make), methods=["POST"]),
            Route(job, self._as_caller(self._show), methods=["GET"]),
            Route(f"{job}/cancel", self._as_caller(self._cancel), methods=["POST"]),
            Route(f"{job}/answer", self._as_caller(self._answer), methods=["POST"]),
            Route(f"{job}/events", self._as_caller(self._events), methods=["GET"]),
            Route(f"{job}/logs", self._as_caller(self._logs), methods=["GET"]),
        ]

    def _as_caller(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Let in who has a key; what goes wrong is said in JSON."""

        async def handle(request: Request) -> Response:
            try:
                return await handler(request, self._caller(request))
            except Refusal as refusal:
                return refusal.response

        return handle

    def _caller(self, request: Request) -> str:
        """Return the name of the key; every key is compared, in constant time."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = [name for name, known in self._keys.items() if _same(known.sha256, digest)]
        if scheme.lower() != "bearer" or not found:
            hint = "Authorization: Bearer KEY; make one with: spawnery-dispatcher api-key NAME"
            raise Refusal(401, "no valid API key", hint)
        return found[0]

    # -- jobs --------------------------------------------------------------------------------

    async def _make(self, request: Request, caller: str) -> Response:
        given = await _body(request, {"project", "issue"})
        issue, project = given.get("issue"), given.get("project", "")
        if not isinstance(issue, int) or isinstance(issue, bool) or not 0 < issue <= _MAX_ISSUE:
            raise Refusal(400, f"issue: must be a number from 1 to {_MAX_ISSUE}")
        if not isinstance(project, str):
            raise Refusal(400, "project: must be text")
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= _MAX_KEY:
            raise Refusal(400, f"Idempotency-Key: must have 1 to {_MAX_KEY} characters")
        allowed = self._keys[caller].projects
        name = clean(project).lower() or self._parts.config.default_project or ""
        if allowed and name not in allowed:
            raise Refusal(403, f"the key {caller} may not use the project {name!r}")
        said = Said(
            text="",
            user=f"api:{caller}",
            place=Place(platform=Platform.API, channel=caller),
            at=await self._parts.store.clock.now(),
            identify=lambda readable: identity.of_api(caller, key, readable=readable),
            traceparent=request.headers.get("traceparent", ""),
        )
        reply = await self._parts.intake.fix(Fix(issue=issue, project=name), said)
        if reply.entry is None:
            known = name in self._parts.config.projects
            raise Refusal(409 if known else 400, reply.text)
        return JSONResponse(shown(reply.entry), status_code=202 if reply.new else 200)

    async def _list(self, _request: Request, caller: str) -> Response:
        store = self._parts.store
        ids = sorted(await store.of_channel(Platform.API, caller))
        entries = [await store.get(job_id) for job_id in ids]
        return JSONResponse([shown(entry) for entry in entries if entry is not None])

    async def _show(self, request: Request, caller: str) -> Response:
        return JSONResponse(shown(await self._entry(request, caller)))

    async def _cancel(self, request: Request, caller: str) -> Response:
        entry = await self._entry(request, caller)
        return _told(await self._parts.intake.cancel(entry, f"api:{caller}"))

    async def _answer(self, request: Request, caller: str) -> Response:
        entry = await self._entry(request, caller)
        given = await _body(request, {"question_id", "answer"})
        texts = given.get("question_id"), given.get("answer")
        if not all(isinstance(text, str) and text for text in texts):
            raise Refusal(400, "question_id and answer: must be text")
        question_id, text = str(texts[0]), str(texts[1])
        reply = await self._parts.intake.answer(
            entry.job_id, question_id, text, user=f"api:{caller}"
        )
        return _told(reply)

    async def _entry(self, request: Request, caller: str) -> Entry:
        """Return a job of this caller; those of others are not there."""
        job_id = request.path_params["job_id"]
        entry = await self._parts.store.get(job_id)
        ours = Place(platform=Platform.API, channel=caller)
        if entry is None or entry.ask.place != ours:
            raise Refusal(404, f"there is no job {job_id[:60]!r} of yours")
        return entry

    # -- streams -----------------------------------------------------------------------------

    async def _events(self, request: Request, caller: str) -> Response:
        entry = await self._entry(request, caller)
        return _stream(self._changes(entry.job_id))

    async def _changes(self, job_id: str) -> AsyncIterator[str]:
        """Yield the job at each change, and a comment where it stays quiet."""
        store, seen, quiet = self._parts.store, -1, 0.0
        while True:
            version = await store.version(job_id)
            if version != seen:
                entry, version = await store.latest(job_id)
                seen, quiet = version, 0.0
                if entry is None:
                    return
                yield _event("job", json.dumps(shown(entry)), version)
                if entry.ending is not None:
                    return
            elif quiet >= _HEARTBEAT_SECONDS:
                quiet = 0.0
                yield ": still there\n\n"
            await asyncio.sleep(_POLL_SECONDS)
            quiet += _POLL_SECONDS

    async def _logs(self, request: Request, caller: str) -> Response:
        entry = await self._entry(request, caller)
        if request.query_params.get("follow") == "1":
            return _stream(self._log_lines(entry.job_id))
        reply = await self._parts.intake.log_of(entry)
        return PlainTextResponse(reply.text, status_code=409 if reply.problem else 200)

    async def _log_lines(self, job_id: str) -> AsyncIterator[str]:
        decoder = TextDecoder()
        try:
            async with await self._parts.spawner.logs(job_id, follow=True) as log:
                async for chunk in log:
                    for piece in decoder.feed(chunk):
                        yield _event("log", json.dumps(_log_piece(piece)), chunk.cursor)
        except SpawnerError as error:
            yield _event("error", json.dumps({"error": error.message, "cause": error.cause}))
        yield _event("end", "{}")


def _log_piece(piece: LogText) -> dict[str, Any]:
    """Return a piece of a log, with what is missing before it, as ``spawnery logs --json``."""
    found: dict[str, Any] = {"stream": piece.stream, "text": piece.text}
    if piece.gap:
        found["lost_bytes"] = piece.lost or None
        found["lost"] = gap_in_words(piece)
    return found


def _same(known: str, digest: str) -> bool:
    return hmac.compare_digest(known, digest)


async def _described(_request: Request) -> Response:
    return JSONResponse(document())


async def _body(request: Request, known: set[str]) -> Mapping[str, Any]:
    """Read the body of a request: a JSON object with these keys and no others."""
    try:
        given = json.loads(await request.body())
    except (ValueError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refusal(400, "the body must be a JSON object")
    unknown = sorted(set(given) - known)
    if unknown:
        there = ", ".join(sorted(known))
        raise Refusal(400, f"{str(unknown[0])[:60]}: there is no such field", f"there are: {there}")
    return given


def _told(reply: Reply) -> Response:
    if reply.problem or reply.entry is None:
        raise Refusal(409, reply.text)
    return JSONResponse(shown(reply.entry))


def _event(name: str, data: str, number: object = None) -> str:
    mark = f"id: {number}\n" if number is not None else ""
    return f"{mark}event: {name}\ndata: {data}\n\n"


def _stream(events: AsyncIterator[str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def shown(entry: Entry) -> dict[str, Any]:
    """Return a job as the API shows it."""
    ask, progress = entry.ask, entry.progress
    return {
        "job_id": entry.job_id,
        "project": ask.project,
        "issue": ask.issue,
        "text": ask.text,
        "user": ask.user,
        "phase": str(entry.phase),
        "asked_at": ask.asked_at.isoformat(),
        "step": progress.step,
        "total": progress.total,
        "progress": progress.text,
        "detail": progress.detail,
        "notice": entry.notice,
        "question": to_json(entry.open_question) if entry.open_question else None,
        "ending": to_json(entry.ending) if entry.ending else None,
    }
