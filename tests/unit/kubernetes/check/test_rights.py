"""The rights that the doctor asks for are those that the manifests grant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from spawnery_kubernetes.objects.rights import (
    CHECK_RULES,
    PLACE_RULES,
    SPAWNER_RULES,
    Right,
    Rule,
    rights_of,
    rules_yaml,
)

DEPLOY = Path(__file__).parents[4] / "deploy" / "kubernetes"


@pytest.mark.parametrize(
    ("folder", "rules"),
    [("spawner", (*SPAWNER_RULES, *PLACE_RULES)), ("check", CHECK_RULES)],
)
def test_the_role_grants_exactly_these(folder: str, rules: tuple[Rule, ...]) -> None:
    """A Role has each rule of the table, and none beside them."""
    role = yaml.safe_load((DEPLOY / folder / "role.yaml").read_text())
    granted = [
        (group, resource, tuple(rule["verbs"]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]
    assert granted == [(rule.group, rule.resource, rule.verbs) for rule in rules]
    assert role["kind"] == "Role"


def test_rules_to_paste() -> None:
    """Rights are told as the rules that grant them, one for each resource."""
    rights = [Right("batch", "jobs", "get"), Right("", "pods/log", "get")]
    rights.append(Right("batch", "jobs", "patch"))
    assert yaml.safe_load(rules_yaml(rights)) == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    everything = rights_of(SPAWNER_RULES)
    assert len(yaml.safe_load(rules_yaml(everything))) == len(SPAWNER_RULES)
