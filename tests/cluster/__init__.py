"""A real Kubernetes for the tests, on one machine without Docker or a registry (docs/test-cluster.md)."""

from .cluster import Cluster
from .shell import ClusterError

__all__ = ["Cluster", "ClusterError"]
