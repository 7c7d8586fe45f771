"""What people and nodes ask of the network: wants, jobs, replication, and the network's own target."""

from minga_node.requests.copies import OwnCopies
from minga_node.requests.copy_upkeep import CopyUpkeep
from minga_node.requests.drops import Drops
from minga_node.requests.jobs import JobKind, Jobs, JobState, SentJob
from minga_node.requests.presence import Presence
from minga_node.requests.replication import Replication, Replications, ReplicationState
from minga_node.requests.want_records import Want, WantState
from minga_node.requests.wants import Wants

__all__ = [
    "CopyUpkeep",
    "Drops",
    "JobKind",
    "JobState",
    "Jobs",
    "OwnCopies",
    "Presence",
    "Replication",
    "ReplicationState",
    "Replications",
    "SentJob",
    "Want",
    "WantState",
    "Wants",
]
