"""Command lines in the manner of docker and kubectl: refused with what it is called here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli


@pytest.mark.parametrize("verb", ["run", "spawn", "plan"])
@pytest.mark.parametrize(
    "mount",
    [
        ["-v", "/tmp:/x", "--"],
        ["-v", "./data:/x:ro"],
        ["-v=/tmp:/x"],
        ["-v/tmp:/x", "--"],
        ["--volume", "/tmp:/x"],
        ["--mount", "type=bind,src=/tmp,dst=/x"],
    ],
)
def test_a_mount_is_not_taken_for_the_program(cli: Cli, verb: str, mount: list[str]) -> None:
    """``-v`` is --verbose here: nothing runs, and what to do instead is told."""
    done = cli(verb, *mount, "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"mounted into a job" in done.stderr
    assert cli.json("ps", "-a") == []


@pytest.mark.parametrize(
    ("flags", "ours"),
    [
        (["--name", "x"], b"--job-id"),
        (["--name=x"], b"--job-id"),
        (["-d"], b"spawnery spawn"),
        (["--rm"], b"--retention-seconds"),
        (["-it"], b"no terminal"),
        (["-p", "80:80"], b"--network"),
        (["-p80:80"], b"--network"),
        (["--entrypoint", "sh"], b"after --"),
        (["-m", "1g"], b"--memory-limit"),
        (["--cpus", "2"], b"--cpu-limit"),
        (["--pull=always"], b"--pull-policy"),
        (["-n", "jobs"], b"kubernetes.namespace"),
        (["--ulimit", "nofile=1"], b"there is none for it here"),
        (["--init"], b"docker.init=false"),
        (["--pids-limit", "9"], b"docker.pids_limit"),
    ],
)
def test_an_option_of_docker_is_translated(cli: Cli, flags: list[str], ours: bytes) -> None:
    """The name that it has here, or why there is none; no guess by spelling."""
    done = cli("run", *flags, "true")
    assert done.returncode == 125
    assert ours in done.stderr
    assert b"no such option " + flags[0][:2].encode() in done.stderr


def test_an_option_without_its_value(cli: Cli) -> None:
    """The help of the command is named, not that of all commands."""
    done = cli("run", "-e")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"hint: spawnery run -h\n" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["-e", "A=b"],
        ["--env", "A=b"],
        ["-w", "/"],
        ["-l", "a=b"],
    ],
)
def test_an_option_that_is_the_same_works(cli: Cli, flags: list[str]) -> None:
    """What is spelled as docker spells it, means the same."""
    done = cli("run", "-q", *flags, "--", "sh", "-c", "echo $A")
    assert (done.returncode, done.stderr) == (0, b"")


def test_verbose_is_still_verbose(cli: Cli) -> None:
    """A program after ``-v`` runs, also one with a colon in an argument."""
    done = cli("run", "-v", "echo", "-v", "/tmp:/x")
    assert (done.returncode, done.stdout) == (0, b"-v /tmp:/x\n")


@pytest.mark.parametrize(("theirs", "ours"), [("kill", b"stop"), ("inspect", b"status")])
def test_a_command_of_docker_is_translated(cli: Cli, theirs: str, ours: bytes) -> None:
    """The command that does it here."""
    done = cli(theirs, "x")
    assert done.returncode == 125
    assert b"spawnery " + ours in done.stderr


def test_one_quoted_string_is_one_program(cli: Cli) -> None:
    """Who quotes a whole command line is told what happened, and the way with a shell."""
    done = cli("run", "echo hi")
    assert done.returncode == 127
    assert b"is one argument, so it is the name of one program" in done.stderr
    assert b"-- sh -c 'echo hi'" in done.stderr


def test_arguments_for_an_entrypoint(cli: Cli) -> None:
    """COMMAND replaces the program of the image; the way to keep that is told."""
    variables = {"SPAWNERY_LOCAL_IGNORE": "image"}
    done = cli("run", "--image", "a/git", "clone-it", "URL x", env=variables)
    assert done.returncode == 127
    assert b"COMMAND replaces the image's ENTRYPOINT" in done.stderr
    assert b"--arg clone-it --arg 'URL x'" in done.stderr


def test_an_image_in_the_place_of_the_program(cli: Cli) -> None:
    """``docker run IMAGE COMMAND``: the same in our order."""
    done = cli("run", "busybox", "echo", "hi", env={"SPAWNER_TYPE": "docker"})
    assert done.returncode == 125
    assert b"if busybox is the image: --image busybox -- echo hi" in done.stderr
