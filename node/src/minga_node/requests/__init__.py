"""What people and nodes ask of the network: wants, jobs and replication."""

from minga_node.requests.jobs import Jobs
from minga_node.requests.replication import Replication, Replications, ReplicationState
from minga_node.requests.wants import Want, Wants, WantState

__all__ = ["Jobs", "Replication", "ReplicationState", "Replications", "Want", "WantState", "Wants"]
