"""Why a container could not be started, by the words of the runtime and the kubelet: pure.

The words are runc's, containerd's and the kubelet's (kubernetes, pkg/kubelet/kuberuntime).
"""

from __future__ import annotations

import shlex
from typing import Final

from spawnery_kubernetes.objects.findings import Finding, Kind, quote

_KINDS: Final = (
    Kind(
        words=r"chdir to cwd|mkdir.* not a directory|cannot chdir|working directory"
        r"|lstat .*file name too long",
        cause="start.workdir",
        message="the working directory cannot be used",
        hint="it must be a folder that the job's user may enter; or leave workdir out",
    ),
    Kind(
        words=r"unable to find (user|group)|no matching entries in|no users found",
        cause="start.failed",
        message="the image does not know this user",
        hint="name it by number: user=1000",
    ),
    Kind(
        words=r"error mounting|invalid mount|failed to mount|mount destination",
        cause="start.failed",
        message="a mount could not be made",
        hint="look at options.kubernetes: volumes, patch",
    ),
    Kind(
        words=r"exec format error",
        cause="image.platform",
        message="the program is for another processor, or a script without a first line #!/bin/sh",
        hint="build the image for the nodes' processor: kubectl get nodes -L kubernetes.io/arch",
    ),
    Kind(
        words=r"executable file not found|exec: .*no such file or directory|stat .*no such file",
        cause="start.command_not_found",
        message="the program was not found in the image",
        hint="give its whole path; what is there: docker run --rm --entrypoint ls {image} /bin",
    ),
    Kind(
        words=r"no command specified",
        cause="start.command_not_found",
        message="neither the image nor the job names a program",
        hint="name one behind the image, or give the image an ENTRYPOINT or CMD",
    ),
    Kind(
        words=r"permission denied|is a directory|operation not permitted",
        cause="start.not_executable",
        message="the program cannot be executed",
        hint="chmod +x in the image; a file that only root may run needs: security=baseline",
    ),
    Kind(
        words=r"argument list too long",
        cause="start.failed",
        message="environment and arguments are longer than the kernel takes",
        hint="hand large values over as files",
    ),
)


def start_failure(text: str, image: str, hint: str) -> Finding:
    """Tell why a start failed.

    Args:
        text: The cluster's words.
        image: The container's.
        hint: What to do where they tell nothing that is known.
    """
    said = f"the node says: {quote(text)}" if text else "the node gives no reason"
    for kind in _KINDS:
        if kind.words.search(text):
            do = kind.hint.replace("{image}", shlex.quote(image))
            return Finding(cause=kind.cause, message=f"{kind.message}; {said}", hint=do)
    message = f"the container could not be started; {said}"
    return Finding(cause="start.failed", message=message, hint=hint)
