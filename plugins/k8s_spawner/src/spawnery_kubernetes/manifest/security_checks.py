"""The security floor of a pod: pure.

The fields and what they may hold are those of the Pod Security Standards of Kubernetes 1.34
(kubernetes.io/docs/concepts/security/pod-security-standards), for Linux, and stricter where the
profiles of Spawnery are: no new privileges, a seccomp profile and the same volumes in both, no
capability at all in ``restricted``, never a token of a service account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from spawnery_kubernetes.manifest.containers import Part
from spawnery_kubernetes.options import check_volume

_HOST: Final = ("hostNetwork", "hostPID", "hostIPC")
_CAPABILITIES: Final = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
"""What container engines give by default."""
_SYSCTLS: Final = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
_SELINUX: Final = (
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
)
_PROFILES: Final = ("RuntimeDefault", "Localhost")
"""Of seccomp and of AppArmor."""
_BASELINE: Final = "a job that needs it: security: baseline"
_HANDLERS: Final = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def hold_confinement(pod: Part, *, restricted: bool) -> None:
    """Refuse a pod that reaches beyond its profile.

    Args:
        pod: The pod's spec.
        restricted: Whether the profile is ``restricted``; else it is ``baseline``.

    Raises:
        InvalidSpec: Names the field, and in a list the item by its name.
    """
    for key in _HOST:
        _only(pod.at(key), (False,), "the job does not get the host's")
    if pod.at("automountServiceAccountToken").value is not False:
        pod.at("automountServiceAccountToken").refuse("must stay false: a job gets no token")
    for volume in pod.at("volumes").items():
        check_volume(volume.mapping(), inside=volume.place)
    context = pod.at("securityContext")
    _hold_context(context)
    for sysctl in context.at("sysctls").items():
        if sysctl.at("name").value not in _SYSCTLS:
            sysctl.refuse("reaches beyond the pod")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.at(kind).items():
            _hold_container(container, context, restricted=restricted)


def _hold_context(context: Part) -> None:
    """Hold what pods and containers have alike."""
    _only(context.at("windowsOptions", "hostProcess"), (False,), "the job does not get the host's")
    _only(context.at("seLinuxOptions", "type"), ("", *_SELINUX), "weakens SELinux")
    for key in ("user", "role"):
        _only(context.at("seLinuxOptions", key), ("",), "weakens SELinux")
    _only(context.at("appArmorProfile", "type"), _PROFILES, "weakens AppArmor")


def _hold_container(container: Part, pod: Part, *, restricted: bool) -> None:
    own = container.at("securityContext")
    _hold_context(own)
    _only(own.at("privileged"), (False,), "the job does not get the host")
    if own.at("allowPrivilegeEscalation").value is not False:
        own.at("allowPrivilegeEscalation").refuse("must be false")
    _only(own.at("procMount"), ("Default",), "shows what the engine hides")
    _inherited(own, pod, ("seccompProfile", "type"), _PROFILES)
    for port in container.at("ports").items():
        _only(port.at("hostPort"), (0,), "the job does not get ports of the host")
    for handler in _HANDLERS:
        for kind in ("httpGet", "tcpSocket"):
            host = container.at(*handler, kind, "host")
            _only(host, ("",), "the node would ask another host for the job")
    _hold_capabilities(own.at("capabilities"), restricted=restricted)
    if restricted:
        _inherited(own, pod, ("runAsNonRoot",), (True,))
        for context in (pod, own):
            if context.at("runAsUser").value == 0:
                context.at("runAsUser").refuse("root is not for restricted jobs", _BASELINE)


def _hold_capabilities(capabilities: Part, *, restricted: bool) -> None:
    dropped, added = capabilities.at("drop"), capabilities.at("add")
    if restricted and "ALL" not in _words(dropped):
        dropped.refuse("must have ALL", _BASELINE)
    for name in _words(added):
        if restricted or name not in _CAPABILITIES:
            added.refuse(f"{name} is beyond the job's profile")


def _words(part: Part) -> Iterator[Any]:
    if not isinstance(part.value, list | None):
        part.refuse("must be a list")
    yield from part.value or ()


def _only(part: Part, allowed: tuple[Any, ...], problem: str) -> None:
    """Refuse a value that is set and not among those that are allowed; 0 is not False here."""
    if part.value is not None and not any(
        part.value == good and type(part.value) is type(good) for good in allowed
    ):
        part.refuse(problem)


def _inherited(own: Part, pod: Part, keys: tuple[str, ...], allowed: tuple[Any, ...]) -> None:
    """Hold a field that a container without one takes from its pod."""
    problem = f"must be {' or '.join(str(good) for good in allowed)}"
    for context in (pod, own):
        _only(context.at(*keys), allowed, problem)
    if own.at(*keys).value is None and pod.at(*keys).value is None:
        own.at(*keys).refuse(problem)
