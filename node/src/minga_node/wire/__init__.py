"""What uploads and downloads of pieces share: the form of requests, sets of pieces, and limits of rate.

No thread and no socket is made here.
"""

from minga_node.wire.rate_limit import TokenBucket

__all__ = ["TokenBucket"]
