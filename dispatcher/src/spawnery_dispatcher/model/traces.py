"""W3C trace context (www.w3.org/TR/trace-context): what came in is handed on, else one is begun."""

from __future__ import annotations

import re
import secrets
from typing import Final

_FORM: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


def traceparent_of(given: str) -> str:
    """Return the ``traceparent`` that a job gets: the given one where it is valid."""
    if _FORM.match(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
