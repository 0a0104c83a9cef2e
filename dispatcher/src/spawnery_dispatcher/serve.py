"""Runs a whole dispatcher: engine, service, Slack and the web server, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from spawnery_dispatcher.config import Config, Intake
from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.model.models import Platform
from spawnery_dispatcher.service import Parts, Service
from spawnery_dispatcher.slack import app as slack_app
from spawnery_dispatcher.slack.messenger import SlackMessenger
from spawnery_dispatcher.slack.signing import Signatures
from spawnery_dispatcher.slack.socketmode import SocketMode
from spawnery_dispatcher.talk.outbox import Messenger
from spawnery_dispatcher.web.app import make_web
from spawnery_dispatcher.web.server import STOP_SECONDS, Listener
from spawnery_dispatcher.work.engine import open_spawner
from spawnery_dispatcher.work.waits import Waits


async def serve(config: Config, environ: Mapping[str, str], *, logger: Any) -> None:
    """Serve until SIGTERM or SIGINT: then nothing more is taken in, and jobs go on.

    Args:
        config: All settings.
        environ: Our own environment, with Slack's secrets.
        logger: structlog's.

    Raises:
        SpawnerError: It cannot begin: a setting or a secret is missing, the address is taken.
    """
    for name in slack_app.needed(config.slack.intake):
        slack_app.secret_of(environ, name)
    metrics = Metrics()
    waits = Waits()
    spawner = await open_spawner(config, environ, observers=(metrics, waits))
    metrics.engine = spawner.spawner.name
    try:
        service = Service(config, spawner, waits=waits, metrics=metrics, logger=logger)
        await _run(service, metrics, environ)
    finally:
        await spawner.close()


async def _run(service: Service, metrics: Metrics, environ: Mapping[str, str]) -> None:
    """Run all tasks until a signal comes, or one of them fails."""
    parts = service.parts
    messengers, app = _slack(parts, environ)
    intake = parts.config.slack.intake
    events = app if intake is Intake.EVENTS else None
    listener = Listener(_web(parts, metrics, environ, events), parts.config.server)
    web = asyncio.create_task(listener.serve(), name="web")
    working = {web, asyncio.create_task(service.run(messengers), name="service")}
    hearing = _hear(parts, environ, app) if intake is Intake.SOCKET else None
    if hearing is not None:
        working.add(hearing)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    told = asyncio.create_task(stopped.wait())
    # What is there now stays: a collection that looked at all of it would keep Slack waiting.
    gc.collect()
    gc.freeze()
    parts.logger.info("listening", port=listener.port, engine=metrics.engine, slack=str(intake))
    await asyncio.wait({*working, told}, return_when=asyncio.FIRST_COMPLETED)
    parts.logger.info("stopping", jobs="they go on")
    told.cancel()
    if hearing is not None:
        hearing.cancel()
    listener.stop()
    await asyncio.wait({web}, timeout=STOP_SECONDS)
    for task in working:
        task.cancel()
    for result in await asyncio.gather(*working, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def _slack(parts: Parts, environ: Mapping[str, str]) -> tuple[dict[Platform, Messenger], Any]:
    if parts.config.slack.intake is Intake.OFF:
        return {}, None
    client = slack_app.make_client(parts.config, environ)
    return {Platform.SLACK: SlackMessenger(client)}, slack_app.make_app(parts, client)


def _hear(parts: Parts, environ: Mapping[str, str], app: Any) -> asyncio.Task[None]:
    token = slack_app.secret_of(environ, slack_app.APP_TOKEN)
    mode = SocketMode(app, token, health=parts.health, logger=parts.logger)
    return asyncio.create_task(mode.run(), name="socket-mode")


def _web(parts: Parts, metrics: Metrics, environ: Mapping[str, str], app: Any) -> Any:
    if app is None:
        return make_web(parts, metrics)
    secret, store = slack_app.secret_of(environ, slack_app.SIGNING_SECRET), parts.store
    signatures = Signatures(secret, store.redis, store.keys, store.clock)
    return make_web(parts, metrics, slack=_bolt(app), signatures=signatures)


def _bolt(app: Any) -> Callable[[Request], Awaitable[Response]]:
    from slack_bolt.adapter.starlette.async_handler import (  # noqa: PLC0415 - slow to import
        AsyncSlackRequestHandler,
    )

    handle: Callable[[Request], Awaitable[Response]] = AsyncSlackRequestHandler(app).handle
    return handle
