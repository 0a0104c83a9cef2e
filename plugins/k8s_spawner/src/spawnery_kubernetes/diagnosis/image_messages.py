"""What goes wrong with images, by the words of the kubelet and the container runtime: pure.

The words are the kubelet's (kubernetes, pkg/kubelet/images/types.go), containerd's
(core/remotes/docker) and those of registries (distribution, errcode).
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from spawnery_kubernetes.objects.findings import Finding, Kind, Patience, kind_of, quote

IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Reasons for which a container waits that are about its image."""
_GET_IT: Final = "is it in the registry? docker pull {image}"
_MAKE_IT: Final = "or make it: docker build -t {image} ."
_LOG_IN: Final = (
    "name a Secret with a login of that registry: SPAWNERY_KUBERNETES_IMAGE_PULL_SECRETS;"
    " kubectl create secret docker-registry --help"
)
_REACH: Final = "the node must reach the registry; try it there: crictl pull {image}"
_KINDS: Final = (
    Kind(
        words=r"toomanyrequests|too many requests|\b429\b|rate limit",
        cause="image.rate_limit",
        message="the registry allows no more pulls for now",
        hint=f"wait, or log in for a higher limit: {_LOG_IN}",
        patience=Patience.PULL,
    ),
    Kind(
        words=r"no space left on device|disk quota exceeded",
        cause="engine.full",
        message="the node's disk is full",
        hint="make room on the node: crictl rmi --prune",
        patience=Patience.PULL,
    ),
    Kind(
        words=r"no match for platform|no matching manifest|does not match the specified platform",
        cause="image.platform",
        message="the image is for another processor",
        hint="build it for the nodes': kubectl get nodes -L kubernetes.io/arch",
    ),
    Kind(
        words=r"repository does not exist or may require",
        cause="image.not_found",
        message="the registry does not have it, or does not show it to everybody",
        hint=f"{_GET_IT}\nwhere it is private: {_LOG_IN}",
    ),
    Kind(
        words=r"unauthorized|authentication required|no basic auth credentials|authorization failed"
        r"|denied|forbidden|\b401\b|\b403\b",
        cause="image.auth",
        message="the registry does not let the node in",
        hint=_LOG_IN,
    ),
    Kind(
        words=r"manifest unknown|name unknown|manifest for .* not found|no such image",
        cause="image.not_found",
        message="the registry does not have it",
        hint=_GET_IT,
    ),
    Kind(
        words=r"invalid reference|couldn't parse image|manifest invalid"
        r"|(unsupported|unexpected) media type|unsupported manifest|verification failed"
        r"|invalid repository name|invalid tar header"
        r"|digest invalid|failed commit on ref",
        cause="image.invalid",
        message="the reference or the image itself is broken",
        hint="look at it by hand: docker pull {image}",
    ),
    Kind(
        words=r"x509|certificate|server gave HTTP response to HTTPS client",
        cause="image.pull_failed",
        message="the node does not trust the registry's answer",
        hint=_REACH,
    ),
    # Nobody was asked for the image: the name is mistyped, or the node has no network.
    Kind(
        words=r"no such host|server misbehaving|name resolution|dial tcp: lookup",
        cause="image.pull_failed",
        message="the node cannot find the registry",
        hint=f"{_REACH}\n{_GET_IT}",
        patience=Patience.PULL,
    ),
    Kind(
        words=r"\bnot found\b",
        cause="image.not_found",
        message="the registry does not have it",
        hint=_GET_IT,
    ),
)
_PAUSE: Final = re.compile(
    r"Back-off pulling image \"[^\"]*\": (?P<reason>\w+): (?P<message>.+)", re.DOTALL
)
"""What the kubelet says between two attempts, since 1.32: the same failure, not another one."""
_OTHER: Final = Kind(
    words="",
    cause="image.pull_failed",
    message="the pull failed",
    hint=_REACH,
    patience=Patience.PULL,
)


def image_failure(reason: str, message: str, image: str, look: str) -> Finding:
    """Say why an image cannot be used.

    Args:
        reason: The kubelet's, one of ``IMAGE_REASONS``.
        message: The kubelet's words.
        image: The reference as the job has it.
        look: The command that shows more.
    """
    pause = _PAUSE.match(message)
    if pause is not None:
        reason, message = pause["reason"], pause["message"]
    quoted = shlex.quote(image)
    said = f"the node says {reason}: {quote(message)}"
    if reason == "ErrImageNeverPull":
        return Finding(
            cause="image.not_found",
            message=f"the image {image} is not on the node, and is not to be pulled; {said}",
            hint="load it there, or let it be pulled: pull_policy=if-not-present",
        )
    # A reference may have any of the words in it.
    kind = kind_of(_KINDS, message.replace(image, "")) or _OTHER
    if reason == "InvalidImageName":
        kind = next(known for known in _KINDS if known.cause == "image.invalid")
    hint = kind.hint
    if kind.cause == "image.not_found" and "@" not in image:  # nobody can build a digest
        hint = hint.replace(_GET_IT, f"{_GET_IT}\n{_MAKE_IT}")
    return Finding(
        cause=kind.cause,
        message=f"the image {image} could not be pulled: {kind.message}; {said}",
        hint=f"{hint.replace('{image}', quoted)}\n{look}",
        patience=kind.patience,
    )
