"""How many descriptors this process may have open, and whether it has run out of them."""

from __future__ import annotations

import errno
import resource

MOST_DESCRIPTORS = 1 << 20
"""More than a node can use; where there is no hard limit, the kernel takes no more than this."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def raise_limit() -> int:
    """Raises the soft limit of open descriptors to the hard one, as far as that helps; the limit now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def limit() -> int:
    """How many descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, MOST_DESCRIPTORS)


def exhausted(error: OSError) -> bool:
    """Whether an error says that descriptors, or the memory for one more, have run out."""
    return error.errno in EXHAUSTED
