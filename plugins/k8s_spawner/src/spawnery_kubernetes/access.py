"""Where the cluster is and who we are: the settings, ``KUBECONFIG``, our own pod, ``~/.kube``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen
from spawnery.errors import ConfigurationError

from spawnery_kubernetes import kubeconfig
from spawnery_kubernetes.credentials import Credentials, of_token_file
from spawnery_kubernetes.settings import KubernetesSettings

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_NAMESPACE: Final = "default"


@frozen(kw_only=True)
class Access:
    """Everything that a connection needs.

    Attributes:
        server: ``https://host:port[/path]``.
        authority: Certificates of the server's authority, PEM; the system's where None.
        verify: False only where a kubeconfig says ``insecure-skip-tls-verify``.
        server_name: What the server's certificate is for, where it is not the host.
        proxy: Address of an HTTP proxy on the way.
        credentials: Who we are.
        namespace: Of all jobs.
        told: Where all this comes from, for a person.
    """

    server: str
    authority: bytes | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None
    credentials: Credentials = field(repr=False)
    namespace: str
    told: str


def resolve_access(settings: KubernetesSettings, environ: Mapping[str, str]) -> Access:
    """Find the cluster; nothing is asked of it yet.

    Args:
        settings: Ours.
        environ: Our own environment.

    Raises:
        ConfigurationError: There is none, or what names it is broken.
    """
    asked = settings.kubeconfig or environ.get("KUBECONFIG")
    if asked is None and settings.context is None and environ.get("KUBERNETES_SERVICE_HOST"):
        return _of_own_pod(settings, environ)
    if asked is not None:
        paths = [Path(part).expanduser() for part in asked.split(os.pathsep) if part]
        paths = [path for path in paths if path.exists()] or paths[:1]
    else:
        home = environ.get("HOME")
        paths = [(Path(home) if home else Path.home()) / ".kube" / "config"]
        if not paths[0].exists():
            msg = "no cluster is known: KUBECONFIG is not set, there is no ~/.kube/config, and this"
            msg += " is no pod of a cluster"
            hint = "export KUBECONFIG=..., or SPAWNERY_KUBERNETES_KUBECONFIG=..."
            raise ConfigurationError(msg, hint=hint)
    return _of_kubeconfig(paths, settings, environ)


def _of_kubeconfig(
    paths: list[Path], settings: KubernetesSettings, environ: Mapping[str, str]
) -> Access:
    config = kubeconfig.read(paths)
    name = settings.context or config.current
    if not name:
        msg = f"the kubeconfig {config.files} has no current context"
        hint = "export SPAWNERY_KUBERNETES_CONTEXT=..., or: kubectl config use-context NAME"
        raise ConfigurationError(msg, hint=hint)
    context = config.entry("contexts", name).value
    cluster = config.entry("clusters", str(context.get("cluster") or ""))
    user = str(context.get("user") or "")
    server = str(cluster.value.get("server") or "")
    if not server.startswith(("https://", "http://")):
        msg = f"the kubeconfig {cluster.file} has no address of a server in context {name!r}"
        raise ConfigurationError(msg, hint="kubectl config set-cluster -h")
    namespace = settings.namespace or context.get("namespace") or _DEFAULT_NAMESPACE
    return Access(
        server=server.rstrip("/"),
        authority=kubeconfig.data_or_file(cluster, "certificate-authority"),
        verify=not cluster.value.get("insecure-skip-tls-verify"),
        server_name=cluster.value.get("tls-server-name"),
        proxy=cluster.value.get("proxy-url"),
        credentials=kubeconfig.credentials_of(config.entry("users", user), user, environ),
        namespace=str(namespace),
        told=f"context {name} of {config.files}",
    )


def _of_own_pod(settings: KubernetesSettings, environ: Mapping[str, str]) -> Access:
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    where = f"[{host}]" if ":" in host else host
    try:
        authority = (_ACCOUNT / "ca.crt").read_bytes()
        own = (_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"this pod has no service account token to use: {error.filename}: {error.strerror}"
        hint = "set automountServiceAccountToken: true for this pod, or export KUBECONFIG=..."
        raise ConfigurationError(msg, hint=hint) from None
    return Access(
        server=f"https://{where}:{port}",
        authority=authority,
        credentials=of_token_file(_ACCOUNT / "token"),
        namespace=settings.namespace or own or _DEFAULT_NAMESPACE,
        told="the service account of our own pod",
    )
