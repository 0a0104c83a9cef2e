"""Image references, as the docker command reads them.

``docker.utils.parse_repository_tag`` and ``docker.auth.resolve_repository_name`` (docker package,
7.1 and 7.2) take any text apart; the docker command (20.10, 28.2) and we refuse what is no
reference before anything is sent. tests/unit/docker/images/test_reference_differences.py shows it.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen
from spawnery.errors import SpawnFailed

_ID: Final = re.compile(r"(sha256:)?[0-9a-f]{64}\Z")
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:[a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_NAMED: Final = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,}))?\Z"
)
"""The grammar of github.com/distribution/reference, regexp.go."""
_LONGEST: Final = 255
"""Of a repository's name (the same package, reference.go, NameTotalLengthMax)."""
DOCKER_HUB: Final = "docker.io"


@frozen(kw_only=True)
class Reference:
    """An image reference in its parts.

    Attributes:
        text: As the job names it.
        repository: With its registry, without tag and digest; an id's is the id.
        tag: The tag, None where none is named.
        digest: ``sha256:...``, None where none is named.
        is_id: Whether it is the id of an image, which no registry knows.
    """

    text: str
    repository: str
    tag: str | None = None
    digest: str | None = None
    is_id: bool = False

    @classmethod
    def parse(cls, text: str, *, job_id: str | None = None) -> Reference:
        """Take a reference apart.

        Raises:
            SpawnFailed: It is none (``image.invalid``).
        """
        if _ID.match(text):
            return cls(text=text, repository=text, is_id=True)
        found = _NAMED.match(text)
        if found is None or len(found["repository"]) > _LONGEST:
            shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
            msg = f"{shown!r} is no image reference"
            hint = (
                "write it as [registry[:port]/]name[:tag], the name in lower case"
                f" and of at most {_LONGEST} characters"
            )
            raise SpawnFailed(msg, cause="image.invalid", hint=hint, job_id=job_id)
        return cls(
            text=text, repository=found["repository"], tag=found["tag"], digest=found["digest"]
        )

    @property
    def registry(self) -> str:
        """The registry that it is pulled from; the first part is one when it looks like a host."""
        first, slash, _ = self.repository.partition("/")
        if slash and (first == "localhost" or "." in first or ":" in first):
            return first
        return DOCKER_HUB

    @property
    def host(self) -> str:
        """The registry's host name or address without its port."""
        registry = "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry
        return re.sub(r":[0-9]+\Z", "", registry).strip("[]")

    @property
    def version(self) -> str:
        """What is asked of the registry: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"
