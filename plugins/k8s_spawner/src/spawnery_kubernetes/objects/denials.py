"""Why the cluster takes no pod of a Job, by the words of its ``FailedCreate`` events: pure.

The words are those of the API server's admission plugins (kubernetes, plugin/pkg/admission).
"""

from __future__ import annotations

import contextlib
import re
from typing import Final

from spawnery.errors import InvalidSpec
from spawnery.model import parse_quantity

from spawnery_kubernetes.objects.findings import Finding, Kind, Patience, kind_of, quote

_QUOTA: Final = re.compile(
    r"exceeded quota: [^,]+, requested: (?P<wanted>\S+), used: \S+, limited: (?P<hard>\S+)"
)
KINDS: Final = (
    Kind(
        words=r"exceeded quota",
        cause="quota",
        message="the namespace's quota is used up",
        hint="wait until other jobs end, ask for less, or raise it: kubectl -n {ns} describe quota",
        patience=Patience.ENDLESS,
    ),
    Kind(
        words=r"failed quota: .* must specify",
        cause="quota",
        message="the namespace's quota wants a resource to be named that the job leaves out",
        hint="what it wants: kubectl -n {ns} describe quota",
    ),
    Kind(
        words=r"(maximum|minimum) \S+ usage per|max limit to request ratio",
        cause="quota",
        message="a LimitRange of the namespace does not allow what the job asks for",
        hint="ask for what it allows: kubectl -n {ns} describe limitrange",
    ),
    Kind(
        words=r"violates PodSecurity",
        cause="security.forbidden",
        message="the namespace's Pod Security level forbids this pod",
        hint="use security=restricted, or another namespace;"
        " its level: kubectl get namespace {ns} --show-labels",
    ),
    Kind(
        words=r"failed calling webhook|no endpoints available for service",
        cause="engine.error",
        message="an admission webhook of the cluster does not answer",
        hint="its owner must repair it: kubectl get validatingwebhookconfigurations,"
        "mutatingwebhookconfigurations",
        patience=Patience.START,
    ),
    Kind(
        words=r"admission webhook .* denied the request|ValidatingAdmissionPolicy .* denied",
        cause="security.forbidden",
        message="a policy of the cluster forbids this pod",
        hint="its words say what it wants: {look}",
    ),
    Kind(
        words=r"serviceaccount .* not found|error looking up service account",
        cause="start.failed",
        message="the service account does not exist",
        hint="kubectl -n {ns} get serviceaccounts; name one: options.kubernetes.service_account",
        patience=Patience.START,
    ),
    Kind(
        words=r"no PriorityClass with name",
        cause="start.failed",
        message="the priority class does not exist",
        hint="kubectl get priorityclasses",
        patience=Patience.START,
    ),
    Kind(
        words=r"RuntimeClass .* not found",
        cause="start.failed",
        message="the runtime class does not exist",
        hint="kubectl get runtimeclasses",
        patience=Patience.START,
    ),
    Kind(
        words=r"is being terminated",
        cause="namespace.not_found",
        message="the namespace is being deleted",
        hint="kubectl get namespace {ns}",
    ),
)


def denial(text: str, namespace: str, look: str) -> Finding:
    """Say why the cluster takes no pod.

    Args:
        text: The message of the event.
        namespace: Where the Job is.
        look: The command that shows more.
    """
    kind = kind_of(KINDS, text)
    said = f"the cluster says: {quote(text)}"
    if kind is None:
        # What the API server refuses may be let through later; nobody can tell.
        message = f"the cluster takes no pod of it; {said}"
        return Finding(cause="start.failed", message=message, hint=look, patience=Patience.START)
    if _never_fits(text):
        return Finding(
            cause=kind.cause,
            message=f"it asks for more than the namespace's whole quota; {said}",
            hint=f"ask for less, or raise it: kubectl -n {namespace} describe quota",
        )
    return Finding(
        cause=kind.cause,
        message=f"{kind.message}; {said}",
        hint=kind.hint.replace("{ns}", namespace).replace("{look}", look),
        patience=kind.patience,
    )


def _never_fits(text: str) -> bool:
    """Tell whether a job asks for more than a quota has in all."""
    match = _QUOTA.search(text)
    if match is None:
        return False
    hard = dict(item.split("=", 1) for item in match["hard"].split(",") if "=" in item)
    for item in match["wanted"].split(","):
        name, _, wanted = item.partition("=")
        with contextlib.suppress(InvalidSpec):
            if name in hard and parse_quantity(wanted) > parse_quantity(hard[name]):
                return True
    return False
