"""Structured logs: JSON lines where nobody watches, coloured lines on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from spawnery.model import Masker, Secret

from spawnery_dispatcher.config import Config

_OWN = ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN")


def masker_of(config: Config, environ: Mapping[str, str]) -> Masker:
    """Return what masks every secret that we know: Slack's, Redis', and all that jobs are given."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - once

    names = {*_OWN, *(name for p in config.projects.values() for name in p.forward)}
    values = [environ[name] for name in names if environ.get(name)]
    password = urlsplit(config.redis.url).password
    return Masker(Secret(value) for value in [*values, *([password] if password else [])])


def configure(level: str, masker: Masker) -> Any:
    """Set up structlog and the standard library's logging; returns our logger."""

    def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {k: masker.mask(v) if isinstance(v, str) else v for k, v in event.items()}

    terminal = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("slack_bolt", "slack_sdk", "uvicorn.access", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    return structlog.get_logger("spawnery.dispatcher")
