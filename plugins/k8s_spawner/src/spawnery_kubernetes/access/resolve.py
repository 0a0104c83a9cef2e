"""Where the cluster is and who we are: the settings, ``KUBECONFIG``, our own pod, ``~/.kube``."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen
from spawnery.errors import ConfigurationError
from spawnery.toolkit import proxies

from spawnery_kubernetes.access import kubeconfig
from spawnery_kubernetes.access.credentials import Credentials, Identity, Proof, of_token_file
from spawnery_kubernetes.settings import KubernetesSettings

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account (kubernetes.io, accessing the API from a pod)."""
_DEFAULT_NAMESPACE: Final = "default"
_EXTENSION: Final = "client.authentication.k8s.io/exec"


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
    proxy: str | None = field(default=None, repr=False)
    credentials: Credentials = field(repr=False)
    namespace: str
    told: str

    def identity(self, limit: float) -> Identity:
        """Return who we are.

        Args:
            limit: Seconds that it may take to find out.

        Raises:
            ConfigurationError: It is not known, or would be told to anybody on the way.
            EngineError: It takes longer.
        """
        found, address = self.credentials.identity(limit), urlsplit(self.server)
        if address.scheme == "https" and found.anonymous:
            msg = f"there are no credentials for the cluster ({self.told})"
            raise ConfigurationError(msg, hint="kubectl config set-credentials -h")
        exposed = address.scheme == "http" and not proxies.is_loopback(address.hostname or "")
        if exposed and not found.anonymous:
            msg = f"credentials are not sent to {self.server}, where anybody can read them"
            raise ConfigurationError(msg, hint="the server's address must begin with https://")
        return found


def resolve_access(
    settings: KubernetesSettings, environ: Mapping[str, str], *, account: Path = ACCOUNT
) -> Access:
    """Find the cluster; nothing is asked of it yet, and no command is run.

    A kubeconfig that is named comes first, then our own pod's account, then ``~/.kube/config``.

    Args:
        settings: Ours.
        environ: Our own environment.
        account: Folder of our own pod's service account.

    Raises:
        ConfigurationError: There is none, or what names it is broken.
    """
    asked = settings.kubeconfig or environ.get("KUBECONFIG")
    if asked:
        source = "KUBECONFIG" if settings.kubeconfig is None else "the settings"
        paths = [Path(part).expanduser() for part in asked.split(os.pathsep) if part]
        # As kubectl does it: of several files, those that are not there are passed over.
        paths = [path for path in paths if path.exists()] or paths[:1]
        return _of_kubeconfig(paths, settings, environ, source)
    if settings.context is None and environ.get("KUBERNETES_SERVICE_HOST"):
        return _of_own_pod(settings, environ, account)
    home = environ.get("HOME")
    path = (Path(home) if home else Path.home()) / ".kube" / "config"
    if not path.exists():
        msg = "no cluster is known: KUBECONFIG is not set, this is no pod of a cluster, and there"
        msg += f" is no {path}"
        hint = "name a kubeconfig in KUBECONFIG, or in SPAWNERY_KUBERNETES_KUBECONFIG"
        raise ConfigurationError(msg, hint=hint)
    return _of_kubeconfig([path], settings, environ, "the default place")


def _of_kubeconfig(
    paths: Sequence[Path], settings: KubernetesSettings, environ: Mapping[str, str], source: str
) -> Access:
    config = kubeconfig.read(paths)
    name = settings.context or config.current
    if not name:
        msg = f"the kubeconfig {config.files} has no current context"
        hint = "name one in SPAWNERY_KUBERNETES_CONTEXT; there are: kubectl config get-contexts"
        raise ConfigurationError(msg, hint=hint)
    context = config.entry("contexts", name).value
    cluster = config.entry("clusters", str(context.get("cluster") or ""))
    user = config.entry("users", str(context["user"])) if context.get("user") else None
    server = _server(cluster)
    verify = not cluster.value.get("insecure-skip-tls-verify")
    authority = kubeconfig.data_or_file(cluster, "certificate-authority")
    facts = _facts(cluster, server, authority)

    def find(limit: float) -> Proof:
        # Read again each time: another program may have put new credentials there.
        there = kubeconfig.read(paths).entry("users", user.name if user else "")
        return kubeconfig.proof_of(there, cluster=facts, environ=environ, limit=limit)

    unsafe = "" if verify else ", whose certificate is not checked (insecure-skip-tls-verify)"
    return Access(
        server=server,
        authority=authority,
        verify=verify,
        server_name=cluster.value.get("tls-server-name") or None,
        proxy=_proxy(cluster, server, environ),
        credentials=Credentials(find if user else _nobody),
        namespace=settings.namespace or str(context.get("namespace") or _DEFAULT_NAMESPACE),
        told=f"context {name} of {config.files} ({source}): {server}{unsafe}",
    )


def _nobody(_limit: float) -> Proof:
    """Stand for a context without a user, as ``kubectl proxy`` needs none."""
    return Proof(identity=Identity())


def _server(cluster: kubeconfig.Entry) -> str:
    server = str(cluster.value.get("server") or "").rstrip("/")
    if urlsplit(server).scheme not in {"http", "https"} or not urlsplit(server).hostname:
        msg = f"the kubeconfig {cluster.file} has no address of a server in its cluster"
        msg += f" {cluster.name!r}: {server!r}"
        hint = "its server must begin with https://: kubectl config set-cluster --help"
        raise ConfigurationError(msg, hint=hint)
    return server


def _proxy(cluster: kubeconfig.Entry, server: str, environ: Mapping[str, str]) -> str | None:
    if cluster.value.get("proxy-url"):
        where = f"proxy-url of the cluster {cluster.name!r}"
        return proxies.checked(str(cluster.value["proxy-url"]), where)
    return proxies.proxy_for(server, environ)


def _facts(cluster: kubeconfig.Entry, server: str, authority: bytes | None) -> Mapping[str, Any]:
    """Return what a command for credentials may be told (ExecCredential, spec.cluster)."""
    extensions = cluster.value.get("extensions") or ()
    found: dict[str, Any] = {"server": server}
    if authority is not None:
        found["certificate-authority-data"] = base64.b64encode(authority).decode()
    for name in ("tls-server-name", "insecure-skip-tls-verify", "proxy-url"):
        if cluster.value.get(name):
            found[name] = cluster.value[name]
    for extension in extensions:
        if isinstance(extension, Mapping) and extension.get("name") == _EXTENSION:
            found["config"] = extension.get("extension")
    return found


def _of_own_pod(settings: KubernetesSettings, environ: Mapping[str, str], account: Path) -> Access:
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT") or "443"
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        authority = (account / "ca.crt").read_bytes()
        own = (account / "namespace").read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"our own pod has no service account to use: {error.filename}: {error.strerror}"
        hint = (
            "its spec needs automountServiceAccountToken: true; or name a kubeconfig in KUBECONFIG"
        )
        raise ConfigurationError(msg, hint=hint) from None
    return Access(
        server=server,
        authority=authority,
        proxy=proxies.proxy_for(server, environ),
        credentials=Credentials(lambda _limit: of_token_file(account / "token")),
        namespace=settings.namespace or own or _DEFAULT_NAMESPACE,
        told=f"the service account of our own pod: {server}",
    )
