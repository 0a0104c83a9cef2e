"""Gets one call through: again where ``retry`` allows it, with new credentials where it must."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

from attrs import frozen
from spawnery.errors import EngineUnreachable, SpawnerError

from spawnery_kubernetes.access import Access
from spawnery_kubernetes.credentials import Identity
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.retry import Attempts

T = TypeVar("T")

_DENIALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_READY_SECONDS: Final = 5.0


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

    def get_through(
        self, method: str, path: str, once: Callable[[Identity, float], T], *, timeout: float
    ) -> T:
        """Make attempts until one succeeds, or no other one may be made.

        Args:
            method: Of the request.
            path: Of the request.
            once: Makes one attempt as somebody, for at most so many seconds.
            timeout: Limit in seconds for all of it.

        Raises:
            ApiError, SpawnerError: What the last attempt raised. A 401 is ``EngineDenied``.
        """
        attempts, renewed = Attempts(method, timeout), False
        while True:
            identity = self.access.identity(attempts.left())
            try:
                return once(identity, attempts.left())
            except ApiError as error:
                trouble: ApiError | SpawnerError = error
            except SpawnerError as error:
                trouble = error
            if isinstance(trouble, ApiError) and trouble.status in _DENIALS:
                unknown = trouble.status == HTTPStatus.UNAUTHORIZED and not renewed
                if unknown and self.access.credentials.renew(identity, attempts.left()):
                    renewed = True
                    continue
                trouble = self._believed(trouble, f"{method} {path}", identity, attempts.left())
            pause = attempts.pause(trouble)
            if pause is None or self.wait(pause):
                raise trouble

    def _believed(
        self, error: ApiError, what: str, identity: Identity, left: float
    ) -> ApiError | SpawnerError:
        """Tell a denial from what a server says that does not know yet who may do what.

        After its start it denies everything until it has read its rules; it does nothing then.
        """
        if not self.is_ready(identity, min(left, _READY_SECONDS)):
            msg = f"the API server is not ready yet: it answered {what} with {error.status}"
            msg = f"{msg}: {error.message} ({self.access.told})"
            hint = "how it is: kubectl get --raw '/readyz?verbose'"
            return EngineUnreachable(msg, hint=hint)
        return in_words(error, what) if error.status == HTTPStatus.UNAUTHORIZED else error
