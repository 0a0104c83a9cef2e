"""The ASGI app: Slack's events, the JSON API, health and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spawnery_dispatcher.config import Intake
from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.service import Parts
from spawnery_dispatcher.slack.app import TAKE_SECONDS
from spawnery_dispatcher.slack.signing import Signatures
from spawnery_dispatcher.store.health import away
from spawnery_dispatcher.web.api import Api

_TOO_LARGE: Final = 413
_AWAY: Final = 503


class _TooLarge(Exception):
    """The body is larger than the limit."""


class BodyLimit:
    """Refuses bodies over a size, also those that do not tell theirs.

    Args:
        app: What is behind.
        limit: Bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise _TooLarge
            return message

        if length.isdigit() and int(length) > self._limit:
            await self._refuse(scope, receive, send)
            return
        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = {"error": f"the body has more than {self._limit} bytes"}
        await JSONResponse(problem, status_code=_TOO_LARGE)(scope, receive, send)


def make_web(
    parts: Parts,
    metrics: Metrics,
    *,
    slack: Callable[[Request], Awaitable[Response]] | None = None,
    signatures: Signatures | None = None,
) -> Starlette:
    """Put the app together.

    Args:
        parts: Of the dispatcher.
        metrics: To be shown.
        slack: Handles a request of Slack's that was let in; None where Slack does not call us.
        signatures: Lets Slack in.
    """
    routes = [
        Route("/healthz", _alive),
        Route("/readyz", _readiness(parts)),
        Route("/metrics", _shown(parts, metrics)),
        *Api(parts).routes(),
    ]
    if slack is not None and signatures is not None:
        routes.append(Route("/slack/events", _signed(slack, signatures), methods=["POST"]))
    limit = parts.config.server.max_body_bytes
    return Starlette(
        routes=routes,
        middleware=[Middleware(BodyLimit, limit=limit)],
        exception_handlers={
            HTTPException: _problem,
            Exception: _failure(parts),
            **dict.fromkeys((TimeoutError, *away()), _unavailable),
        },
    )


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _readiness(parts: Parts) -> Callable[[Request], Awaitable[Response]]:
    async def ready(_request: Request) -> Response:
        health = parts.health
        found = {
            "redis": _since(health.redis_down),
            "engine": _since(health.engine_down),
            "engine_problem": health.engine_problem,
            "engine_hint": health.engine_hint,
            "jobs_elsewhere": health.elsewhere,
            "other_dispatcher": health.stranger,
            "memory": (health.lost_memory or "kept") if health.remembers else "not known yet",
        }
        if parts.config.slack.intake is Intake.SOCKET:
            found |= {"slack": _since(health.slack_down), "slack_problem": health.slack_problem}
        return JSONResponse(found, status_code=200 if health.ready else _AWAY)

    return ready


def _since(moment: float | None) -> str:
    if moment is None:
        return "answers"
    return f"does not answer since {time.monotonic() - moment:.0f} s"


def _shown(parts: Parts, metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    async def show(_request: Request) -> Response:
        metrics.up.labels("redis").set(parts.health.redis_down is None)
        metrics.up.labels("engine").set(parts.health.engine_down is None)
        if parts.config.slack.intake is Intake.SOCKET:
            metrics.up.labels("slack").set(parts.health.slack_down is None)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return show


def _signed(
    handle: Callable[[Request], Awaitable[Response]], signatures: Signatures
) -> Callable[[Request], Awaitable[Response]]:
    async def hear(request: Request) -> Response:
        body = await request.body()
        async with asyncio.timeout(TAKE_SECONDS):
            if not await signatures.valid(request.headers, body):
                return JSONResponse({"error": "not signed by Slack, or too old"}, status_code=401)
            if await signatures.handled_before(request.headers):
                return JSONResponse({"error": "seen before"}, status_code=401)
            response = await handle(request)
            if response.status_code < 300:  # noqa: PLR2004 - HTTP
                await signatures.handled(request.headers)
        return response

    return hear


async def _problem(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    detail = getattr(error, "detail", "")
    headers: Mapping[str, str] | None = getattr(error, "headers", None)
    return JSONResponse({"error": str(detail)}, status_code=status, headers=headers)


async def _unavailable(_request: Request, _error: Exception) -> Response:
    problem = {"error": "not ready: Redis does not answer, or was not looked at yet"}
    return JSONResponse(problem, status_code=_AWAY, headers={"Retry-After": "5"})


def _failure(parts: Parts) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def fail(request: Request, error: Exception) -> Response:
        parts.logger.error("request_failed", path=request.url.path, error=type(error).__name__)
        return JSONResponse({"error": "a bug of ours; it is logged"}, status_code=500)

    return fail
