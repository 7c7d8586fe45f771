"""What people and nodes ask of the network: wants, jobs, replication, and the network's own target.

:class:`Wants` looks for files that nobody has yet. :class:`Replications` asks others to hold a content until
it has enough copies, :class:`CopyUpkeep` keeps the target of the whole network, :class:`Drops` asks for
fewer. :class:`Jobs` are what one node asks another to do, and :class:`OwnCopies` does them here.

Threads: the workers ``wants``, ``replication`` and ``upkeep``. Jobs run in the threads ``mom-jobs-N`` of
:mod:`minga_node.mom`, REST asks from its own.

Locks: the store's writer for each change. Of two drops of a content only one goes on at a time; that lock is
held while others are asked whether they keep it. A lock beside it guards only memory.

Lifetime: wants, jobs and replications are rows of the database, and outlast the process until they have ended
long ago.
"""

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
