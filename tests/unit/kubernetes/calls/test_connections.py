"""Connections that are kept for the next request."""

from __future__ import annotations

from descriptors import high_pair
from spawnery_kubernetes.access.credentials import Credentials, Identity, Proof
from spawnery_kubernetes.access.resolve import Access
from spawnery_kubernetes.calls.connections import pools_of
from urllib3.util.connection import is_connection_dropped


def test_a_kept_connection_among_very_many_descriptors() -> None:
    """Also one over 1023 is seen to be open, and to be closed by the server."""
    nobody = Credentials(lambda _limit: Proof(identity=Identity()))
    access = Access(server="http://127.0.0.1", credentials=nobody, namespace="n", told="a test")
    with high_pair() as (here, there):
        connection = pools_of(access, None).connection_from_url(access.server)._new_conn()
        connection.sock = here
        assert not is_connection_dropped(connection)
        there.close()
        assert is_connection_dropped(connection)
