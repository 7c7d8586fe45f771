"""etcd, the API server, the controller manager, the scheduler and CoreDNS, in a sandbox of their own."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .build import Binaries
from .certificates import Authority
from .dns import write_corefile
from .layout import API_SERVICE_ADDRESS, PODS, SERVICES, Layout
from .network import make_switch
from .processes import Process, Sandbox
from .shell import wait_for

# What the pods' service accounts asked for, so that a test can compare a role with its use.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class ControlPlane:
    """The part of the cluster that is no node."""

    layout: Layout

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox(self.process("control"), "control")

    @property
    def authority(self) -> Authority:
        return Authority(self.layout.pki)

    def process(self, name: str) -> Process:
        return Process(self.layout.processes / name, self.layout.logs / f"{name}.log")

    def start(self, binaries: Binaries) -> None:
        """Start everything and return when the API server is ready."""
        self.sandbox.start(binaries.pause)
        make_switch(self.layout, self.sandbox)
        self.authority.make()
        self._run("etcd", "/usr/bin/etcd", *self._etcd())
        self._run("kube-apiserver", binaries.kube, "kube-apiserver", *self._api_server())
        server = self.layout.server
        self.authority.write_kubeconfig(self.layout.kubeconfig, server, "admin", "/O=system:masters/CN=admin")
        self._client("storage", "/O=system:masters/CN=minga:storage")
        self._client("coredns", "/O=system:masters/CN=minga:dns")
        flags = {
            "kube-controller-manager": self._controller_manager(),
            "kube-scheduler": ["--leader-elect=false"],
        }
        for name, own in flags.items():
            self._client(name, f"/CN=system:{name}")
            self._run(name, binaries.kube, name, f"--kubeconfig={self.client(name)}", *own)
        self.wait_ready()
        corefile = write_corefile(self.layout.folder / "Corefile", self.client("coredns"))
        self._run("coredns", binaries.coredns, "-conf", corefile)

    def client(self, name: str) -> Path:
        """The kubeconfig of one of our own processes."""
        return self.layout.pki / f"{name}.kubeconfig"

    def wait_ready(self, seconds: float = 90) -> None:
        """Return when /readyz says ok; raises ClusterError when the API server ends or time is up."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        server = self.process("kube-apiserver")

        def ready() -> bool:
            server.check()
            try:
                with urllib.request.urlopen(
                    f"{self.layout.server}/readyz", timeout=2, context=context
                ) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        wait_for(f"the API server ready (log: {server.log})", ready, seconds)

    def _client(self, name: str, subject: str) -> None:
        self.authority.write_kubeconfig(self.client(name), self.layout.server, name, subject)

    def _run(self, name: str, *argv: str | Path) -> None:
        self.process(name).start(self.sandbox.inside(*argv))

    def _etcd(self) -> list[str]:
        return [
            f"--data-dir={self.layout.folder / 'etcd'}",
            "--unsafe-no-fsync",  # a test's state is not worth waiting for the disk
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
        ]

    def _api_server(self) -> list[str]:
        layout, authority = self.layout, self.authority
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
        names.append("kubernetes.default.svc.cluster.local")
        addresses = [layout.control_address, API_SERVICE_ADDRESS, "127.0.0.1"]
        alternative = (*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses))
        certificate, key = authority.issue("kube-apiserver", "/CN=kube-apiserver", alternative)
        to_kubelet, to_kubelet_key = authority.issue("to-kubelet", "/O=system:masters/CN=kube-apiserver")
        policy = layout.folder / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        return [
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={layout.control_address}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--client-ca-file={authority.certificate}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={authority.service_accounts.with_suffix('.pub')}",
            f"--service-account-signing-key-file={authority.service_accounts}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--kubelet-client-certificate={to_kubelet}",
            f"--kubelet-client-key={to_kubelet_key}",
            f"--kubelet-certificate-authority={authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
            # No kube-proxy runs beside it: webhooks and aggregated APIs are called at their pods.
            "--enable-aggregator-routing=true",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={layout.audit_log}",
            # Pods leave a node that is gone after 10 s, not 5 minutes.
            "--default-not-ready-toleration-seconds=10",
            "--default-unreachable-toleration-seconds=10",
            "--profiling=false",
        ]

    def _controller_manager(self) -> list[str]:
        authority = self.authority
        return [
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={authority.service_accounts}",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            f"--cluster-cidr={PODS}",
            "--allocate-node-cidrs=false",
            # A node that is silent for this long is gone; the default is 50 s.
            "--node-monitor-grace-period=20s",
            "--node-monitor-period=2s",
        ]
