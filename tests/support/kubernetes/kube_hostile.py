"""Patches of a pod that reach for more than a job may have, and such that do not: by name."""

from __future__ import annotations

from typing import Any


def _job(**fields: Any) -> dict[str, Any]:
    """Return a patch of the job's own container."""
    return {"containers": [{"name": "job", **fields}]}


def _context(**fields: Any) -> dict[str, Any]:
    """Return a patch of the security context of the job's own container."""
    return _job(securityContext=fields)


def _volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


_CONTEXT = "containers[job].securityContext"
_ADDED = {"name": "side", "image": "busybox"}
_PRIVILEGED = {"privileged": True, "allowPrivilegeEscalation": None}
_SEEN = {"path": "/", "port": 80, "host": "10.0.0.1"}

HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    # what: patch of the pod, the place that is named; refused in both profiles
    "the host's network": ({"hostNetwork": True}, "hostNetwork"),
    "the host's processes": ({"hostPID": True}, "hostPID"),
    "the host's memory": ({"hostIPC": True}, "hostIPC"),
    "a path of the host": (_volume(hostPath={"path": "/"}), "volumes[v].hostPath"),
    "a process of the host": (
        {"securityContext": {"windowsOptions": {"hostProcess": True}}, "hostNetwork": True},
        "hostNetwork",
    ),
    "privileged": (
        _context(**_PRIVILEGED),
        f"{_CONTEXT}.privileged",
    ),
    "a capability of the host": (
        _context(capabilities={"add": ["SYS_ADMIN"]}),
        f"{_CONTEXT}.capabilities.add",
    ),
    "every capability": (
        _context(capabilities={"add": ["ALL"]}),
        f"{_CONTEXT}.capabilities.add",
    ),
    "an unmasked /proc": (
        _context(procMount="Unmasked") | {"hostUsers": False},
        f"{_CONTEXT}.procMount",
    ),
    "no seccomp in the pod": (
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        "securityContext.seccompProfile.type",
    ),
    "no seccomp in the container": (
        _context(seccompProfile={"type": "Unconfined"}),
        f"{_CONTEXT}.seccompProfile.type",
    ),
    "no AppArmor in the pod": (
        {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        "securityContext.appArmorProfile.type",
    ),
    "no AppArmor in the container": (
        _context(appArmorProfile={"type": "Unconfined"}),
        f"{_CONTEXT}.appArmorProfile.type",
    ),
    "a type of SELinux": (
        _context(seLinuxOptions={"type": "spc_t"}),
        f"{_CONTEXT}.seLinuxOptions.type",
    ),
    "a user of SELinux": (
        {"securityContext": {"seLinuxOptions": {"user": "system_u"}}},
        "securityContext.seLinuxOptions.user",
    ),
    "a port of the host": (
        _job(ports=[{"containerPort": 80, "hostPort": 80}]),
        "containers[job].ports[0].hostPort",
    ),
    "a sysctl of the node": (
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "securityContext.sysctls[kernel.msgmax]",
    ),
    "a probe of another host": (
        {
            "initContainers": [
                {**_ADDED, "restartPolicy": "Always", "startupProbe": {"httpGet": _SEEN}}
            ]
        },
        "initContainers[side].startupProbe.httpGet.host",
    ),
    "a hook to another host": (
        _job(lifecycle={"preStop": {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}}),
        "containers[job].lifecycle.preStop.tcpSocket.host",
    ),
    "a privileged sidecar": (
        {"containers": [{**_ADDED, "securityContext": _PRIVILEGED}]},
        "containers[side].securityContext.privileged",
    ),
    "a privileged init container": (
        {"initContainers": [{**_ADDED, "securityContext": _PRIVILEGED}]},
        "initContainers[side].securityContext.privileged",
    ),
    "a port of the host for a sidecar": (
        {"containers": [{**_ADDED, "ports": [{"containerPort": 80, "hostPort": 8080}]}]},
        "containers[side].ports[0].hostPort",
    ),
}

