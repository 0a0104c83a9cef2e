"""What docker and kubectl call things: their options and commands in our words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import click

_MOUNTS: Final = (
    "nothing of this machine is mounted into a job. Its files come with its image; small values"
    " with --env, --env-file and --secret. On Docker a named volume is"
    ' --option \'docker.volumes={"/path": "NAME"}\', on Kubernetes a volume is'
    " --option 'kubernetes.volumes={...}'"
)
_TERMINAL: Final = "leave it out: a job has no stdin and no terminal; its output is streamed"
_DETACH: Final = "spawnery spawn starts a job and leaves it alone; spawnery run follows it"
_PORTS: Final = (
    "a job publishes no ports; containers of the same network reach it there: --network NAME"
)
_PROFILE: Final = "the profile sets it: --security restricted or --security baseline"
_RIGHTS: Final = "--option docker.{}=VALUE, where the operator allows it (allow_privileged)"

_OPTIONS: Final = {
    "--name": "docker's --name is --job-id ID here",
    "--detach": _DETACH,
    "-d": _DETACH,
    "--rm": "leave it out: run removes the ended job, unless --retention-seconds says otherwise",
    "--interactive": _TERMINAL,
    "-i": _TERMINAL,
    "--tty": _TERMINAL,
    "-t": _TERMINAL,
    "--publish": _PORTS,
    "-p": _PORTS,
    "--publish-all": _PORTS,
    "-P": _PORTS,
    "--expose": _PORTS,
    "--entrypoint": "COMMAND replaces the image's ENTRYPOINT: put the program and its arguments"
    " after --",
    "--memory": "docker's --memory is --memory-limit QUANTITY here",
    "-m": "docker's -m is --memory-limit QUANTITY here",
    "--memory-reservation": "docker's --memory-reservation is --memory-request QUANTITY here",
    "--cpus": "docker's --cpus is --cpu-limit QUANTITY here",
    "--cpu-shares": "ask for cores instead: --cpu-request QUANTITY",
    "-c": "docker's -c (CPU shares) is --cpu-request QUANTITY here, in cores; a shell's script goes"
    " after --: -- sh -c 'SCRIPT'",
    "--net": "docker's --net is --network NAME here",
    "--volume": _MOUNTS,
    "--volumes-from": _MOUNTS,
    "--mount": _MOUNTS,
    "--tmpfs": 'docker\'s --tmpfs is --option \'docker.tmpfs={"/path": "64Mi"}\' here',
    "--pull": "docker's --pull is --pull-policy always, if-not-present or never here",
    "--restart": "leave it out: a job runs once and is never started again",
    "--platform": "build the image for the processor of the engine: docker build --platform ...",
    "--stop-timeout": "--set stop_grace_seconds=SECONDS, or spawnery stop --grace TIME",
    "--timeout": "--deadline-seconds TIME ends a job that runs too long",
    "--hostname": "docker's --hostname is --option docker.hostname=NAME here",
    "--dns": "docker's --dns is --option 'docker.dns=[\"ADDRESS\"]' here",
    "--add-host": "docker's --add-host is --option 'docker.extra_hosts=[\"NAME:ADDRESS\"]' here",
    "--shm-size": "docker's --shm-size is --option docker.shm_size=SIZE here",
    "--read-only": "docker's --read-only is --option docker.read_only=true here",
    "--runtime": "docker's --runtime is --option docker.runtime=NAME here",
    "--privileged": _RIGHTS.format("privileged"),
    "--cap-add": _RIGHTS.format("cap_add"),
    "--cap-drop": _PROFILE,
    "--security-opt": _PROFILE,
    "--userns": _PROFILE,
    "--pid": _PROFILE,
    "--ipc": _PROFILE,
    "--init": "leave it out: on Docker every job has an init process, unless"
    " --option docker.init=false takes it away",
    "--env-host": "name what is to be passed on: --env NAME, or --secret NAME",
    "--label-file": "docker's --label-file is --label KEY=VALUE here, once for each",
    "--pids-limit": "the operator sets it: --set docker.pids_limit=NUMBER",
    "--log-driver": "the operator sets it: --set docker.log_driver=NAME",
    "--log-opt": "the operator sets how much is kept: --set docker.log_max_bytes=BYTES",
    "--cidfile": "spawnery status prints the container's id; spawnery spawn --json does too",
    "--attach": _TERMINAL,
    "-a": _TERMINAL,
    "--memory-swap": "leave it out: a job has no swap beside its --memory-limit",
    "--stop-signal": "leave it out: a job is ended by SIGTERM, and by SIGKILL after its grace",
    "--storage-opt": "disk is asked for by --ephemeral-storage QUANTITY, where the engine can",
    "--device": "for GPUs: --gpus NUMBER; no other devices are passed on",
    **dict.fromkeys(
        (
            *("--ulimit", "--sysctl", "--group-add", "--link", "--ip", "--ip6", "--network-alias"),
            *("--domainname", "--mac-address", "--cpuset-cpus", "--cpuset-mems", "--cpu-period"),
            *("--cpu-quota", "--cgroup-parent", "--cgroupns", "--oom-kill-disable", "--isolation"),
            *("--oom-score-adj", "--health-cmd", "--no-healthcheck", "--sig-proxy", "--uts"),
            *("--disable-content-trust", "--detach-keys", "--blkio-weight", "--memory-swappiness"),
        ),
        "docker has this option; there is none for it here",
    ),
    "--limits": "kubectl's --limits are --memory-limit and --cpu-limit here",
    "--requests": "kubectl's --requests are --memory-request and --cpu-request here",
    "--overrides": "kubectl's --overrides is --option 'kubernetes.patch={...}' here, where the"
    " operator allows it",
    "--namespace": "kubectl's --namespace is --set kubernetes.namespace=NAME here",
    "-n": "kubectl's -n is --set kubernetes.namespace=NAME here",
    "--context": "--set docker.context=NAME, or --set kubernetes.context=NAME",
    "--kubeconfig": "--set kubernetes.kubeconfig=PATH, or export KUBECONFIG=PATH",
    "--host": "export DOCKER_HOST=ADDRESS",
    "-H": "export DOCKER_HOST=ADDRESS",
}
_COMMANDS: Final = {
    "kill": "stop --grace 0",
    "inspect": "status",
    "describe": "status",
    "get": "ps",
    "ls": "ps",
    "list": "ps",
    "attach": "logs -f",
    "delete": "rm",
    "remove": "rm",
    "prune": "reap",
    "create": "spawn",
    "start": "spawn",
    "info": "check",
    "doctor": "check",
}
_MOUNT: Final = re.compile(r"[^-=:\s][^=:\s]*:/\S*")
"""``/host:/job``, ``./host:/job:ro``, ``name:/job``: no program is called so."""


def command(name: str) -> str | None:
    """Return what a command of docker or kubectl is called here."""
    return _COMMANDS.get(name)


class JobCommand(click.Command):
    """A command with the options of a job; it knows those of docker and kubectl."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options; refuse those of docker with what they are called here.

        Raises:
            click.UsageError: An option is not known, or ``-v`` was meant for a mount.
        """
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.BadOptionUsage as error:
            error.ctx = error.ctx or ctx
            raise
        except click.NoSuchOption as error:
            words = _translation(error.option_name, given)
            if words is None:
                raise
            name = "-v" if error.option_name[:2] in {"-=", "-/", "-.", "-~"} else error.option_name
            message = f"no such option {name}: {words}"
            raise click.UsageError(message, ctx) from None
        _refuse_mount(ctx, given)
        return rest


def _translation(option: str, given: Sequence[str]) -> str | None:
    ours = given[: given.index("--")] if "--" in given else given
    if any(re.match(r"-v[=./~]", word) for word in ours):
        return _MOUNTS
    return _OPTIONS.get(option)


def _refuse_mount(ctx: click.Context, given: Sequence[str]) -> None:
    """Refuse ``-v /host:/job``, which would run a program of that name, verbosely."""
    words: tuple[Any, ...] = ctx.params.get("command") or ()
    if not words or not _MOUNT.fullmatch(str(words[0])):
        return
    place = given.index(words[0]) if words[0] in given else 0
    if place and given[place - 1] == "-v":
        message = f"-v is --verbose here, and {words[0]} would be the program to run: {_MOUNTS}"
        raise click.UsageError(message, ctx)
