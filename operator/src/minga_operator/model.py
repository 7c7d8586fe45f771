"""The ``spec`` of a P2PNetwork: the single source of the CRD's schema, its defaults and its descriptions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from minga_operator.brokerspec import Broker, ManagedBroker, usual
from minga_operator.fields import Annotations, Host, Labels, Model, Name, Quantity, rule, rules
from minga_operator.podspec import Image, Placement, Storage


class Seeds(Placement):
    """Peers with stable addresses, through which newcomers join."""

    replicas: int = Field(1, ge=1, le=9, description="Number of seeds")
    storage: Storage = Field(default_factory=Storage, description="Volume of each seed")
    drain_seconds: int = Field(
        600,
        ge=0,
        le=86400,
        description="How long a seed that is scaled away may take to hand over files that only it has;"
        " 0: it goes at once",
    )


class Peers(Placement):
    """The peers."""

    mode: Literal["StatefulSet", "DaemonSet"] = Field(
        "StatefulSet",
        description="StatefulSet: `replicas` peers. DaemonSet: one on each Kubernetes node, reachable on"
        " its own node through the Service NETWORK-local",
    )
    replicas: int = Field(3, ge=0, le=1000, description="Number of peers; not used in DaemonSet mode")
    storage: Storage = Field(default_factory=Storage, description="Volume of each peer")
    drain_seconds: int = Field(
        600,
        ge=0,
        le=86400,
        description="How long a peer that is scaled away may take to hand over files that only it has;"
        " 0: it goes at once",
    )

    model_config = rules(
        rule(
            "[self, oldSelf].exists(x, !has(x.mode) || x.mode != 'DaemonSet' || !has(x.storage) ||"
            " !has(x.storage.size)) || self.storage.size == oldSelf.storage.size",
            "peers.storage.size cannot change in DaemonSet mode: a volume goes with its pod, and every peer"
            " would begin anew on an empty one",
        )
    )


class SharedVolume(Model):
    """An existing volume whose files the seeds share."""

    claim_name: Name = Field(description="Name of a PersistentVolumeClaim in the network's namespace")
    read_only: bool = Field(True, description="Mount it read-only")
    folder: str = Field(
        "shared",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="Its files' names in the network begin with this folder",
    )


class Sharing(Model):
    """What and how peers share."""

    upload_limit: Quantity = Field(0, description="Bytes a second each peer sends at most (0: no limit)")
    download_limit: Quantity = Field(0, description="Bytes a second each peer fetches at most (0: no limit)")
    parallelism: int = Field(4, ge=1, le=256, description="Downloads that run at once in each peer")
    replication_target: int = Field(
        1, ge=1, le=100, description="Complete copies that each file should have; more than 1 needs a broker"
    )
    volume: SharedVolume | None = Field(None, description="Existing volume that the seeds share")


class Access(Model):
    """Who may use REST."""

    tokens: Literal["Disabled", "Managed", "Secret"] = Field(
        "Disabled",
        description="Disabled: everybody who reaches it. Managed: who has one of the two tokens that the"
        " operator makes in the Secret NETWORK-tokens. Secret: who has a token of access.secretName",
    )
    secret_name: Name | None = Field(
        None,
        description="Secret in the network's namespace whose keys `read` and `write` hold tokens, one a line;"
        " changes of it need no restart",
    )
    protect_metrics: bool = Field(False, description="Ask for a token at /metrics, too")
    allowed_hosts: list[Host] = Field(
        default_factory=list,
        max_length=16,
        description="Further host names by which browsers may reach the nodes, as of a LoadBalancer; those of"
        " `ingress` and `gateway` are known",
    )

    model_config = rules(
        rule(
            "(has(self.tokens) && self.tokens == 'Secret') == has(self.secretName)",
            "access.secretName is needed when access.tokens is Secret, and only then",
        ),
        rule(
            "!has(self.protectMetrics) || !self.protectMetrics ||"
            " (has(self.tokens) && self.tokens != 'Disabled')",
            "access.protectMetrics needs access.tokens to be Managed or Secret",
        ),
    )


class PeerTls(Model):
    """How seeds and peers know each other."""

    certificates: Literal["Disabled", "Managed", "Secret"] = Field(
        "Disabled",
        description="Disabled: they speak without TLS, and whoever reaches their ports can join. Managed: by"
        " mutual TLS, with certificates that the operator makes in the Secret NETWORK-peer-tls and renews."
        " Secret: by mutual TLS, with those of peerTls.secretName",
    )
    secret_name: Name | None = Field(
        None,
        description="Secret in the network's namespace with the keys `tls.crt`, `tls.key` and `ca.crt`, as"
        " cert-manager writes it, for the DNS name NAMESPACE.NETWORK.peers.minga; renewals need no restart",
    )

    model_config = rules(
        rule(
            "(has(self.certificates) && self.certificates == 'Secret') == has(self.secretName)",
            "peerTls.secretName is needed when peerTls.certificates is Secret, and only then",
        )
    )


class Service(Model):
    """The Service through which clients reach REST."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Type")
    annotations: Annotations = Field(default_factory=dict, description="Annotations")


