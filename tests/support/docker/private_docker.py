"""A Docker daemon of a test's own, to be killed, restarted, starved and looked into.

It lives in its own network namespace (so its bridge is not the machine's), with its own containerd,
data and socket. A killed dockerd leaves its containerd, shims and mounts as a real crash does;
``close`` ends and removes all of it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from commands import checked
from docker_images import make_busybox
from tools import need

PATIENCE = 60.0
_KEY_OF_MACHINE = 23
"""Before this version the id comes of a key that all engines of a machine share."""


class PrivateDocker:
    """One daemon.

    Args:
        live_restore: Whether containers go on while it is down.
        disk_mb: Size of its disk (in memory); unlimited when None.
        flags: Further arguments of dockerd.
        clone_of: Another one, whose engine id it gets, as a cloned machine does.
    """

    def __init__(
        self,
        *,
        live_restore: bool = False,
        disk_mb: int | None = None,
        flags: tuple[str, ...] = (),
        clone_of: PrivateDocker | None = None,
    ) -> None:
        _need()
        self.folder = Path(tempfile.mkdtemp(prefix="spd-", dir="/tmp"))
        self.name = self.folder.name
        self.address = f"unix://{self.folder}/docker.sock"
        self._live_restore = live_restore
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        (self.folder / "root").mkdir()
        if disk_mb is not None:
            size = f"size={disk_mb}m"
            checked("mount", "-t", "tmpfs", "-o", size, "tmpfs", f"{self.folder}/root")
        if clone_of is not None:
            shutil.copy(clone_of.id_file, self.id_file)
        checked("ip", "netns", "add", self.name)
        checked("ip", "-n", self.name, "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        try:
            self.start()
            make_busybox(self.address)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, also after a crash, and wait until it answers."""
        if self._containerd is None:
            self._containerd = self._start_containerd()
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("nsenter", f"--net=/var/run/netns/{self.name}", "--", "dockerd"),
                    *("--data-root", f"{self.folder}/root", "--exec-root", f"{self.folder}/exec"),
                    *("--containerd", f"{self.folder}/containerd.sock"),
                    *("-p", f"{self.folder}/pid", "-H", self.address),
                    *("--iptables=false", "--ip-forward=false", "--cgroup-parent", self.name),
                    *("--config-file", self._configured()),
                    *(["--live-restore"] if self._live_restore else []),
                    *self._flags,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while subprocess.run(self._docker("info"), capture_output=True).returncode:
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError(f"dockerd does not start: {self.log()[-2000:]}")
            time.sleep(0.1)

    @property
    def id_file(self) -> Path:
        """The file that the id of the engine is kept in, or made of (before 23.0)."""
        return self.folder / (
            "key.json" if _major_version() < _KEY_OF_MACHINE else "root/engine-id"
        )

    def _configured(self) -> str:
        """Write its configuration, without that of the machine; returns the path."""
        key = {"deprecated-key-path": str(self.id_file)}
        path = self.folder / "daemon.json"
        path.write_text(json.dumps(key if _major_version() < _KEY_OF_MACHINE else {}))
        return str(path)

    def _start_containerd(self) -> subprocess.Popen[bytes]:
        """Start a containerd apart from dockerd, as distributions do, so it survives a crash."""
        config = self.folder / "containerd.toml"
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        with (self.folder / "containerd.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *("containerd", "--config", str(config), "--root", f"{self.folder}/ctd"),
                    *("--state", f"{self.folder}/cts"),
                    *("--address", f"{self.folder}/containerd.sock"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while not (self.folder / "containerd.sock").exists() and time.monotonic() < until:
            time.sleep(0.02)
        return process

    def kill(self) -> None:
        """Kill the daemon and nothing else, as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let the daemon end in an orderly way."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Crash it and start it again."""
        self.kill()
        self.start()

    def reinstall(self) -> None:
        """Start it anew under its address: another id, and nothing of what was in it."""
        self.stop()
        (self.folder / "root").rename(self.folder / f"root-{time.monotonic_ns()}")
        (self.folder / "root").mkdir()
        self.id_file.unlink(missing_ok=True)
        self.start()
        make_busybox(self.address)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def backup(self) -> None:
        """Copy its data while it runs, as a snapshot of the disk does."""
        _copy(self.folder / "root", self.folder / "backup")

    def restore(self) -> None:
        """Lose the machine's power, and start from the data of the backup."""
        self.kill()
        self._end_processes()
        self._containerd = None
        self._unmount()
        shutil.rmtree(self.folder / "root")
        _copy(self.folder / "backup", self.folder / "root")
        self.start()

    @contextlib.contextmanager
    def hung(self):
        """Let it hang: it takes connections and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Return what it wrote."""
        return (self.folder / "dockerd.log").read_text(errors="replace")

    # -- behind its back ---------------------------------------------------------------------

    def docker(self, *words: str) -> str:
        """Run the docker command on it; returns what it prints."""
        done = subprocess.run(
            self._docker(*words), capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    def _docker(self, *words: str) -> list[str]:
        return ["docker", "-H", self.address, *words]

    def kill_shim(self, container: str) -> None:
        """Kill the containerd-shim of a container, and with it our only witness of its end."""
        whole = self.docker("inspect", "-f", "{{.Id}}", container)
        found = [pid for pid, line in _commands() if "containerd-shim" in line and whole in line]
        assert found, "no shim of this container runs"
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    def pid(self, container: str) -> int:
        """Return the process id that a container's first process has on this machine."""
        return int(self.docker("inspect", "-f", "{{.State.Pid}}", container))

    def containers(self) -> list[str]:
        """Name all containers, in every state."""
        return self.docker("ps", "-a", "--format", "{{.Names}}").split()

    def close(self) -> None:
        """End everything that belongs to it and remove it."""
        with contextlib.suppress(Exception):
            if self._process is not None and self.containers():
                self.docker("rm", "-f", *self.containers())
        self._end(signal.SIGTERM)
        self._end_processes()
        self._unmount()
        for group in self._cgroups():
            with contextlib.suppress(OSError):
                group.rmdir()
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        """Kill containerd, its shims and all jobs."""
        if self._containerd is not None:
            self._containerd.kill()
            self._containerd.wait()
        until = time.monotonic() + PATIENCE
        while left := self._processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > until:
                break
            time.sleep(0.05)

    def _unmount(self) -> None:
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in sorted((m for m in mounts if m.startswith(str(self.folder))), reverse=True):
            subprocess.run(["umount", "-l", place], capture_output=True)

    def _processes(self) -> list[int]:
        """Return containerd, its shims, and what runs in our cgroups."""
        ours = [pid for pid, line in _commands() if str(self.folder) in line]
        for group in self._cgroups():
            with contextlib.suppress(OSError):
                ours += [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
        return [pid for pid in ours if pid != os.getpid()]

    def _cgroups(self) -> list[Path]:
        """Return our cgroups (version 1 or 2), the innermost first."""
        root = Path("/sys/fs/cgroup")
        tops = [*root.glob(self.name), *root.glob(f"*/{self.name}")]
        found = [group for top in tops for group in (top, *top.glob("**/*")) if group.is_dir()]
        return sorted(found, key=lambda group: len(group.parts), reverse=True)


def let_end(pid: int) -> None:
    """Tell a job that waits for ``/tmp/go`` to end, and wait until it has; no daemon is needed."""
    Path(f"/proc/{pid}/root/tmp/go").touch()
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def _need() -> None:
    """Skip where a daemon of our own cannot be started."""
    need("private dockerd")


@functools.cache
def _major_version() -> int:
    told = checked("dockerd", "--version")
    found = re.search(r"version (\d+)", told)
    assert found is not None, told
    return int(found[1])


def _commands() -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append((int(entry.name), line.decode("utf-8", "replace")))
    return found


def _copy(source: Path, target: Path) -> None:
    """Copy a folder without what is mounted in it."""
    target.mkdir()
    pipe = 'tar --one-file-system -C "$0" -c . | tar -C "$1" -x'
    checked("sh", "-c", pipe, str(source), str(target))
