"""The conformance kit: every promise as tests, for the author of a spawner.

    from spawnery.testing import SpawnerContract

    class TestMySpawner(SpawnerContract):
        __test__ = True

        @pytest.fixture
        def bench(self, tmp_path):
            made = MyBench(tmp_path)     # a subclass of spawnery.testing.Bench
            yield made
            made.close()

Run it with ``pytest -p spawnery.testing.report --spawnery-report``. What the spawner does not
declare as a capability is tested to be refused.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("spawnery.testing.suites")

from spawnery.testing.suites.p1_identity import Identity  # noqa: E402 - rewritten at import
from spawnery.testing.suites.p2_proof import Proof  # noqa: E402
from spawnery.testing.suites.p3_evidence import Evidence  # noqa: E402
from spawnery.testing.suites.p3_outcome import OneOutcome  # noqa: E402
from spawnery.testing.suites.p4_words import Words  # noqa: E402
from spawnery.testing.suites.p5_refusal import Refusal  # noqa: E402
from spawnery.testing.suites.p6_interrupted import Interrupted  # noqa: E402
from spawnery.testing.suites.p6_leaks import Leaks  # noqa: E402
from spawnery.testing.suites.p7_secrets import Secrets  # noqa: E402
from spawnery.testing.suites.p8_clocks import Clocks  # noqa: E402
from spawnery.testing.suites.p8_crowds import Crowds  # noqa: E402
from spawnery.testing.suites.p8_deadlines import Deadlines  # noqa: E402
from spawnery.testing.suites.p9_light import Light  # noqa: E402
from spawnery.testing.suites.streams import Streams  # noqa: E402


class SpawnerContract(
    Identity,
    Proof,
    OneOutcome,
    Evidence,
    Words,
    Refusal,
    Leaks,
    Interrupted,
    Secrets,
    Deadlines,
    Clocks,
    Crowds,
    Light,
    Streams,
):
    """All tests; subclass it, set ``__test__ = True`` and supply the fixture ``bench``."""

    __test__ = False