class Ingress(Model):
    """An Ingress in front of the client Service."""

    host: Host = Field(description="Host name")
    class_name: str | None = Field(None, max_length=253, description="Ingress class; unset for the default")
    tls_secret_name: str | None = Field(
        None, max_length=253, description="Secret with the certificate; unset for plain HTTP"
    )
    annotations: Annotations = Field(default_factory=dict, description="Annotations")


class Gateway(Model):
    """An HTTPRoute of the Gateway API to the client Service."""

    name: Name = Field(description="Name of the Gateway that it is attached to")
    namespace: Name | None = Field(None, description="The Gateway's namespace; unset for the network's")
    section_name: Name | None = Field(None, description="One listener of the Gateway; unset for all that fit")
    hostnames: list[Host] = Field(
        default_factory=list, max_length=16, description="Host names; none for those of the listener"
    )
    annotations: Annotations = Field(default_factory=dict, description="Annotations")


class Monitoring(Model):
    """Objects for Prometheus, made only where its operator's kinds exist, and for Grafana."""

    pod_monitor: bool = Field(True, description="Make a PodMonitor for the peers and seeds")
    rules: bool = Field(
        True, description="Make a PrometheusRule that tells when seeds or peers of this spec are missing"
    )
    dashboards: bool = Field(
        False, description="Make a ConfigMap with a dashboard of this network, for Grafana's sidecar to find"
    )
    labels: Labels = Field(default_factory=dict, description="Labels of all three, for your own selectors")


class Tracing(Model):
    """Traces of what the nodes do, by OpenTelemetry."""

    endpoint: str = Field(
        max_length=512,
        pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
        description="Where a collector takes OTLP over HTTP, such as http://otel-collector.observability:4318",
    )
    sample_percent: int = Field(
        100,
        ge=0,
        le=100,
        description="Traces kept of 100 that begin in this network; others follow their caller",
    )


class DisruptionBudget(Model):
    """How many pods voluntary disruptions may take."""

    enabled: bool = Field(True, description="Make PodDisruptionBudgets for seeds and peers")
    max_unavailable: int = Field(1, ge=1, le=100, description="Pods of each group that may be away at once")


class NetworkPolicy(Model):
    """Who may talk to the pods."""

    enabled: bool = Field(
        True,
        description="Admit gRPC, piece and AMQP traffic only from the network's own pods; REST from anywhere",
    )


class ClaimRetention(Model):
    """What becomes of the volumes."""

    when_deleted: Literal["Delete", "Retain"] = Field("Delete", description="When the network is deleted")
    when_scaled: Literal["Delete", "Retain"] = Field("Retain", description="When a pod is scaled away")


class Spec(Model):
    """What a network should be. Everything has a default: ``spec: {}`` is a working network."""

    image: Image = Field(default_factory=Image, description="The node's image")
    paused: bool = Field(False, description="Leave everything as it is: the operator changes nothing")
    labels: Labels = Field(default_factory=dict, description="Further labels of the pods")
    annotations: Annotations = Field(default_factory=dict, description="Further annotations of the pods")
    seeds: Seeds = Field(default_factory=Seeds, description="Peers with stable addresses")
    peers: Peers = Field(default_factory=Peers, description="The peers")
    sharing: Sharing = Field(default_factory=Sharing, description="What and how peers share")
    broker: Broker = Field(
        default_factory=lambda: Broker(managed=ManagedBroker()),
        description="The message broker: exactly one kind; absent, a managed one",
    )
    access: Access = Field(default_factory=Access, description="Who may use REST")
    peer_tls: PeerTls = Field(
        default_factory=PeerTls, description="Mutual TLS among seeds and peers; a change restarts them"
    )
    service: Service = Field(default_factory=Service, description="The Service for clients")
    ingress: Ingress | None = Field(None, description="An Ingress for clients")
    gateway: Gateway | None = Field(
        None, description="An HTTPRoute for clients, where the Gateway API is installed"
    )
    monitoring: Monitoring = Field(
        default_factory=Monitoring, description="Objects for Prometheus and Grafana"
    )
    tracing: Tracing | None = Field(None, description="Traces of what the nodes do; off by default")
    pod_disruption_budget: DisruptionBudget = Field(
        default_factory=DisruptionBudget, description="PodDisruptionBudgets"
    )
    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy, description="NetworkPolicies")
    persistent_volume_claim_retention_policy: ClaimRetention = Field(
        default_factory=ClaimRetention, description="What becomes of the volumes"
    )

    model_config = rules(
        rule(
            "has(self.broker) || !has(oldSelf.broker) || !has(oldSelf.broker.managed) ||"
            " ((!has(oldSelf.broker.managed.replicas) || oldSelf.broker.managed.replicas == 1) &&"
            f" {usual('oldSelf.broker.managed')})",
            "broker.managed cannot be taken away where it has 3 replicas or a storage of its own: without it"
            " the broker is one with defaults, and replicas cannot become less nor storage another",
        ),
        rule(
            "has(oldSelf.broker) || !has(self.broker) || !has(self.broker.managed) ||"
            f" {usual('self.broker.managed')}",
            "broker.managed.storage: ephemeral and storageClassName cannot change, and without spec.broker"
            " the broker has a volume of the cluster's default class",
        ),
    )
