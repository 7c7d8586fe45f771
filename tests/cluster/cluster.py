"""What a test holds: a Kubernetes cluster, ours or one that already exists."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import images, network, oci, policy
from .build import ensure_binaries
from .layout import Layout, usual_name
from .lifecycle import Lifecycle
from .shell import ClusterError, run

ALL_IMAGES = ("base", "rabbitmq", "node", "operator")


@dataclass(frozen=True)
class Cluster:
    """One cluster. `layout` is None for one that somebody else made."""

    kubeconfig: Path
    layout: Layout | None = None

    @classmethod
    def ensure(cls, nodes: int = 1, name: str | None = None) -> Cluster:
        """The cluster of that name with at least that many nodes, brought up if need be.

        Without a name MINGA_TEST_CLUSTER has it, else it is `default`. With MINGA_TEST_CLUSTER=existing it is
        always the one that KUBECONFIG leads to, as it is.
        """
        if os.environ.get("MINGA_TEST_CLUSTER") == "existing":
            kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
            if not kubeconfig.exists():
                raise ClusterError(f"MINGA_TEST_CLUSTER=existing, but KUBECONFIG {kubeconfig} does not exist")
            return cls(kubeconfig)
        layout = Layout(name or usual_name())
        Lifecycle(layout).up(nodes)
        return cls(layout.kubeconfig, layout)

    def kubectl(self, *args: str | Path, input: str | None = None, timeout: float = 60) -> str:  # noqa: A002
        """Run kubectl and return its output; raises ClusterError with what it complained about."""
        program = shutil.which("kubectl") if self.layout is None else ensure_binaries().kubectl
        return run(program or "kubectl", *args, stdin=input, timeout=timeout, env=self.environment())

    def helm(self, *args: str | Path, timeout: float = 300) -> str:
        """Run helm and return its output; raises ClusterError with what it complained about."""
        program = shutil.which("helm") if self.layout is None else ensure_binaries().helm
        return run(program or "helm", *args, timeout=timeout, env=self.environment())

    def environment(self) -> dict[str, str]:
        """The variables by which any client finds this cluster, and helm keeps away from the user's files."""
        variables = {"KUBECONFIG": str(self.kubeconfig)}
        if self.layout is not None:
            for kind in ("CACHE", "CONFIG", "DATA"):
                variables[f"HELM_{kind}_HOME"] = str(self.layout.folder / "helm" / kind.lower())
        return variables

    def load_images(
        self, names: Sequence[str] = ALL_IMAGES, tags: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, str]:
        """Build what changed and give it to every node; returns each image's name for a pod's spec.

        `names` are of base, rabbitmq, node and operator; each is called minga-NAME:test. `tags` adds names,
        like {"node": ["minga-node:test2"]}, by which an upgrade can be tried. An existing cluster gets
        nothing: there the images must be where its nodes pull them.
        """
        unknown = sorted(set(names) - set(ALL_IMAGES))
        if unknown:
            raise ClusterError(f"no such image: {', '.join(unknown)}; there are {', '.join(ALL_IMAGES)}")
        usual = {name: f"minga-{name}:test" for name in names}
        if self.layout is None:
            return usual
        wanted: dict[str, oci.Image] = {}
        for name in names:
            image = _image(name)
            for reference in (usual[name], *(tags or {}).get(name, ())):
                wanted[f"docker.io/library/{reference}"] = image
        Lifecycle(self.layout).send_images(wanted)
        return usual

    def load_images_of(self, repository: Path, references: Mapping[str, str]) -> None:
        """Build images of another source tree and give them to every node.

        `references` are names for a pod's spec by image, like {"operator": "minga-operator:newer"}.
        """
        built = {
            f"docker.io/library/{reference}": images.project_image(name, repository)
            for name, reference in references.items()
        }
        self._own().send_images(built)

    def nodes(self) -> list[str]:
        """The names of its nodes."""
        return self.kubectl("get", "nodes", "--output=jsonpath={.items[*].metadata.name}").split()

    def cut(self, node: str) -> None:
        """Cut a node off: it and its pods run on, and nobody reaches them. `node1`, `node2` and so on."""
        self._own().cut(node)

    def heal(self, node: str) -> None:
        """Undo `cut`."""
        self._own().heal(node)

    @contextmanager
    def enforcing_policies(self) -> Iterator[None]:
        """Meanwhile all nodes enforce NetworkPolicy; usually nothing does."""
        with policy.enforced(self._own()):
            yield

    @contextmanager
    def unanswered(self, address: str) -> Iterator[None]:
        """Meanwhile the API server answers nothing to that address; a pod there runs on."""
        control = self._own().sandbox("control")
        network.mute(control, address)
        try:
            yield
        finally:
            network.unmute(control, address)

    def down(self) -> None:
        """Remove it with everything in it."""
        self._own().down()

    @property
    def audit_log(self) -> Path:
        """What pods' service accounts asked the API server: one audit.k8s.io/v1 Event a line."""
        if self.layout is None:
            raise ClusterError("the audit log of an existing cluster is not ours to read")
        return self.layout.audit_log

    def _own(self) -> Lifecycle:
        if self.layout is None:
            raise ClusterError("this needs a cluster of our own; MINGA_TEST_CLUSTER=existing names another")
        return Lifecycle(self.layout)


def _image(name: str) -> oci.Image:
    if name == "base":
        return images.base_image()[1]
    if name == "rabbitmq":
        return images.rabbitmq_image()
    return images.project_image(name)
