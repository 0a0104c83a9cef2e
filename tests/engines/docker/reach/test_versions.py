"""The engine is upgraded or downgraded while a spawner lives."""

from __future__ import annotations

import pytest
from docker_bare import Bare
from docker_case import PATIENCE, DockerCase, sh
from spawnery.errors import EngineUnreachable
from spawnery.model import JobState
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")


def test_a_version_that_the_engine_no_longer_speaks(case: DockerCase) -> None:
    """Each kind of request is sent again with a version that the engine does speak."""
    with Bare(case) as bare:
        client = bare.spawner._parts._client._client()
        bare.spawner.list_jobs()
        for ask in (
            bare.spawner.list_jobs,
            lambda: bare.watch().close(),
            lambda: bare.spawner.spawn(bare.asked()),
        ):
            client._version = "1.999"
            ask()
        assert bare.status().state is JobState.RUNNING


def test_an_engine_that_we_cannot_speak_to(led: DockerCase, proxy: TransportProxy) -> None:
    """It is an error that may pass and no end of a job, whichever step it meets."""
    with led.open() as spawner:
        assert spawner.list() == []
        for step in ("/containers/create", "/start"):
            proxy.arm(
                Rule(
                    Fault.ERROR_500,
                    status=400,
                    path=step,
                    body=b'{"message": "client version 1.41 is too old. '
                    b'Minimum supported API version is 1.99"}',
                )
            )
            with pytest.raises(EngineUnreachable) as caught:
                spawner.spawn(sh("exit 3", job_id="one"))
            assert caught.value.cause == "engine.too_new"
            assert caught.value.retryable
            proxy.clear()
        spawner.spawn(sh("exit 3", job_id="one"))
        assert spawner.wait("one", PATIENCE).exit_code == 3
