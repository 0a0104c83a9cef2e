"""What tells of our own container, and which of its networks a job joins."""

from __future__ import annotations

from pathlib import Path

import pytest
from spawnery.model import Network
from spawnery_docker.network.choice import network_missing, preferred
from spawnery_docker.network.own_container import traces

ID = "5068bdc0c5ba554a7651f2e8ab1adeab95ff1bfb0a29365cfa61bd2dde119518"
OTHER = "e57c70a7a8c7cf9277e473730457266c05beb6be7aecd96d8a6c68ef8785bd41"
MOUNT = "94 76 254:0 {root} {place} rw,relatime - ext4 /dev/vda rw"
DOCKER_MOUNT = MOUNT.format(root=f"/var/lib/docker/containers/{ID}/hostname", place="/etc/hostname")
PODMAN_MOUNT = MOUNT.format(
    root=f"/containers/storage/overlay-containers/{ID}/userdata/hosts", place="/etc/hosts"
)
HOST_MOUNT = MOUNT.format(
    root=f"/var/lib/docker/containers/{ID}/mounts/shm",
    place=f"/var/lib/docker/containers/{ID}/mounts/shm",
)


def seen(folder: Path, *, mountinfo: str = "", cgroup: str = "", hostname: str = "agent") -> list:
    """Return what the files of a process tell."""
    (folder / "mountinfo").write_text(mountinfo)
    (folder / "cgroup").write_text(cgroup)
    return [(trace.container, trace.way) for trace in traces(folder, hostname)]


def test_the_host_name_is_the_first_trace(tmp_path: Path) -> None:
    """Docker's own host name is the beginning of the id; it is told once with the mount's."""
    found = seen(tmp_path, mountinfo=DOCKER_MOUNT, hostname=ID[:12])
    assert found == [(ID[:12], f"host name {ID[:12]}"), (ID, "mount of /etc/hostname")]


@pytest.mark.parametrize("line", [DOCKER_MOUNT, PODMAN_MOUNT])
def test_mounts_tell_without_a_host_name(tmp_path: Path, line: str) -> None:
    """With a name of its own, the host's network or cgroup v2, the mounts still tell."""
    assert [container for container, _ in seen(tmp_path, mountinfo=line, cgroup="0::/")] == [ID]


@pytest.mark.parametrize(
    "line",
    [
        f"9:name=systemd:/docker/{ID}",
        f"0::/system.slice/docker-{ID}.scope",
        f"0::/../docker-{ID}.scope/init",
        f"0::/machine.slice/libpod-{ID}.scope",
    ],
)
def test_cgroups_tell_last(tmp_path: Path, line: str) -> None:
    """Where nothing else tells, the name of the cgroup does."""
    assert seen(tmp_path, cgroup=line) == [(ID, "cgroup")]


def test_outside_of_containers_nothing_tells(tmp_path: Path) -> None:
    """Mounts that an engine makes on its host are not ours, nor is a host with a usual name."""
    assert seen(tmp_path, mountinfo=HOST_MOUNT, cgroup="0::/user.slice", hostname="cafe") == []
    assert list(traces(tmp_path / "absent", "build-host")) == []


def container(*networks: str, project: str | None = None, mode: str = "") -> dict[str, object]:
    """Return what the engine shows of a container."""
    labels = {"com.docker.compose.project": project} if project else {}
    return {
        "Config": {"Labels": labels},
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": {name: {} for name in networks}},
    }


@pytest.mark.parametrize(
    ("shown", "first"),
    [
        (container("bridge"), "bridge"),
        (container("b", "a"), "b"),
        (container("b", "a", mode="a"), "a"),
        (container("a", "p_x", project="p", mode="a"), "p_x"),
        (container("p_a", "p_default", project="p"), "p_default"),
        (container("a", "custom", project="p", mode="a"), "custom"),
        (container("a", "q_default", project="p", mode="q_default"), "q_default"),
        (container("host"), None),
        (container("none"), None),
        (container(), None),
        ({}, None),
    ],
)
def test_which_network_comes_first(shown: dict[str, object], first: str | None) -> None:
    """The Compose project's, then the network mode's, then the first; host and none never."""
    found = preferred(shown, lambda project: ["custom"])
    assert (found[0] if found else None) == first


def test_a_lone_network_needs_no_question() -> None:
    """The engine is asked for a project's networks only where there is a choice."""

    def never(_project: str) -> list[str]:
        raise AssertionError("asked")

    assert preferred(container("n", project="p"), never) == ["n"]
    assert preferred(container("a", "b"), never) == ["a", "b"]


def test_missing_network() -> None:
    """A network that is not there is named with who named it and the command that makes it."""
    error = network_missing(Network(name="agents", source="DOCKER_NETWORK"), job_id="j")
    assert (error.cause, error.job_id) == ("network.not_found", "j")
    assert "DOCKER_NETWORK" in error.message
    assert "docker network create agents" in error.hint
