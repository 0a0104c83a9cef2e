"""``kubectl apply -k deploy/kubernetes``: "fix #58" starts a Job, and is answered."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dispatcher_case import until
from kube_images import load
from kubectl import Kubectl
from redis_case import free_port
from service_images import AGENT, DISPATCHER, REDIS, make_images
from slack_server import SECRET, TOKEN, Message, SlackServer

pytestmark = [
    pytest.mark.engine("docker", "kubernetes"),
    pytest.mark.group("services"),
    pytest.mark.timeout(900),
]

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "kubernetes"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - pods do not reach the loopback interface
PLANTED = "planted-token-0123456789abcdef"
OURS, JOBS = "spawnery-dispatcher", "spawnery"
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - {deploy}
configMapGenerator:
  - name: dispatcher
    namespace: {ours}
    behavior: merge
    files:
      - dispatcher.toml
secretGenerator:
  - name: dispatcher
    namespace: {ours}
    literals:
      - SLACK_BOT_TOKEN={token}
      - SLACK_SIGNING_SECRET={secret}
      - GITHUB_TOKEN={planted}
      - OPENAI_API_KEY=
"""


class Town:
    """The deployment in the cluster, and Slack on this machine."""

    def __init__(self, kubectl: Kubectl, slack: SlackServer) -> None:
        self.kubectl = kubectl
        self.slack = slack

    @contextmanager
    def door(self) -> Iterator[int]:
        """Forward a local port to the dispatcher's pod; yields the port."""
        port = free_port()
        words = ("port-forward", "-n", OURS, "deployment/dispatcher", f"{port}:8080")
        command = ["kubectl", "--kubeconfig", self.kubectl.kubeconfig, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            assert run.stdout is not None
            said = run.stdout.readline()
            assert b"Forwarding" in said, said
            try:
                yield port
            finally:
                run.terminate()

    def rolled_out(self) -> None:
        """Wait until Redis and the dispatcher are ready."""
        for name in ("statefulset/redis", "deployment/dispatcher"):
            self.kubectl("rollout", "status", name, "-n", OURS, "--timeout=170s")

    def message(self, issue: int) -> Message:
        """Return the one message of an issue's job."""

        def look() -> list[Message]:
            return [m for m in self.slack.of_bot(event="spawnery_job") if f"#{issue} " in m.text]

        found = until(look, why=f"the message of #{issue}", instead=self.log)
        assert len(found) == 1
        return found[0]

    def press(self, port: int, message: Message) -> None:
        """Answer the agent's question."""
        until(
            lambda: '"text": "main"' in message.words(),
            why="the agent's question",
            instead=lambda: message.words() + self.log(),
        )
        until(
            lambda: self.slack.deliver_form(port, self.slack.press(message, "main")).status == 200,
            why="the button is taken",
        )

    def log(self) -> str:
        """Return the dispatcher's log."""
        return self.kubectl.run("logs", "-n", OURS, "deployment/dispatcher").stdout

    def objects(self) -> list[str]:
        """Name the jobs' Jobs, pods and Secrets."""
        found = self.kubectl.get("jobs,pods,secrets", "-n", JOBS)["items"]
        return [f"{item['kind']}/{item['metadata']['name']}" for item in found]


@pytest.fixture(scope="module")
def town(kubeconfig, tmp_path_factory):
    """The deployment, ready."""
    kubectl = Kubectl(kubeconfig)
    make_images()
    for image in (DISPATCHER, AGENT, REDIS):
        load(kubectl, image)
    folder = tmp_path_factory.mktemp("overlay")
    nodes = kubectl.get("nodes")["items"]
    addresses = [a for node in nodes for a in node["status"].get("addresses", ())]
    address = next(a["address"] for a in addresses if a["type"] == "InternalIP")
    with SlackServer(EVERYWHERE) as slack:
        example = (DEPLOY / "dispatcher" / "dispatcher.toml").read_text()
        api = f'api_url = "http://{address}:{slack.port}/api/"'
        (folder / "dispatcher.toml").write_text(
            example.replace('intake = "events"', f'intake = "events"\n{api}')
        )
        values = {"token": TOKEN, "secret": SECRET, "planted": PLANTED, "ours": OURS}
        deploy = os.path.relpath(DEPLOY, folder.resolve())
        (folder / "kustomization.yaml").write_text(OVERLAY.format(deploy=deploy, **values))
        made = Town(kubectl, slack)
        try:
            kubectl("apply", "-k", str(folder))
            made.rolled_out()
            yield made
        finally:
            kubectl("delete", "-k", str(folder), "--ignore-not-found", "--timeout=120s")


def test_fix_on_kubernetes(town):
    """The words in the thread are those of Compose; the Job has its secrets, and goes when done."""
    slack, kubectl = town.slack, town.kubectl
    with town.door() as port:
        event = slack.say("fix #58")
        assert slack.deliver(port, event).status == 200
        message = town.message(58)
        assert message.thread_ts == event["event"]["ts"]
        job_id = message.metadata["event_payload"]["job_id"]
        until(lambda: '"text": "main"' in message.words(), why="the question", instead=town.log)
        job = kubectl.get("job", f"agentsmith-{job_id}", "-n", JOBS)
        container = job["spec"]["template"]["spec"]["containers"][0]
        env = {item["name"]: item for item in container["env"]}
        assert env["REDIS_URL"]["value"] == f"redis.{OURS}.svc:6379"
        assert "secretKeyRef" in env["GITHUB_TOKEN"]["valueFrom"]
        assert not [name for name in env if name.endswith("_API_KEY")]
        assert "Which branch shall I work on?" in message.words()
        town.press(port, message)
        until(lambda: ": done" in message.text, why="the answer", instead=town.log)
    assert "fixed #58" in message.words()
    assert "https://example.com/pull/58" in message.words()
    until(
        lambda: not any(job_id in name for name in town.objects()),
        why="nothing is left",
        instead=town.objects,
    )
    for secret in (PLANTED, TOKEN, SECRET):
        assert secret not in town.log()
        assert all(secret not in m.words() for m in slack.messages)


def test_the_dispatcher_has_no_more_than_it_needs(town):
    """Not root, nothing writable but /tmp, and no right outside of the jobs' namespace."""
    kubectl = town.kubectl
    shown = kubectl("exec", "-n", OURS, "deployment/dispatcher", "--", "id", "-u").strip()
    assert shown == "65532"
    who = f"--as=system:serviceaccount:{OURS}:dispatcher"
    assert kubectl.run("auth", "can-i", "create", "jobs", "-n", JOBS, who).stdout.strip() == "yes"
    for words in (("get", "secrets", "-n", OURS), ("create", "jobs", "-n", OURS)):
        assert kubectl.run("auth", "can-i", *words, who).stdout.strip() == "no"


def test_the_pod_of_the_dispatcher_is_deleted(town):
    """While the agent asks: the next pod takes the job over, and there is one answer."""
    slack, kubectl = town.slack, town.kubectl
    with town.door() as port:
        assert slack.deliver(port, slack.say("fix #68")).status == 200
        message = town.message(68)
        until(lambda: '"text": "main"' in message.words(), why="the question", instead=town.log)
    kubectl("delete", "pod", "-n", OURS, "-l", "app.kubernetes.io/name=dispatcher")
    town.rolled_out()
    with town.door() as port:
        town.press(port, message)
        until(lambda: ": done" in message.text, why="the answer", instead=town.log)
    assert town.message(68) is message
    job_id = message.metadata["event_payload"]["job_id"]
    until(lambda: slack.of_bot(event="spawnery_ended", job_id=job_id), why="the ping")
    assert len(slack.of_bot(event="spawnery_ended", job_id=job_id)) == 1
    until(lambda: not any(job_id in name for name in town.objects()), why="nothing is left")
