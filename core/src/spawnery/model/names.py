"""Names that every engine accepts: job ids, object names, labels, environment variables.

Grammars: DNS-1123 label (RFC 1123, at most 63 characters) and Kubernetes' label keys and values
(kubernetes.io/docs/concepts/overview/working-with-objects/labels).
"""

from __future__ import annotations

import os
import re
from typing import Final, NoReturn

from spawnery.errors import InvalidSpec

MAX_JOB_ID: Final = 52
"""So that a prefix of ten characters and a hyphen fit 63."""
MAX_PREFIX: Final = 10
MAX_LABEL: Final = 63
RESERVED_LABELS: Final = "spawnery.dev/"
RESERVED_ENV_PREFIX: Final = "SPAWNERY_JOB_"
"""Begins the variables that a spawner sets in its jobs."""
_MAX_DOMAIN: Final = 253
_HASH_CHARACTERS: Final = 12
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without letters and digits that are mistaken for each other; 32 of them."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")
_PREFIX = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?\Z")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z")
_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _refuse(field: str, value: str, problem: str, hint: str | None = None) -> NoReturn:
    short = value if len(value) <= MAX_LABEL else value[:MAX_LABEL] + "..."
    msg = f"{field}: {problem}, not {short!r}"
    raise InvalidSpec(msg, field=field, hint=hint)


def _encode(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def generate_job_id() -> str:
    """Make up a job id: a ``j`` and eleven characters that hold 55 random bits."""
    return "j" + _encode(int.from_bytes(os.urandom(7), "big"), 11)


def check_job_id(job_id: str, *, field: str = "job_id") -> str:
    """Return the job id when it is a DNS-1123 label of at most 52 characters.

    Raises:
        InvalidSpec: It is not; the message says where.
    """
    allowed = "lower-case letters, digits and hyphens"
    if not isinstance(job_id, str):
        kind = "None" if job_id is None else f"a {type(job_id).__name__}"
        msg = f"{field}: must be text, not {kind}"
        raise InvalidSpec(msg, field=field)
    if len(job_id) > MAX_JOB_ID:
        problem = f"must have at most {MAX_JOB_ID} characters (it has {len(job_id)})"
        hint = "spawnery.job_id_from(key) makes a job id out of any key"
        _refuse(field, job_id, problem, hint)
    if _LABEL.match(job_id):
        return job_id
    for position, character in enumerate(job_id, 1):
        if not re.match(r"[a-z0-9-]", character):
            problem = f"must consist of {allowed} (found {character!r} at position {position})"
            _refuse(field, job_id, problem, f"try {job_id_from(job_id)}")
    _refuse(field, job_id, f"must consist of {allowed} and begin and end with a letter or digit")


def check_prefix(prefix: str) -> str:
    """Return the prefix of object names when it is allowed.

    Raises:
        InvalidSpec: It is not a DNS-1123 label of at most ten characters that begins with a letter.
    """
    if len(prefix) > MAX_PREFIX or not _PREFIX.match(prefix):
        problem = (
            f"must be at most {MAX_PREFIX} lower-case letters, digits and hyphens,"
            " a letter first and no hyphen last"
        )
        _refuse("name_prefix", prefix, problem)
    return prefix


def object_name(prefix: str, job_id: str) -> str:
    """Return the name of a job's object, at most 63 characters."""
    return f"{prefix}-{job_id}"


def job_id_from(key: str, *, readable: str | None = None) -> str:
    """Turn any key into a job id: a readable part and a hash of the whole key.

    The same key gives the same id, and another key another one (60 bits of SHA-256).

    Args:
        key: Any text, for example ``T024/C012/1700000000.000100``.
        readable: What the readable part is made of; the key itself when None.
    """
    import hashlib  # noqa: PLC0415 - costs at import

    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    tail = _encode(int.from_bytes(digest[:8], "big"), _HASH_CHARACTERS)
    source = key if readable is None else readable
    slug = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")
    slug = slug[: MAX_JOB_ID - _HASH_CHARACTERS - 1].strip("-")
    return f"{slug}-{tail}" if slug else f"j{tail}"


def label_value(text: str) -> str:
    """Turn any text into a label value; a valid one stays, a changed one gets a hash."""
    if len(text) <= MAX_LABEL and _LABEL_VALUE.match(text):
        return text
    import hashlib  # noqa: PLC0415 - costs at import

    tail = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[: MAX_LABEL - _HASH_CHARACTERS - 1]
    slug = slug.strip("._-")
    return f"{slug}-{tail}" if slug else tail


def check_env_key(key: str, *, field: str) -> str:
    """Return the name of an environment variable when it is one that every shell knows.

    Raises:
        InvalidSpec: It is not.
    """
    if not _ENV_KEY.match(key):
        _refuse(field, key, "a name must be letters, digits and underscores, no digit first")
    return key


def check_label_key(key: str, *, field: str) -> str:
    """Return a label key when it fits Kubernetes' grammar and is not one of ours.

    Raises:
        InvalidSpec: It does not.
    """
    if key.startswith(RESERVED_LABELS):
        _refuse(field, key, f"labels under {RESERVED_LABELS} are Spawnery's own: use another name")
    domain, slash, name = key.rpartition("/")
    if slash and (len(domain) > _MAX_DOMAIN or not _DOMAIN.match(domain)):
        _refuse(field, key, "what is before the slash must be a DNS name such as example.com")
    if not name or len(name) > MAX_LABEL or not _LABEL_VALUE.match(name):
        _refuse(field, key, f"a label name must be 1 to {MAX_LABEL} of A-Z a-z 0-9 . _ -")
    return key


def check_label_value(value: str, *, field: str) -> str:
    """Return a label value when it fits Kubernetes' grammar.

    Raises:
        InvalidSpec: It does not.
    """
    if len(value) > MAX_LABEL or not _LABEL_VALUE.match(value):
        problem = (
            f"must be at most {MAX_LABEL} of A-Z a-z 0-9 . _ -, a letter or digit at both ends"
        )
        _refuse(field, value, problem)
    return value
