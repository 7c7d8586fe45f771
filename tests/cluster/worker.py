"""One Kubernetes node: a sandbox that looks like a machine, with containerd, kubelet and kube-proxy in it.

The sandbox has /run, /var/lib and /var/log to itself, so every node keeps the usual paths.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .build import Binaries
from .certificates import Authority
from .cgroups import make_cgroup
from .layout import DNS_ADDRESS, PODS, Layout, Node
from .processes import Process, Sandbox
from .shell import run, wait_for

PAUSE_IMAGE = "docker.io/library/minga-pause:test"
SOCKET = "/run/containerd/containerd.sock"

# What the sandbox sees at a path, and the folder of the node's own in which that is kept.
_KEPT = {
    "/var/lib/containerd": "containerd",
    "/var/lib/kubelet": "kubelet",
    "/var/lib/volumes": "volumes",
    "/var/log/pods": "pods",
    "/var/lib/cni/net.d": "cni",
}
# kubelet sets these for the whole machine; it leaves them alone when they seem to have its values already.
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
}

_CONTAINERD = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without the right to lower it (CAP_SYS_RESOURCE) runc would die on a lower score.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/var/lib/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


@dataclass(frozen=True)
class Worker:
    """The processes of one node."""

    layout: Layout
    node: Node

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox(self.process("holder"), self.node.name)

    def process(self, name: str) -> Process:
        full = f"{self.node.name}-{name}"
        return Process(self.layout.processes / full, self.layout.logs / f"{full}.log")

    def prepare(self, binaries: Binaries) -> None:
        """Make the sandbox, with its folders; the network is plugged in by the caller."""
        self.node.folder.mkdir(parents=True)
        make_cgroup(self.node.cgroup)
        self.sandbox.start(binaries.pause)
        for folder in ("/run", "/var/lib", "/var/log"):
            self._inside("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
        for target, name in _KEPT.items():
            (self.node.folder / name).mkdir()
            self._inside("mkdir", "-p", target)
            self._inside("mount", "--bind", self.node.folder / name, target)
        settings = self.node.folder / "settings"
        settings.mkdir()
        for name, value in _KERNEL_SETTINGS.items():
            file = settings / name.replace("/", ".")
            file.write_text(f"{value}\n")
            self._inside("mount", "--bind", file, f"/proc/sys/{name}")

    def start_containerd(self) -> None:
        """Start it and return when it answers."""
        config = self._write("containerd.toml", _CONTAINERD)
        (self.node.folder / "cni" / "10-bridge.conflist").write_text(json.dumps(self._cni(), indent=1))
        containerd = self.process("containerd")
        containerd.start(self.sandbox.inside("/usr/bin/containerd", "--config", config))

        def answers() -> bool:
            containerd.check()
            self.ctr("version")
            return True

        wait_for(f"containerd of {self.node.name}", answers, 30)

    def start_kubelet(self, binaries: Binaries, authority: Authority) -> None:
        """Start kubelet and kube-proxy; the node registers itself and is Ready some seconds later."""
        node, server = self.node, self.layout.server
        client, proxy = (authority.folder / f"{node.name}-{name}.kubeconfig" for name in ("kubelet", "proxy"))
        authority.write_kubeconfig(client, server, "kubelet", f"/O=system:nodes/CN=system:node:{node.name}")
        authority.write_kubeconfig(proxy, server, "kube-proxy", "/CN=system:kube-proxy")
        config = self._write("kubelet.json", json.dumps(self._kubelet(authority), indent=1))
        self.process("kubelet").start(
            self.sandbox.inside(
                binaries.kube,
                "kubelet",
                f"--config={config}",
                f"--kubeconfig={client}",
                f"--hostname-override={node.name}",
                f"--node-ip={node.address}",
                f"--node-labels=topology.kubernetes.io/zone=zone{node.index}",
            )
        )
        config = self._write("kube-proxy.json", json.dumps(self._kube_proxy(proxy), indent=1))
        self.process("kube-proxy").start(
            self.sandbox.inside(binaries.kube, "kube-proxy", f"--config={config}")
        )

    def check(self) -> None:
        """Raise ClusterError when one of its processes has ended."""
        for name in ("holder", "containerd", "kubelet", "kube-proxy"):
            self.process(name).check()

    def ctr(self, *words: str, timeout: float = 60) -> str:
        """containerd's own client, in the namespace of Kubernetes' images."""
        return run(*self.ctr_command(*words), timeout=timeout)

    def ctr_command(self, *words: str) -> list[str]:
        return self.sandbox.inside("/usr/bin/ctr", "--address", SOCKET, "--namespace", "k8s.io", *words)

    def _inside(self, *words: str | Path) -> None:
        run(*self.sandbox.inside(*words), timeout=10)

    def _write(self, name: str, content: str) -> Path:
        path = self.node.folder / name
        path.write_text(content)
        return path

    def _cni(self) -> dict[str, Any]:
        """The network of the node's pods: no masquerading, everybody has a route to them."""
        ranges = [[{"subnet": self.node.pods}]]
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
        }
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}

    def _kubelet(self, authority: Authority) -> dict[str, Any]:
        names = (f"DNS:{self.node.name}", f"IP:{self.node.address}")
        subject = f"/O=system:nodes/CN=system:node:{self.node.name}"
        certificate, key = authority.issue(f"{self.node.name}-serving", subject, names)
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.node.cgroup,
            "failSwapOn": False,
            "failCgroupV1": False,
            "resolvConf": "",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "oomScoreAdj": 0,
            "maxPods": 200,
            "nodeStatusUpdateFrequency": "4s",
            "nodeLeaseDurationSeconds": 12,
            "syncFrequency": "20s",
            # The images were loaded, not pulled: one that is collected would be gone for good.
            "imageGCHighThresholdPercent": 100,
            # Nodes share one disk, which may be fairly full without a pod being to blame.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1Gi",
                "imagefs.available": "1Gi",
            },
        }

    def _kube_proxy(self, kubeconfig: Path) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "mode": "iptables",
            "hostnameOverride": self.node.name,
            "clusterCIDR": PODS,
            "oomScoreAdj": 0,
            # The size of the connection table is the whole machine's; not to be set from a sandbox.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
