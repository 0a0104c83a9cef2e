"""What the kubelet says about an image is one failure, in the attempt and in the pause after it."""

from __future__ import annotations

import pytest
from spawnery_kubernetes.diagnosis.image_messages import image_failure

IMAGE = "nowhere.example/team/agent:1"
SAID = f'failed to pull and unpack image "{IMAGE}": dial tcp: lookup nowhere.example: no such host'
LOOK = "kubectl describe pod x"


def test_the_pause_between_attempts_is_no_other_failure() -> None:
    """The message does not change between attempt and pause, so that it is shown once."""
    attempt = image_failure("ErrImagePull", SAID, IMAGE, LOOK)
    paused = f'Back-off pulling image "{IMAGE}": ErrImagePull: {SAID}'
    assert image_failure("ImagePullBackOff", paused, IMAGE, LOOK) == attempt
    assert attempt.message.count("no such host") == 1


@pytest.mark.parametrize("said", [f'Back-off pulling image "{IMAGE}"', "", "something new"])
def test_a_pause_without_the_failure_is_told_as_it_is(said: str) -> None:
    """Kubelets before 1.32 do not repeat why the attempt failed."""
    finding = image_failure("ImagePullBackOff", said, IMAGE, LOOK)
    assert finding.cause == "image.pull_failed"
    assert "ImagePullBackOff" in finding.message
