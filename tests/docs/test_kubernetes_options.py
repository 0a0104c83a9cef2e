"""What docs/kubernetes-options.md shows is taken, and it leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from kube_manifest import job_manifest, options_of
from spawnery_kubernetes.manifest.patch import apply_options
from spawnery_kubernetes.manifest.security_floor import hold_floor
from spawnery_kubernetes.objects.rights import CHECK_RULES, PLACE_RULES, SPAWNER_RULES, rights_of
from spawnery_kubernetes.options import SAFE_VOLUMES, KubernetesOptions

PAGE = (Path(__file__).parents[2] / "docs" / "kubernetes-options.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def section(title: str) -> str:
    """Return a part of the page, up to the next title."""
    return PAGE.partition(f"# {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_taken(example: str) -> None:
    """Each example is a job whose options pass the floor."""
    given: dict[str, Any] = yaml.safe_load(example)["options"]["kubernetes"]
    job = apply_options(job_manifest(), options_of(**given))
    hold_floor(job, base=job_manifest(), restricted=True)
    assert job != job_manifest()


def test_there_are_examples() -> None:
    """One shows options, one a patch."""
    assert len(EXAMPLES) == 2


def test_every_option_is_told() -> None:
    """The table has each option, in the order of the code, and the text each kind of volume."""
    told = re.findall(r"^\| `(\w+)` \|", section("Options and rights on Kubernetes"), re.MULTILINE)
    assert told == [option.name for option in attrs.fields(KubernetesOptions)]
    assert [kind for kind in SAFE_VOLUMES if f"`{kind}`" not in PAGE] == []


def test_every_right_is_told() -> None:
    """The table has each right that the Role grants, and no other; so has the text below it."""
    table, _, below = section("Rights").partition("What `check` sees")
    told, resource = [], ""
    for first, verbs in re.findall(r"^\| (.*?) ?\| (`.*?) \|", table, re.MULTILINE):
        resource = first.partition("`")[2].partition("`")[0] or resource
        told += [f"{verb} {resource}" for verb in re.findall(r"`(\w+)`", verbs)]
    assert sorted(told) == sorted(map(str, rights_of((*SPAWNER_RULES, *PLACE_RULES))))
    for right in rights_of(CHECK_RULES):
        assert f"`{right.resource}`" in below
        assert f"`{right.verb}`" in below
