"""What the spawner must be allowed to do, rule by rule as a Role has them.

``deploy/kubernetes`` grants exactly this, ``check`` asks for exactly this.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen


@frozen
class Right:
    """One request that an account may make in the namespace.

    Attributes:
        group: API group, empty for the core one.
        resource: With its subresource: ``pods/log``.
        verb: Of Kubernetes: ``create``, ``get``, ...
    """

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        """As a person says it."""
        return f"{self.verb} {self.resource}"


@frozen
class Rule:
    """A rule of a Role: one resource and its verbs."""

    group: str
    resource: str
    verbs: tuple[str, ...]

    def rights(self) -> Iterator[Right]:
        """Return its rights, one by one."""
        return (Right(self.group, self.resource, verb) for verb in self.verbs)


SPAWNER_RULES: Final = (
    Rule("batch", "jobs", ("create", "get", "list", "watch", "delete", "patch")),
    Rule("", "pods", ("get", "list", "watch", "delete")),
    Rule("", "pods/log", ("get",)),
    Rule("", "events", ("list",)),
    Rule("", "secrets", ("create",)),
)
"""Without one of these some job cannot be spawned, followed, stopped or removed."""
PLACE_RULES: Final = (Rule("", "namespaces", ("get",)),)
"""Without it jobs are tied to the address of the API server, not to the namespace's own uid."""
CHECK_RULES: Final = (
    Rule("", "resourcequotas", ("list",)),
    Rule("", "limitranges", ("list",)),
    Rule("", "pods", ("create",)),
)
"""Without these ``check`` sees less; everything else works."""


def rights_of(rules: Iterable[Rule]) -> tuple[Right, ...]:
    """Return the rights of several rules, in their order."""
    return tuple(right for rule in rules for right in rule.rights())


def rules_yaml(rights: Iterable[Right]) -> str:
    """Return the rules of a Role that grant some rights, as YAML to paste under ``rules:``.

    Each is one line, so that it stays YAML where a line break does not survive.
    """
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    return "\n".join(
        f'- {{apiGroups: ["{group}"], resources: ["{resource}"], verbs: {json.dumps(granted)}}}'
        for (group, resource), granted in verbs.items()
    )
