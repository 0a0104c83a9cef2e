"""Looks at everything that a dispatcher needs, as a doctor does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spawnery import AsyncSpawner
from spawnery.contract import CheckItem
from spawnery.errors import SpawnerError

from spawnery_dispatcher.config import Config, Intake
from spawnery_dispatcher.model.jobspecs import job_spec
from spawnery_dispatcher.model.models import Ask, Place, Platform
from spawnery_dispatcher.slack import app as slack_app
from spawnery_dispatcher.slack.socketmode import open_address
from spawnery_dispatcher.store.connection import connect
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.work.engine import open_spawner
from spawnery_dispatcher.work.strangers import HINT, in_words, is_stranger

_SAMPLE: Final = datetime(2030, 1, 1, tzinfo=UTC)


async def examine(config: Config, environ: Mapping[str, str]) -> list[CheckItem]:
    """Collect the findings; each part is looked at whatever the others say.

    Args:
        config: All settings, which were read without an error.
        environ: Our own environment.
    """
    names = ", ".join(sorted(config.projects)) or "none"
    items = [CheckItem(name="configuration", detail=f"projects: {names}")]
    if not config.projects:
        hint = "add a table [projects.NAME] to dispatcher.toml"
        items = [CheckItem(name="configuration", level="warning", detail="no project", hint=hint)]
    items += [item async for item in _redis(config)]
    items += [item async for item in _slack(config, environ)]
    items += _handed_on(config, environ)
    items += [item async for item in _engine(config, environ)]
    return items


def _failed(name: str, detail: str, hint: str | None = None) -> CheckItem:
    return CheckItem(name=name, level="failed", detail=detail, hint=hint)


async def _redis(config: Config) -> AsyncIterator[CheckItem]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - slow to import

    redis = connect(config.redis.url)
    try:
        facts = await redis.info("server")
        yield CheckItem(name="redis", detail=f"answers, version {facts.get('redis_version')}")
        yield await _persistence(redis, required=config.redis.require_persistence)
        yield await _eviction(redis)
    except RedisError as error:
        yield _failed("redis", f"does not answer: {type(error).__name__}", "redis-cli ping")
    finally:
        await redis.aclose()


async def _persistence(redis: Any, *, required: bool) -> CheckItem:
    """Look whether a restart would keep what we remember."""
    kept = bool((await redis.info("persistence")).get("aof_enabled"))
    if kept:
        return CheckItem(name="redis persistence", detail="append-only file")
    level = "failed" if required else "warning"
    detail = "no append-only file: a restart loses the queue and what was answered"
    hint = "redis-cli config set appendonly yes, and in its configuration: appendonly yes"
    return CheckItem(name="redis persistence", level=level, detail=detail, hint=hint)


async def _eviction(redis: Any) -> CheckItem:
    policy = str((await redis.info("memory")).get("maxmemory_policy") or "noeviction")
    if policy == "noeviction":
        return CheckItem(name="redis eviction", detail="none: a full Redis refuses, and says so")
    detail = f"maxmemory-policy {policy}: a full Redis would forget jobs silently"
    hint = "redis-cli config set maxmemory-policy noeviction"
    return CheckItem(name="redis eviction", level="warning", detail=detail, hint=hint)


async def _slack(config: Config, environ: Mapping[str, str]) -> AsyncIterator[CheckItem]:
    """Look for Slack's secrets, and ask Slack whether it takes its tokens."""
    intake = config.slack.intake
    if intake is Intake.OFF:
        yield CheckItem(name="slack", detail="off")
        return
    missing = False
    for name in slack_app.needed(intake):
        try:
            slack_app.secret_of(environ, name)
        except SpawnerError as error:
            missing = True
            yield _failed("slack", error.message, error.hint)
    if missing:
        return
    client = slack_app.make_client(config, environ)
    try:
        known = await slack_app.whom_slack_knows(client)
        if intake is Intake.SOCKET:
            await open_address(client, slack_app.secret_of(environ, slack_app.APP_TOKEN))
    except SpawnerError as error:
        yield _failed("slack", f"{error.cause}: {error.message}", error.hint)
        return
    yield CheckItem(name="slack", detail=f"{intake}; we are {known}")


def _handed_on(config: Config, environ: Mapping[str, str]) -> list[CheckItem]:
    """Look for what projects want handed on."""
    items = []
    for name, project in sorted(config.projects.items()):
        there = [variable for variable in project.forward if environ.get(variable)]
        detail = f"hands on: {', '.join(there)}" if there else "hands on no secret"
        items.append(CheckItem(name=f"project {name}", detail=detail))
    return items


async def _engine(config: Config, environ: Mapping[str, str]) -> AsyncIterator[CheckItem]:
    try:
        spawner = await open_spawner(config, environ)
    except SpawnerError as error:
        yield _failed("engine", error.message, error.hint)
        return
    try:
        for item in await spawner.check():
            yield item
        for item in await _elsewhere(spawner):
            yield item
        async for item in _strangers(spawner, config):
            yield item
        for name in sorted(config.projects):
            yield await _planned(spawner, config, name)
    except SpawnerError as error:
        yield _failed("engine", error.message, error.hint)
    finally:
        await spawner.close()


async def _elsewhere(spawner: AsyncSpawner) -> list[CheckItem]:
    """Look for places other than the present one where jobs have not ended."""
    items = []
    for found in await spawner.places():
        if found.here or not found.unfinished:
            continue
        detail = f"{found.unfinished} jobs live at another engine, {found.place.title}"
        hint = (
            "connect a dispatcher to it; if it is gone for good:"
            f" spawnery-dispatcher places --give-up {found.key}"
        )
        items.append(CheckItem(name="places", level="warning", detail=detail, hint=hint))
    return items


async def _strangers(spawner: AsyncSpawner, config: Config) -> AsyncIterator[CheckItem]:
    """Look for a job of another dispatcher of the same name."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - slow to import

    redis = connect(config.redis.url)
    store = Store(redis, Keys(config.instance), keep_seconds=config.keep_seconds)
    try:
        for status in await spawner.list():
            if await is_stranger(store, config, status):
                yield _failed("instance", in_words(config, status), HINT)
                return
    except RedisError:
        return  # Said already.
    finally:
        await redis.aclose()


async def _planned(spawner: AsyncSpawner, config: Config, name: str) -> CheckItem:
    """Look whether the engine would take a job of a project."""
    ask = Ask(
        job_id=f"{name[:40]}-check",
        project=name,
        issue=1,
        text=f"fix #1 in {name}",
        user="check",
        place=Place(platform=Platform.CHAT, channel="check"),
        asked_at=_SAMPLE,
    )
    try:
        plan = await spawner.plan(job_spec(ask, config.projects[name], config))
    except SpawnerError as error:
        return _failed(f"project {name}", f"cannot run: {error.message}", error.hint)
    problems = "; ".join(plan.plan.problems)
    if problems:
        return _failed(f"project {name}", f"cannot run: {problems}")
    return CheckItem(name=f"project {name}", detail="; ".join(plan.plan.notes) or "can run")
