"""Connections that are kept for the next request."""

from __future__ import annotations

from descriptors import high_pair
from spawnery_docker.client import _Connection
from spawnery_docker.endpoint import Endpoint


def test_a_kept_connection_among_very_many_descriptors():
    """Also one over 1023 is seen to be open, and to be closed by the engine."""
    endpoint = Endpoint(kind="unix", address="/nowhere")
    with high_pair() as (here, there):
        connection = _Connection(endpoint)
        connection.sock = here
        assert not connection.dropped
        there.close()
        assert connection.dropped
