"""What the pods of a network are made of, as the spec says it for seeds, peers and a broker alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from minga_operator.fields import Labels, Model, Name, Opaque, Quantity, rule, rules


class Image(Model):
    """The node's image."""

    repository: str = Field(
        "", max_length=255, description="Repository; empty for the operator's default image"
    )
    tag: str = Field("", max_length=128, pattern=r"^[A-Za-z0-9_.-]*$", description="Tag; empty with a digest")
    digest: str = Field(
        "", pattern=r"^(sha256:[a-f0-9]{64})?$", description="Digest (sha256:…); wins over the tag"
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the kubelet pulls the image"
    )
    pull_secrets: list[Name] = Field(
        default_factory=list, max_length=16, description="Names of Secrets with registry credentials"
    )

    model_config = rules(
        rule(
            # has(): a default is checked before the defaults inside it are filled in.
            "(has(self.repository) && self.repository != '') ||"
            " ((!has(self.tag) || self.tag == '') && (!has(self.digest) || self.digest == ''))",
            "image.repository is needed when image.tag or image.digest is set",
        )
    )

    @property
    def reference(self) -> str:
        """``repository[:tag][@digest]``, or an empty string for the operator's default."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}" if self.repository else ""


class Storage(Model):
    """What a pod keeps its files on."""

    size: Quantity = Field(
        "10Gi",
        description="Size of each pod's volume; it can grow where the storage class allows, never shrink",
    )
    storage_class_name: str | None = Field(
        None, max_length=253, description="Storage class; unset for the cluster's default. Cannot change"
    )
    ephemeral: bool = Field(
        False, description="Keep the files in an emptyDir of that size, lost with the pod; cannot change"
    )

    model_config = rules(
        rule(
            "(has(self.ephemeral) && self.ephemeral) == (has(oldSelf.ephemeral) && oldSelf.ephemeral)",
            "storage.ephemeral cannot change: the files would stay behind. Make another network and"
            " copy them",
        ),
        rule(
            "has(self.storageClassName) == has(oldSelf.storageClassName) &&"
            " (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            "storage.storageClassName cannot change: the volumes that there are keep theirs. Make another"
            " network and copy the files",
        ),
    )


class Resources(Model):
    """Requests and limits of a container."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict, max_length=16, description="What is set aside, by resource name"
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict, max_length=16, description="What is never exceeded, by resource name"
    )


class Placement(Model):
    """Where pods run."""

    resources: Resources = Field(default_factory=Resources, description="Requests and limits of a pod")
    node_selector: Labels = Field(default_factory=dict, description="Labels a Kubernetes node must have")
    tolerations: list[Opaque] = Field(
        default_factory=list, max_length=32, description="Tolerations, as in a pod"
    )
    affinity: Opaque | None = Field(None, description="Affinity, as in a pod")
    topology_spread_constraints: list[Opaque] = Field(
        default_factory=list,
        max_length=16,
        description="Spread constraints, as in a pod; by default pods are spread over Kubernetes nodes",
    )
    priority_class_name: str = Field("", max_length=253, description="Priority class of the pods")
