"""Jobs made one after the other through what people use today, in the same run.

Each is installed into an environment of its own; one that does not install is listed as such. Of
prefect-kubernetes and kubespawner only what makes the object is measured, without the Prefect
server and the JupyterHub that call it; kubespawner makes pods, here ones that no node takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from measuring import row, spread

_SECONDS: Final = 300
PEAK: Final = """
import re
def peak():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1]) / 1000
"""
"""A function that returns the peak memory of this program in MB: the kernel's ``ru_maxrss`` is at
least that of the process from which it was started."""
_PROGRAM: Final = """
import asyncio, copy, json, logging, sys, time
began = time.perf_counter()
body, count, namespace = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.disable(logging.CRITICAL)

def named(number):
    made = copy.deepcopy(body)
    made["metadata"]["name"] = f"{{sys.argv[4]}}-{{number}}"
    return made

{setup}
{first}
ready = time.perf_counter() - began
peak = peak()
times = []
for number in range(count):
    at = time.perf_counter()
    {create}
    times.append(time.perf_counter() - at)
print(json.dumps([ready, peak, times]))
"""
_TYPED: Final = """
from kubernetes import client, config
config.load_kube_config()
api = client.BatchV1Api()

def typed(number):
    made = named(number)
    pod = made["spec"]["template"]["spec"]
    job = pod["containers"][0]
    resources = client.V1ResourceRequirements(**job["resources"])
    container = client.V1Container(name="job", image=job["image"], command=job["command"],
                                   resources=resources)
    spec = client.V1PodSpec(containers=[container], restart_policy="Never")
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=made["spec"]["template"]["metadata"]["labels"]),
        spec=spec)
    return client.V1Job(
        api_version="batch/v1", kind="Job",
        metadata=client.V1ObjectMeta(name=made["metadata"]["name"],
                                     labels=made["metadata"]["labels"]),
        spec=client.V1JobSpec(suspend=True, backoff_limit=0, template=template))
"""
_KR8S: Final = """
import kr8s
from kr8s.objects import Job
api = kr8s.api(namespace=namespace)
"""
_PREFECT: Final = """
from unittest.mock import Mock
from kubernetes_asyncio import client, config
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

loop = asyncio.new_event_loop()
loop.run_until_complete(config.load_kube_config())

async def opened():
    return client.ApiClient(), KubernetesWorker(work_pool_name="bench")

connection, worker = loop.run_until_complete(opened())

def start(number):
    made = named(number)
    pod = made["spec"]["template"]["spec"]
    pod |= {"completions": 1, "parallelism": 1}  # it insists on them, and on the name
    pod["containers"][0]["name"] = "prefect-job"
    wanted = KubernetesWorkerJobConfiguration(namespace=namespace, job_manifest=made)
    loop.run_until_complete(worker._create_job(wanted, connection))
"""
_KUBESPAWNER: Final = """
from types import SimpleNamespace
import kubespawner.spawner

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
server = SimpleNamespace(base_url="/")
hub = SimpleNamespace(public_host="", base_url="/", api_url="http://127.0.0.1/", server=server)

class Alone(kubespawner.KubeSpawner):
    def get_env(self):
        return {}

async def opened(number):
    name = named(number)["metadata"]["name"]
    user = SimpleNamespace(name=name, escaped_name=name, id=number, url="/", settings={})
    pod = body["spec"]["template"]["spec"]
    job = pod["containers"][0]
    return Alone(user=user, hub=hub, namespace=namespace, image=job["image"], cmd=["true"],
                 node_selector={"kept": "pending"}, uid=65532, allow_privilege_escalation=False,
                 extra_pod_config={"securityContext": pod["securityContext"]},
                 extra_container_config={"securityContext": job["securityContext"]})

async def made(number):
    spawner = await opened(number)
    pod = await spawner.get_pod_manifest()
    if not await spawner._make_create_pod_request(pod, 30):
        raise SystemExit("no pod came about")

def start(number):
    loop.run_until_complete(made(number))
"""
_PROGRAMS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "the package, typed": (
        "kubernetes",
        _TYPED,
        "api.list_namespaced_job(namespace)",
        "api.create_namespaced_job(namespace, typed(number))",
    ),
    "kr8s": ("kr8s", _KR8S, "list(kr8s.get('jobs', namespace=namespace))",
             "Job(named(number), api=api).create()"),
    "prefect-kubernetes": ("prefect-kubernetes", _PREFECT, "", "start(number)"),
    "kubespawner, its pod": ("jupyterhub-kubespawner", _KUBESPAWNER, "", "start(number)"),
}  # fmt: skip


def rivals(
    body: Mapping[str, Any], kubeconfig: str, namespace: str, *, count: int
) -> Iterator[str]:
    """Yield lines of the table for each rival.

    Args:
        body: The Job that all of them make; it is suspended.
        kubeconfig: Of who may make Jobs and pods.
        namespace: Where.
        count: How many Jobs each makes.
    """
    for number, (name, (package, setup, first, create)) in enumerate(_PROGRAMS.items()):
        program = PEAK + _PROGRAM.format(setup=setup, first=first, create=create)
        uv = str(Path(sys.executable).with_name("uv"))
        with_package = (uv, "run", "--quiet", "--no-project", "--with", package, "python", "-c")
        arguments = (json.dumps(body), str(count), namespace, f"rival-{number}")
        try:
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(
                    (*with_package, program, *arguments),
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=_SECONDS,
                    env={**os.environ, "KUBECONFIG": kubeconfig, "PREFECT_HOME": folder},
                )
            ready, peak, times = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.SubprocessError, IndexError, ValueError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            yield row(f"... {name}", f"does not run here: {said[-1][:120]}", "", met=True)
            continue
        yield row(f"... {name}: one Job", spread(times, "ms", 1e3), "", met=True)
        what = f"... {name}: import + ready + first call"
        yield row(what, f"{ready:.2f} s, {peak:.0f} MB", "", met=True)
