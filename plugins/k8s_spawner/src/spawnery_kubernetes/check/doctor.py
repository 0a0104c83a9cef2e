"""What ``spawnery check`` says of the cluster and of our place in it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from attrs import frozen
from spawnery.contract import (
    LABEL_INSTANCE,
    LABEL_JOB_ID,
    LABEL_SPEC_HASH,
    CheckItem,
    Deadline,
    SpawnerRuntime,
    SpawnRequest,
)
from spawnery.errors import SpawnerError
from spawnery.model import JobSpec

from spawnery_kubernetes.calls.http_stream import Reply
from spawnery_kubernetes.check import quota as headroom
from spawnery_kubernetes.check.package import usable
from spawnery_kubernetes.check.trial import attempt
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.jobs.namespace import Namespace
from spawnery_kubernetes.objects.rights import (
    CHECK_RULES,
    PLACE_RULES,
    SPAWNER_RULES,
    Right,
    Rule,
    rights_of,
    rules_yaml,
)
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.translate import DEFAULTS, job_of

_OLDEST: Final = (1, 29)
"""``podReplacementPolicy`` is on from here (kubernetes.io/docs/reference/command-line-tools-
reference/feature-gates, JobPodReplacementPolicy)."""
_WHO: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MAY: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@frozen(kw_only=True)
class Doctor:
    """Looks at everything that a spawn needs; never raises.

    Attributes:
        client: The cluster.
        namespace: Of all jobs.
        told: Where its address and our credentials come from, for a person.
        settings: Ours.
        runtime: The host.
    """

    client: KubeClient
    namespace: Namespace
    told: str
    settings: KubernetesSettings
    runtime: SpawnerRuntime

    def examine(self) -> list[CheckItem]:
        """Collect the findings; without an answer of the cluster they end there."""
        items = [CheckItem(name="package", detail=usable())]
        items.append(CheckItem(name="credentials", detail=self.told))
        checks: tuple[tuple[str, Callable[[], Iterator[CheckItem]]], ...] = (
            ("server", self._server),
            ("account", self._account),
            ("namespace", self._namespace),
            ("rights", self._rights),
            ("quota", self._quotas),
            ("limits", self._limits),
            ("job", self._job),
        )
        for name, check in checks:
            try:
                items += check()
            except ApiError as error:
                items.append(_failed(name, in_words(error, f"look at {name}")))
            except SpawnerError as error:
                items.append(_failed(name, error))
                if name == "server":
                    break
        return items

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        return self.client.call(method, path, body=body, timeout=self.runtime.io_timeout_seconds)

    def _server(self) -> Iterator[CheckItem]:
        reply = self._call("GET", "/version")
        version = reply.json()
        detail = f"Kubernetes {version['gitVersion']}"
        number = (int(version["major"]), int(version["minor"].rstrip("+")))
        if number < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            detail += f" is older than {oldest}: a lost pod may be replaced while it still runs"
            hint = f"use a cluster of {oldest} or newer"
            yield CheckItem(name="server", level="warning", detail=detail, hint=hint)
        else:
            yield CheckItem(name="server", detail=detail)

    def _account(self) -> Iterator[CheckItem]:
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            found = self._call("POST", _WHO, kind).json()
        except ApiError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                raise
            yield CheckItem(name="account", detail="the server does not tell who we are")
        else:
            yield CheckItem(name="account", detail=found["status"]["userInfo"]["username"])

    def _namespace(self) -> Iterator[CheckItem]:
        name = self.client.namespace
        try:
            found = self.namespace.read(self.runtime.io_timeout_seconds)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                hint = f"kubectl create namespace {name}"
                detail = f"{name} does not exist"
                yield CheckItem(name="namespace", level="failed", detail=detail, hint=hint)
                return
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            yield self._unknown_place(name)
            return
        phase = (found.get("status") or {}).get("phase")
        if phase == "Terminating":
            detail = f"{name} is being deleted: nothing can be created in it"
            hint = f"kubectl describe namespace {name}"
            yield CheckItem(name="namespace", level="failed", detail=detail, hint=hint)
        else:
            yield CheckItem(name="namespace", detail=name)
        yield headroom.pod_security(found)
        yield headroom.user(found, self.settings.assign_user)

    def _unknown_place(self, name: str) -> CheckItem:
        """Say what is missing where the namespace cannot be read; nothing is refused for it."""
        detail = (
            f"{name}; it cannot be read: jobs are recorded under the address of the API server"
            " instead of the namespace's uid, and its Pod Security level is not visible"
        )
        hint = f"add to the rules of our Role:\n{rules_yaml(PLACE_RULES[0].rights())}"
        return CheckItem(name="namespace", level="warning", detail=detail, hint=hint)

    def _rights(self) -> Iterator[CheckItem]:
        asked = rights_of(SPAWNER_RULES)
        missing = [right for right in asked if not self._may(right)]
        if not missing:
            detail = f"all {len(asked)} that the spawner needs in {self.client.namespace}"
            yield CheckItem(name="rights", detail=detail)
            return
        detail = f"in {self.client.namespace} we may not: {', '.join(map(str, missing))}"
        hint = f"add to the rules of our Role:\n{rules_yaml(missing)}"
        yield CheckItem(name="rights", level="failed", detail=detail, hint=hint)

    def _may(self, right: Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        attributes = {
            "namespace": self.client.namespace,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "verb": right.verb,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        allowed: bool = self._call("POST", _MAY, review).json()["status"]["allowed"]
        return allowed

    def _quotas(self) -> Iterator[CheckItem]:
        found = self._listed("resourcequotas")
        if found is None:
            yield self._not_visible("quota", CHECK_RULES[0])
        else:
            yield from headroom.quotas(found, DEFAULTS)

    def _limits(self) -> Iterator[CheckItem]:
        found = self._listed("limitranges")
        if found is None:
            yield self._not_visible("limits", CHECK_RULES[1])
        else:
            yield from headroom.limits(found, DEFAULTS)

    def _job(self) -> Iterator[CheckItem]:
        """Let the cluster check a job that asks for nothing, and its pod."""
        request, limit = self._smallest(), Deadline.after(self.runtime.io_timeout_seconds)
        job = job_of(
            request,
            self.settings,
            namespace=self.client.namespace,
            secret="",
            cluster_user=self.namespace.assigns_user(),
        )
        found = attempt(self.client, job, deadline=limit)
        if found.refused or found.waits:
            level = "failed" if found.refused else "warning"
            detail = f"a job that asks for nothing: {'; '.join((*found.refused, *found.waits))}"
            hint = "the same for another job: spawnery plan --validate, with its arguments"
            yield CheckItem(name="job", level=level, detail=detail, hint=hint)
        else:
            yield CheckItem(name="job", detail="; ".join(found.notes))

    def _smallest(self) -> SpawnRequest:
        name = self.runtime.object_name(f"check-{secrets.token_hex(4)}")
        labels = {
            LABEL_INSTANCE: self.runtime.instance,
            LABEL_JOB_ID: name,
            LABEL_SPEC_HASH: "check",
        }
        return SpawnRequest(
            job=JobSpec(image="spawnery-check"),
            spec_hash="check",
            env={},
            secrets={},
            network=None,
            name=name,
            labels=labels,
            retention_seconds=0,
            grace_seconds=1,
            tail_bytes=0,
            deadline=Deadline.after(self.runtime.io_timeout_seconds),
            created=lambda _engine_id: None,
        )

    def _listed(self, kind: str) -> Sequence[Mapping[str, Any]] | None:
        """List objects; None where we may not."""
        try:
            reply = self._call("GET", f"/api/v1/namespaces/{self.client.namespace}/{kind}")
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return None
            raise
        found: Sequence[Mapping[str, Any]] = reply.json()["items"]
        return found

    def _not_visible(self, name: str, rule: Rule) -> CheckItem:
        hint = f"to see it, add to the rules of our Role:\n{rules_yaml(rule.rights())}"
        return CheckItem(name=name, detail="not visible", hint=hint)


def _failed(name: str, error: SpawnerError) -> CheckItem:
    return CheckItem(name=name, level="failed", detail=error.message, hint=error.hint)
