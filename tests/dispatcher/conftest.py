"""Fixtures of the dispatcher's tests: a Redis of their own."""

from __future__ import annotations

import pytest
from redis_case import RedisServer


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory):
    """One server for all tests of a worker that need some Redis; they use keys of their own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path):
    """A server that a test may crash."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()
