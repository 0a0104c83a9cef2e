"""Which of the known places an engine is: pure.

Two places are the same when their ids are equal; when one has no id, when their endpoints are. What
is known is kept by endpoint: the rows of one engine that was reached in two ways share its id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from attrs import frozen

from spawnery.contract.requests import Place

_KEY_DIGITS = 8


@frozen(kw_only=True)
class PlaceRow:
    """What is kept of an endpoint.

    Attributes:
        key: Names it.
        place: Endpoint, id and title as last seen.
        seen_at: When that was.
    """

    key: str
    place: Place
    seen_at: datetime


def key_of(place: Place) -> str:
    """Return the key of a place that is new: the same in every process that sees it first."""
    text = f"{place.endpoint}\n{place.id or ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def known_row(rows: Iterable[PlaceRow], place: Place) -> PlaceRow | None:
    """Return what is known of this very endpoint of a place; None where it is new.

    A row without an id belongs to whatever id its endpoint shows first. An endpoint that does not
    say its id is taken for what it was when it was last seen.
    """
    here = [row for row in rows if row.place.endpoint == place.endpoint]
    if place.id is None:
        return max(here, key=lambda row: row.seen_at, default=None)
    same = [row for row in here if row.place.id == place.id]
    open_ = [row for row in here if row.place.id is None]
    return next(iter(same + open_), None)
