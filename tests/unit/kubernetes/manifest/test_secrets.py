"""The Secret of one job."""

from __future__ import annotations

import base64

from kube_request import request_of
from spawnery.model import Secret, SecretRef
from spawnery_kubernetes.manifest.secrets import keys_wanted, new_secret_name, secret_of, values_of
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.translate import job_of

SECRETS = {"TOKEN": Secret("päss"), "KEY": SecretRef.engine("existing", "k")}


def test_it_holds_the_values_that_we_hand_over():
    """And nothing of the cluster's own Secrets."""
    asked = request_of(secrets=SECRETS)
    made = secret_of(asked, name="s", namespace="ns", uid="u")
    assert made["data"] == {"TOKEN": base64.b64encode("päss".encode()).decode()}
    assert set(values_of(asked)) == {"TOKEN"}
    assert made["immutable"] is True


def test_it_goes_with_its_job():
    """The Job owns it, without a right on the Job's finalizers."""
    made = secret_of(request_of(secrets=SECRETS), name="s", namespace="ns", uid="u")
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "agentsmith-j1", "u")
    assert owner["blockOwnerDeletion"] is False
    assert made["metadata"]["labels"] == {
        "spawnery.dev/instance": "me",
        "spawnery.dev/job-id": "j1",
    }


def test_its_name_is_never_the_same():
    """A later job under the same id cannot meet an earlier one's Secret."""
    asked = request_of(secrets=SECRETS)
    names = {new_secret_name(asked) for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("agentsmith-j1-") for name in names)


def test_keys_that_a_job_waits_for():
    """Those of its own Secret, as its manifest says."""
    asked = request_of(secrets=SECRETS)
    job = job_of(asked, KubernetesSettings(), namespace="ns", secret="s")
    assert keys_wanted(job, name="s") == {"TOKEN"}
    assert keys_wanted(job, name="existing") == {"k"}
    assert keys_wanted(job, name="other") == set()
