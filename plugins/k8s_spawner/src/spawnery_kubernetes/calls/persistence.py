"""Gets one call through: again where ``retry`` allows it, with new credentials where it must."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

from attrs import field, frozen
from spawnery.contract import Cancellation
from spawnery.errors import EngineUnreachable, SpawnerError

from spawnery_kubernetes.access.credentials import Identity
from spawnery_kubernetes.access.resolve import Access
from spawnery_kubernetes.calls.retry import Attempts
from spawnery_kubernetes.errors import ApiError, Unanswered, in_words

T = TypeVar("T")

_READY_SECONDS: Final = 5.0
_DOUBT_SECONDS: Final = 8.0
"""How long a server is doubted that denies what it allowed: it may not have read its rules."""


@frozen(kw_only=True)
class Persistence:
    """What is tried before a call has failed.

    Attributes:
        access: Who we are.
        is_ready: Asks the server whether it is ready, for at most so many seconds.
        wait: Waits so many seconds; True where there is no use in going on.
    """

    access: Access
    is_ready: Callable[[Identity, float], bool]
    wait: Callable[[float], bool]
    allowed: set[str] = field(factory=set, init=False)

    def get_through(
        self,
        method: str,
        path: str,
        once: Callable[[Identity, float], T],
        *,
        timeout: float,
        cancellation: Cancellation | None = None,
    ) -> T:
        """Make attempts until one succeeds, or no other one may be made.

        Args:
            method: Of the request.
            path: Of the request.
            once: Makes one attempt as somebody, for at most so many seconds.
            timeout: Limit in seconds for all of it.
            cancellation: Ends the attempts.

        Raises:
            ApiError, SpawnerError: What the last attempt raised; where a GET was cut off by the
                limit, what it was answered before. A 401 is ``EngineDenied``.
        """
        attempts, right = Attempts(method, timeout), _right(method, path)
        denials = _Denials(self, f"{method} {path}", allowed=right in self.allowed)
        answered: Exception | None = None
        while True:
            identity = self.access.identity(attempts.left())
            try:
                result = once(identity, attempts.left())
            except ApiError as error:
                answered = trouble = denials.judged(error, identity, attempts.left())
                if trouble is None and attempts.over:
                    raise denials.in_words(error) from None
            except SpawnerError as error:
                trouble = error
            else:
                self.allowed.add(right)
                return result
            if trouble is None:
                continue
            pause = attempts.pause(trouble)
            wait = self.wait if cancellation is None else cancellation.wait
            if pause is None or wait(pause):
                cut_off = isinstance(trouble, Unanswered) and attempts.over
                # The earlier answer to a GET tells more than that the limit was reached.
                raise answered if answered and cut_off and method == "GET" else trouble


class _Denials:
    """The denials of one call, of which the first is not believed.

    Args:
        persistence: Who asks.
        what: The request, for a person.
        allowed: Whether the server has allowed such a request before.
    """

    def __init__(self, persistence: Persistence, what: str, *, allowed: bool) -> None:
        self._persistence = persistence
        self._what = what
        self._doubt_seconds = _DOUBT_SECONDS if allowed else 0.0
        self._denied_at: float | None = None
        self._renewed = False
        self._ready = False

    def judged(
        self, error: ApiError, identity: Identity, left: float
    ) -> ApiError | SpawnerError | None:
        """Return what an answer is worth; None where the request is to be sent again at once."""
        if not error.of_rights:
            return error
        access, unknown = self._persistence.access, error.status == HTTPStatus.UNAUTHORIZED
        if unknown and not self._renewed:
            self._renewed = access.credentials.renew(identity, left)
            if self._renewed:
                return None
        now = time.monotonic()
        self._denied_at = now if self._denied_at is None else self._denied_at
        if self._ready and now - self._denied_at >= self._doubt_seconds:
            return self.in_words(error)
        # After its start a server denies everything until it has read its rules. It may have done
        # so since it answered: what it says when it is ready counts.
        before, self._ready = self._ready, True
        if not before:
            self._ready = self._persistence.is_ready(identity, min(left, _READY_SECONDS))
            if self._ready:
                return None
        msg = f"the API server is not ready yet: it answered {self._what} with {error.status}"
        msg = f"{msg}: {error.message} ({access.told})"
        return EngineUnreachable(msg, hint="how it is: kubectl get --raw '/readyz?verbose'")

    def in_words(self, error: ApiError) -> ApiError | SpawnerError:
        """Return the error of a denial that is believed."""
        unknown = error.status == HTTPStatus.UNAUTHORIZED
        return in_words(error, self._what) if unknown else error


def _right(method: str, path: str) -> str:
    """Return what a request needs a right for: the verb and the kind, not the object."""
    _, mark, rest = path.partition("/namespaces/")
    kinds = rest.split("/")[1:]
    return f"{method} {path}" if not mark else f"{method} {len(kinds)} {kinds[0] if kinds else ''}"
