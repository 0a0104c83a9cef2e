"""Who we are to the cluster: certificates, tokens, passwords; found, and found again."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import field, frozen
from spawnery.errors import ConfigurationError, EngineError
from spawnery.model import Secret

_REREAD_SECONDS: Final = 60.0
"""Mounted tokens are replaced at 80 % of their life (kubernetes.io, projected volumes)."""
_AGAIN_SECONDS: Final = 10.0
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


@frozen(kw_only=True)
class Identity:
    """What a request proves itself with.

    Attributes:
        header: Value of the Authorization header; None where the certificate is all.
        certificate, key: Client certificate and key, PEM.
    """

    header: Secret | None = None
    certificate: bytes | None = None
    key: Secret | None = None

    @property
    def anonymous(self) -> bool:
        """Whether it proves nothing."""
        return self.header is None and self.certificate is None


@frozen(kw_only=True)
class Proof:
    """An identity that was found.

    Attributes:
        identity: It.
        seconds: How long it may be used before it is looked for again; None: until it is refused.
    """

    identity: Identity = field(repr=False)
    seconds: float | None = None


class Credentials:
    """Finds the identity, and finds it again when it is used up or refused; thread-safe.

    Args:
        find: Looks for it, for at most so many seconds. Raises ``ConfigurationError``.
    """

    def __init__(self, find: Callable[[float], Proof]) -> None:
        self._find = find
        self._found: Identity | None = None
        self._until: float | None = None
        self._lock = threading.Lock()

    def identity(self, limit: float) -> Identity:
        """Return the identity, looked for again where its time is over.

        Args:
            limit: Seconds that it may take.

        Raises:
            ConfigurationError: It cannot be found.
            EngineError: Another thread looks for it, and it takes longer.
        """
        with self._held(limit):
            over = self._until is not None and time.monotonic() >= self._until
            if self._found is None:
                return self._look(limit)
            if over:
                try:
                    return self._look(limit)
                except ConfigurationError:
                    # The old one may hold a little longer; when it does not, we are told.
                    self._until = time.monotonic() + _AGAIN_SECONDS
            return self._found

    def renew(self, refused: Identity, limit: float) -> bool:
        """Look again, since the cluster refuses an identity; False when there is no other one.

        Args:
            refused: What was refused.
            limit: Seconds that it may take.

        Raises:
            ConfigurationError, EngineError: See ``identity``.
        """
        with self._held(limit):
            if self._found == refused:
                self._look(limit)
            return self._found != refused

    def _look(self, limit: float) -> Identity:
        proof = self._find(limit)
        self._found = proof.identity
        self._until = None if proof.seconds is None else time.monotonic() + proof.seconds
        return self._found

    @contextmanager
    def _held(self, limit: float) -> Iterator[None]:
        if not self._lock.acquire(timeout=limit):
            msg = f"the credentials of the cluster were not there within {limit:.3g} s"
            hint = "the command of the kubeconfig takes too long: kubectl auth whoami"
            raise EngineError(msg, cause="engine.timeout", hint=hint, retryable=True)
        try:
            yield
        finally:
            self._lock.release()


def bearer(token: str, *, where: str) -> Secret:
    """Return the header value of a token.

    Args:
        token: It; white space around it is left out.
        where: Where it comes from, for the error.

    Raises:
        ConfigurationError: It is empty, or no token at all. The text does not quote it.
    """
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        what = "holds characters that no token has" if token else "is empty"
        msg = f"the token of {where} {what}"
        raise ConfigurationError(msg, hint="kubectl auth whoami")
    return Secret(f"Bearer {token}")


def basic(user: str, password: str) -> Secret:
    """Return the header value of a user with a password (RFC 7617)."""
    joined = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Secret(f"Basic {joined}")


def of_token_file(path: Path) -> Proof:
    """Read the token of a file, to be read again each minute.

    Raises:
        ConfigurationError: It cannot be read, or holds no token.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        msg = f"the token file {path} cannot be read: {reason}"
        raise ConfigurationError(msg, hint=f"ls -l {path}") from None
    header = bearer(text, where=f"the file {path}")
    return Proof(identity=Identity(header=header), seconds=_REREAD_SECONDS)