HOSTILE_RESTRICTED: dict[str, tuple[dict[str, Any], str]] = {
    # what: patch of the pod, the place that is named; refused in the restricted profile
    "root": (_context(runAsUser=0), f"{_CONTEXT}.runAsUser"),
    "root for the pod": ({"securityContext": {"runAsUser": 0}}, "securityContext.runAsUser"),
    "perhaps root": (_context(runAsNonRoot=False), f"{_CONTEXT}.runAsNonRoot"),
    "perhaps root, unsaid": (
        {"securityContext": {"runAsNonRoot": None}},
        f"{_CONTEXT}.runAsNonRoot",
    ),
    "perhaps root for the pod": (
        {"securityContext": {"runAsNonRoot": False}, **_context(runAsNonRoot=True)},
        "securityContext.runAsNonRoot",
    ),
    "new privileges": (
        _context(allowPrivilegeEscalation=True),
        f"{_CONTEXT}.allowPrivilegeEscalation",
    ),
    "new privileges, unsaid": (
        _context(allowPrivilegeEscalation=None),
        f"{_CONTEXT}.allowPrivilegeEscalation",
    ),
    "the engine's capabilities": (_context(capabilities=None), f"{_CONTEXT}.capabilities.drop"),
    "some of them": (
        _context(capabilities={"drop": ["CHOWN", "KILL"]}),
        f"{_CONTEXT}.capabilities.drop",
    ),
    "one of them": (
        _context(capabilities={"add": ["CHOWN"]}),
        f"{_CONTEXT}.capabilities.add",
    ),
    "seccomp unsaid": (
        {"securityContext": {"seccompProfile": None}},
        f"{_CONTEXT}.seccompProfile.type",
    ),
    "a volume of the network": (
        _volume(nfs={"server": "10.0.0.1", "path": "/"}),
        "volumes[v].nfs",
    ),
    "an init container that may be root": (
        {"initContainers": [{**_ADDED, "securityContext": {"runAsNonRoot": False}}]},
        "initContainers[side].securityContext.runAsNonRoot",
    ),
    "a sidecar with capabilities": (
        {"containers": [{**_ADDED, "securityContext": {"capabilities": {"drop": None}}}]},
        "containers[side].securityContext.capabilities.drop",
    ),
}

STRICTER: dict[str, tuple[dict[str, Any], str]] = {
    # what: patch of the pod, the place that is named; refused though "restricted" admits it
    "a token": ({"automountServiceAccountToken": True}, "automountServiceAccountToken"),
    "a token, unsaid": ({"automountServiceAccountToken": None}, "automountServiceAccountToken"),
    "a token in a volume": (
        _volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}),
        "volumes[v].projected.sources[0].serviceAccountToken",
    ),
    "a low port": (
        _context(capabilities={"add": ["NET_BIND_SERVICE"]}),
        f"{_CONTEXT}.capabilities.add",
    ),
}

HARMLESS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a name server": {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.1"]}},
    "a name": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}]},
    "its own host name": {"hostname": "agent"},
    "a node": {"nodeSelector": {"pool": "a"}, "tolerations": [{"operator": "Exists"}]},
    "a scheduler": {"schedulerName": "other"},
    "namespaces of its own": {"hostUsers": False},
    "said again": {"hostNetwork": False, "hostPID": False, "hostIPC": False},
    "another user": {"securityContext": {"runAsUser": 1000, "fsGroup": 1000}},
    "a safe sysctl": {
        "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}
    },
    "a read-only root": _context(readOnlyRootFilesystem=True),
    "a profile of seccomp": _context(
        seccompProfile={"type": "Localhost", "localhostProfile": "job.json"}
    ),
    "a type of SELinux for containers": _context(seLinuxOptions={"type": "container_t"}),
    "a variable": _job(env=[{"name": "MORE", "value": "1"}]),
    "a resource": _job(resources={"limits": {"example.com/fpga": "1"}}),
    "a port": _job(ports=[{"containerPort": 80}]),
    "a hook": _job(lifecycle={"preStop": {"exec": {"command": ["sync"]}}}),
    "a volume": _volume(emptyDir={}) | _job(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
    "a claim": _volume(persistentVolumeClaim={"claimName": "c"}),
    "a projected volume": _volume(projected={"sources": [{"configMap": {"name": "c"}}]}),
    "a sidecar": {"initContainers": [{**_ADDED, "restartPolicy": "Always"}]},
    "two more containers": {
        "containers": [_ADDED],
        "initContainers": [{**_ADDED, "name": "first"}],
    },
}
