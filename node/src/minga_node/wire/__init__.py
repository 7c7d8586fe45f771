"""What uploads and downloads of pieces share: the form of requests, sets of pieces, and limits of rate.

``http`` and ``piece_request`` read and write heads, ``piece_set`` has sets of pieces as whole numbers, one
bit a piece. :class:`TokenBucket` limits how many bytes go or come in a second. All but the bucket is pure.

Threads: none is made here, and no socket. Any thread may use a bucket.

Locks: one for each bucket, held for a few additions.

Lifetime: values live as long as their users; a bucket lives as long as the node or the command that limits by
it.
"""

from minga_node.wire.rate_limit import TokenBucket

__all__ = ["TokenBucket"]
