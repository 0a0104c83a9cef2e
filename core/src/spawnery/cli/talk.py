"""Our own log lines, as talk on stderr."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spawnery.cli.app import App


class _Talk(logging.Handler):
    """Says warnings of the package as warnings of the command."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        try:
            text = record.getMessage()
            if record.levelno >= logging.WARNING:
                self._app.warn(text)
            else:
                self._app.tell(text)
        except Exception:  # noqa: BLE001 - logging's own way with what fails here
            self.handleError(record)


def log_to_stderr(app: App) -> None:
    """Send the package's log to stderr: warnings, and with ``-v`` everything."""
    logger = logging.getLogger("spawnery")
    logger.handlers[:] = [_Talk(app)]
    logger.setLevel(logging.DEBUG if app.verbose else logging.WARNING)
    logger.propagate = False
