"""What plan shows of a job, and what the cluster says to it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import yaml
from kube_case import KubeCase, sh
from spawnery.errors import EngineUnreachable
from spawnery.model import MASK, SecretRef, Security
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

JOB = ("--image", "spawnery-test/busybox:1", "--job-id", "shown", "--", "sh", "-c", "echo $X")


def test_the_plan_is_the_job_that_is_sent(case: KubeCase) -> None:
    """But for the name of the Secret, and what the cluster adds."""
    spec = sh("sleep 600", job_id="one", secrets={"TOKEN": SecretRef.literal("a value")})
    with case.open() as spawner:
        plan = spawner.plan(spec).plan
        spawner.spawn(spec)
    planned, sent = json.loads(json.dumps(plan.engine_object)), case.job("one")
    assert planned["metadata"]["name"] == sent["metadata"]["name"]
    assert planned["metadata"]["labels"].items() <= sent["metadata"]["labels"].items()
    named = sent["metadata"]["annotations"]["spawnery.dev/secrets"]
    shown = planned["metadata"]["annotations"]["spawnery.dev/secrets"]
    text = json.dumps(planned["spec"]["template"]["spec"]["containers"]).replace(shown, named)
    (container,) = sent["spec"]["template"]["spec"]["containers"]
    (mine,) = json.loads(text)
    del mine["resources"]  # the cluster writes quantities in its own way
    assert mine == {key: container[key] for key in mine}
    assert any("TOKEN" in note and "Secret" in note for note in plan.notes)


def test_a_plan_asks_nothing_and_tells_no_secret(led: KubeCase, proxy: TransportProxy) -> None:
    """For a person it is YAML that kubectl would take."""
    value = secrets.token_hex(12)
    shown = led.cli("plan", "--secret", "OWN", *JOB, OWN=value)
    assert shown.returncode == 0, shown.stderr
    assert value not in shown.stdout
    place = f"/api/v1/namespaces/{led.namespace}"
    assert [seen for seen in proxy.seen() if seen.path != place] == []
    manifest = yaml.safe_load(shown.stdout.split("\n\n", 1)[1])
    assert manifest["kind"] == "Job"
    assert manifest["metadata"]["namespace"] == led.namespace
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == "echo $$X"
    assert MASK in shown.stdout
    assert "HOME /home/job: Kubernetes does not know the image's own (--env HOME=PATH)" in (
        shown.stdout
    )


def test_the_cluster_takes_it(led: KubeCase, proxy: TransportProxy) -> None:
    """A dry run of the Job and of its pod: they are checked, and nothing is made."""
    done = led.cli("--json", "plan", "--validate", *JOB)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("dry run" in note for note in json.loads(done.stdout)["plan"]["notes"])
    posts = [seen.path for seen in proxy.seen() if seen.method == "POST"]
    assert posts
    assert all("dryRun=All" in path for path in posts)
    assert {path.partition("?")[0].split("/")[-1] for path in posts} == {"jobs", "pods"}
    assert led.objects() == set()


def test_what_pod_security_will_refuse_is_a_problem(case: KubeCase) -> None:
    """The Job itself would be taken, its pod never: the warning is told as a problem."""
    with case.open() as spawner:
        plan = spawner.plan(sh("true", security=Security.BASELINE), validate=True).plan
    (problem,) = plan.problems
    assert "PodSecurity" in problem
    assert "runAsNonRoot" in problem
    done = case.cli("plan", "--validate", "--security", "baseline", *JOB)
    assert done.returncode == 1
    assert "PodSecurity" in done.stdout


def test_what_the_cluster_refuses_is_a_problem(case: KubeCase) -> None:
    """In its own words, with the field."""
    patch = {"spec": {"template": {"spec": {"dnsPolicy": "Sometimes"}}}}
    spec = sh("true", options={"kubernetes": {"patch": patch}})
    with case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as spawner:
        (problem,) = spawner.plan(spec, validate=True).plan.problems
    assert "dnsPolicy" in problem


def test_a_name_that_is_taken_is_no_problem_of_the_job(case: KubeCase) -> None:
    """The plan of a job that runs already can be checked too."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="one"))
        plan = spawner.plan(sh("sleep 600", job_id="one"), validate=True).plan
        assert plan.problems == ()
        assert any("exists" in note for note in plan.notes)
        spawner.remove("one", force=True)


def test_without_a_cluster(case: KubeCase) -> None:
    """A plan is made without one; to have it checked is then an error, not a problem of the job."""
    server = {"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}]}
    config = json.loads(Path(case.environ["SPAWNERY_KUBERNETES_KUBECONFIG"]).read_bytes())
    path = case.folder / "nowhere"
    path.write_text(json.dumps(config | server))
    variables = {"SPAWNERY_KUBERNETES_KUBECONFIG": str(path), "SPAWNERY_IO_TIMEOUT_SECONDS": "2"}
    with case.open(**variables) as spawner:
        assert spawner.plan(sh("true")).plan.problems == ()
        with pytest.raises(EngineUnreachable):
            spawner.plan(sh("true"), validate=True)
