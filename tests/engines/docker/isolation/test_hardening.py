"""What a job may do by default, what it may ask for, and what is refused (restricted profile)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from docker_case import PATIENCE, DockerCase, eventually, output, sh
from docker_images import BUSYBOX
from spawnery.errors import InvalidSpec, SpawnerError
from spawnery.model import JobSpec, JobState, SecretRef
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("docker")

LOOK = r"""
grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
echo "uid: $(id -u)"; echo "gid: $(id -g)"; echo "home: $HOME"; echo "cwd: $(pwd)"
for place in "$HOME" . /tmp; do touch $place/file && echo "writable: $place"; done
touch /etc/file /bin/file 2>/dev/null || echo "image: not writable"
for path in /var/run/docker.sock /run/docker.sock; do test -e $path && echo "socket: $path"; done
echo "init: $(cat /proc/1/comm)"
true
"""


@pytest.fixture
def spawner(case: DockerCase) -> Iterator[Spawner]:
    """A spawner of the case."""
    with case.open() as made:
        yield made


def looked(spawner: Spawner, **fields: Any) -> dict[str, str]:
    """Let a job look at itself."""
    text = output(spawner, sh(LOOK, **fields))
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found[key] = f"{found.get(key, '')} {value.strip()}".strip()
    return found


# -- the profiles ----------------------------------------------------------------------------


def test_restricted(spawner: Spawner) -> None:
    """By default a job has no capability, no new privileges, a filter, and is nobody."""
    found = looked(spawner)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 0, name
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert (found["uid"], found["gid"]) == ("65532", "65532")
    assert (found["home"], found["cwd"]) == ("/home/job", "/home/job")
    assert found["writable"] == "/home/job . /tmp"
    assert found["image"] == "not writable"
    assert "socket" not in found
    assert found["init"] == "docker-init"


def test_baseline(spawner: Spawner) -> None:
    """With baseline it is the image's own user with the engine's capabilities, and no more."""
    found = looked(spawner, security="baseline")
    assert int(found["CapEff"], 16) == 0xA80425FB, "the engine's default capabilities"
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert (found["uid"], found["cwd"]) == ("0", "/")
    assert "socket" not in found


@pytest.mark.parametrize("user", ["1000", "1000:2000"])
def test_a_chosen_user(spawner: Spawner, user: str) -> None:
    """Home and /tmp are writable for a user that is named, too."""
    uid, _, gid = user.partition(":")
    found = looked(spawner, user=user)
    assert (found["uid"], found["gid"]) == (uid, gid or "0")
    assert found["writable"] == "/home/job . /tmp"
    assert int(found["CapEff"], 16) == 0


@pytest.mark.parametrize("security", ["restricted", "baseline"])
def test_nothing_of_the_host(case: DockerCase, spawner: Spawner, security: str) -> None:
    """No host namespace, no mount of the host, no device, bounded processes and log."""
    handle = spawner.spawn(sh("sleep 600", security=security))
    shown = case.inspect(handle.job_id)
    host = shown["HostConfig"]
    assert host["Privileged"] is False
    assert host["PidMode"] == host["UTSMode"] == host["UsernsMode"] == host["Cgroup"] == ""
    assert host["IpcMode"] == "private"
    assert host["NetworkMode"] != "host"
    assert not host["Binds"]
    assert not host["Devices"]
    assert not host["CapAdd"]
    assert host["CapDrop"] == (["ALL"] if security == "restricted" else None)
    assert host["PidsLimit"] == 512
    assert host["Init"] is True
    assert host["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": str(16 * 1024 * 1024), "max-file": "4"},
    }
    assert [mount["Type"] for mount in shown["Mounts"]] == []


def test_processes_are_bounded(case: DockerCase) -> None:
    """A job that makes processes without end is held back at the limit."""
    fork = "i=0; while [ $i -lt 60 ]; do sleep 600 & i=$((i+1)); done; echo all"
    with case.open(SPAWNERY_DOCKER_PIDS_LIMIT="24") as spawner:
        outcome = spawner.wait(spawner.spawn(sh(fork)).job_id, PATIENCE)
    assert outcome.state is JobState.FAILED
    assert "fork" in (outcome.log_tail or "")
    assert "all" not in (outcome.log_tail or "")


def test_an_image_that_insists_on_process_1(case: DockerCase) -> None:
    """Without the engine's init the program is process 1, from the command line too."""
    done = case.cli(
        "run", "--image", BUSYBOX, "--option", "docker.init=false", "--", "sh", "-c", "echo $$"
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_orphans_are_reaped(spawner: Spawner) -> None:
    """A process whose parent is gone leaves no zombie: an init process takes care of it."""
    script = """
    sh -c 'sleep 0.2 & echo $!' > /tmp/orphan
    pid=$(cat /tmp/orphan)
    until [ ! -e /proc/$pid ]; do sleep 0.1; done
    echo gone
    """
    assert output(spawner, sh(script, deadline_seconds=PATIENCE)) == "gone\n"


def test_the_log_is_bounded(case: DockerCase) -> None:
    """The engine keeps the end of a log, as much as the setting says."""
    flood = "i=0; while [ $i -lt 20000 ]; do echo line $i of the flood; i=$((i+1)); done"
    with case.open(SPAWNERY_DOCKER_LOG_MAX_BYTES="200000") as spawner:
        job = spawner.spawn(sh(flood, retention_seconds=600)).job_id
        assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED
        kept = case.docker("logs", f"{case.prefix}-{job}")
        assert kept.endswith("line 19999 of the flood")
        assert len(kept) < 200_000


def test_the_temporary_folders_are_bounded(case: DockerCase) -> None:
    """What a job writes to /tmp cannot fill the host's memory."""
    with case.open(SPAWNERY_DOCKER_TMPFS_BYTES=str(1024 * 1024)) as spawner:
        spec = sh("head -c 2000000 /dev/zero >/tmp/large")
        outcome = spawner.wait(spawner.spawn(spec).job_id, PATIENCE)
    assert outcome.state is JobState.FAILED
    assert outcome.exit_code == 1


# -- options ---------------------------------------------------------------------------------


def test_options_are_read_back(case: DockerCase, spawner: Spawner) -> None:
    """What the allow-list has arrives at the engine."""
    volume = f"{case.prefix}-cache"
    options = {
        "volumes": {"/cache": f"{volume}:ro"},
        "tmpfs": {"/scratch": "4Mi"},
        "extra_hosts": ["db:10.1.2.3", "host:host-gateway"],
        "dns": ["10.9.8.7"],
        "shm_size": "8Mi",
        "read_only": True,
        "hostname": "worker",
        "runtime": "runc",
    }
    handle = spawner.spawn(sh("sleep 600", network="bridge", options={"docker": options}))
    shown = case.inspect(handle.job_id)
    host = shown["HostConfig"]
    assert host["Binds"] == [f"{volume}:/cache:ro"]
    assert host["Tmpfs"]["/scratch"] == f"size={4 * 1024 * 1024}"
    assert host["ExtraHosts"] == ["db:10.1.2.3", "host:host-gateway"]
    assert host["Dns"] == ["10.9.8.7"]
    assert host["ShmSize"] == 8 * 1024 * 1024
    assert host["ReadonlyRootfs"] is True
    assert shown["Config"]["Hostname"] == "worker"
    assert host["Runtime"] == "runc"
    spawner.remove(handle.job_id, force=True)
    case.docker("volume", "rm", volume)


@pytest.mark.parametrize("key", ["devices", "pid_mode", "Privileged", "security_opt", "mounts"])
def test_an_unknown_option(case: DockerCase, spawner: Spawner, key: str) -> None:
    """A key that the allow-list does not have is refused by its name; nothing is made."""
    with pytest.raises(InvalidSpec) as caught:
        spawner.spawn(sh("true", options={"docker": {key: "x"}}))
    assert caught.value.field == f"options.docker.{key}"
    assert key in caught.value.message
    assert case.containers() == set()


DANGEROUS = {"privileged": True, "cap_add": ["SYS_ADMIN"], "binds": ["/etc:/host:ro"]}


@pytest.mark.parametrize(("key", "value"), DANGEROUS.items(), ids=DANGEROUS.keys())
def test_rights_over_the_host(case: DockerCase, key: str, value: Any) -> None:
    """Only where the operator allows it may a job ask for rights over the host."""
    spec = sh("sleep 600", options={"docker": {key: value}})
    with case.open() as spawner:
        with pytest.raises(InvalidSpec) as caught:
            spawner.spawn(spec)
        assert caught.value.field == f"options.docker.{key}"
        assert "SPAWNERY_DOCKER_ALLOW_PRIVILEGED" in (caught.value.hint or "")
        assert case.containers() == set()
    with case.open(SPAWNERY_DOCKER_ALLOW_PRIVILEGED="1") as spawner:
        host = case.inspect(spawner.spawn(spec).job_id)["HostConfig"]
    shown = {"privileged": "Privileged", "cap_add": "CapAdd", "binds": "Binds"}
    assert host[shown[key]] == value


@pytest.mark.parametrize("network", ["host", "container:other"])
def test_the_network_of_the_host(case: DockerCase, network: str) -> None:
    """A job does not get the host's network, nor another container's, by asking for it."""
    with case.open() as spawner:
        with pytest.raises(InvalidSpec) as caught:
            spawner.spawn(sh("true", network=network))
        assert caught.value.field == "network"
    assert case.containers() == set()


BROKEN = {
    "a path as a volume": {"volumes": {"/data": "/etc"}},
    "a volume at the root": {"volumes": {"/": "cache"}},
    "a relative target": {"volumes": {"data": "cache"}},
    "a size that is none": {"shm_size": "much"},
    "a host without address": {"extra_hosts": ["db"]},
    "a capability that is none": {"cap_add": ["sys-admin"]},
    "text for a switch": {"read_only": "yes"},
    "a list for text": {"hostname": ["a"]},
}


@pytest.mark.parametrize("options", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_option(case: DockerCase, spawner: Spawner, options: dict[str, Any]) -> None:
    """A value that is not allowed is refused with the option's name."""
    with pytest.raises(InvalidSpec) as caught:
        spawner.spawn(sh("true", options={"docker": options}))
    assert (caught.value.field or "").startswith(f"options.docker.{next(iter(options))}")
    assert case.containers() == set()


# -- too long --------------------------------------------------------------------------------


def test_variables_over_the_kernels_limit(case: DockerCase) -> None:
    """A variable that no program can be started with is refused by its name, not by its value."""
    value = secrets.token_hex(70_000)
    with pytest.raises(InvalidSpec) as caught:
        sh("true", env={"LARGE": value})
    assert "LARGE" in (caught.value.field or "")
    with case.open(OWN_LARGE=value) as spawner:
        spec = sh("true", secrets={"LARGE": SecretRef.environment("OWN_LARGE")})
        with pytest.raises(InvalidSpec) as caught:
            spawner.spawn(spec)
        assert "LARGE" in (caught.value.field or "")
        assert value[:20] not in str(caught.value)
        # With its name it is too long, without it would not be.
        close = secrets.token_hex(65_530)
        with pytest.raises(InvalidSpec) as caught:
            spawner.spawn(sh("true", env={"CLOSE_TO_THE_LIMIT": close}))
        assert "CLOSE_TO_THE_LIMIT" in (caught.value.field or "")
    assert case.containers() == set()


def test_the_longest_variable(spawner: Spawner) -> None:
    """A variable just under the limit arrives whole."""
    value = "x" * (128 * 1024 - len("LONG=") - 1)
    assert output(spawner, sh("echo ${#LONG}", env={"LONG": value})) == f"{len(value)}\n"


LONG = "a" * 300
NAMES: dict[str, dict[str, Any]] = {
    "job id": {"job_id": LONG},
    "image": {"image": LONG},
    "image's tag": {"image": f"busybox:{LONG}"},
    "network": {"network": LONG},
    "label": {"labels": {LONG: "x"}},
    "label's value": {"labels": {"x": LONG}},
    "user": {"user": LONG},
    "workdir": {"workdir": f"/{LONG}"},
    "command": {"command": [f"/{LONG}"]},
    "host name": {"options": {"docker": {"hostname": LONG}}},
    "volume": {"options": {"docker": {"volumes": {"/cache": LONG}}}},
    "target": {"options": {"docker": {"tmpfs": {f"/{LONG}": "1Mi"}}}},
    "runtime": {"options": {"docker": {"runtime": LONG}}},
}


@pytest.mark.parametrize("fields", NAMES.values(), ids=NAMES.keys())
def test_names_of_three_hundred_characters(
    case: DockerCase, spawner: Spawner, fields: dict[str, Any]
) -> None:
    """A name that is too long is refused or told as what is wrong; nothing stays."""
    given: dict[str, Any] = {
        "image": BUSYBOX,
        "command": ["true"],
        "pull_policy": "never",
        **fields,
    }
    told = cause_of(spawner, given)
    assert told in {
        *("spec.invalid", "image.not_found", "image.invalid", "network.not_found"),
        *("start.failed", "start.workdir", "start.command_not_found"),
    }
    # A container whose init found no program is removed by the engine a moment after its end.
    eventually(lambda: not case.containers())


def cause_of(spawner: Spawner, given: dict[str, Any]) -> str:
    """Spawn a job that cannot be; returns the cause of the error or of its outcome."""
    try:
        outcome = spawner.wait(spawner.spawn(JobSpec(**given)).job_id, PATIENCE)
    except SpawnerError as error:
        return error.cause
    assert outcome.state is JobState.FAILED
    assert "no reason" not in outcome.message
    return outcome.cause
