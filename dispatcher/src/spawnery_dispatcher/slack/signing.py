"""Lets in only what Slack has signed, and no request twice (docs.slack.dev, verifying requests).

HMAC-SHA256 over timestamp and raw body, compared in constant time, five minutes at most old. What
was handled is remembered for that window; what failed is not: Slack may deliver it again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from spawnery.model import Secret

from spawnery_dispatcher.store.clock import RedisClock
from spawnery_dispatcher.store.keys import Keys

WINDOW_SECONDS: Final = 300
_HEADERS: Final = ("x-slack-request-timestamp", "x-slack-signature")


class Signatures:
    """Checks requests.

    Args:
        secret: Slack's signing secret.
        redis: Where it is remembered what was handled.
        keys: Of the instance.
        clock: By which a request is fresh or old: that of all dispatchers.
    """

    def __init__(self, secret: Secret, redis: Any, keys: Keys, clock: RedisClock) -> None:
        from slack_sdk.signature import SignatureVerifier  # noqa: PLC0415 - slow to import

        self._verifier = SignatureVerifier(secret.reveal())
        self._redis = redis
        self._keys = keys
        self._clock = clock

    async def valid(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Tell whether a request is from Slack and fresh; malformed headers are not.

        Raises:
            redis.RedisError: It is signed, and Redis does not say how late it is.
        """
        stamp, signature = (headers.get(name, "") for name in _HEADERS)
        if not (stamp.isascii() and stamp.isdigit() and signature.isascii() and signature):
            return False
        try:
            right = self._verifier.generate_signature(timestamp=stamp, body=body) or ""
        except ValueError:
            return False
        if not hmac.compare_digest(right, signature):
            return False
        return abs(await self._clock.seconds() - int(stamp)) <= WINDOW_SECONDS

    async def handled_before(self, headers: Mapping[str, str]) -> bool:
        """Tell whether this very request was handled: it is a replay."""
        return bool(await self._redis.exists(self._key(headers)))

    async def handled(self, headers: Mapping[str, str]) -> None:
        """Remember that a request was handled."""
        await self._redis.set(self._key(headers), "1", ex=2 * WINDOW_SECONDS)

    def _key(self, headers: Mapping[str, str]) -> str:
        signature = headers.get("x-slack-signature", "")
        return self._keys.seen("signature", hashlib.sha256(signature.encode()).hexdigest())
