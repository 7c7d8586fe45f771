"""Several contents on their way here at once: started, watched, read while they come, continued after a kill.

:class:`Downloads` is what the rest of the node sees. :class:`Exchange` tells other nodes which pieces are
here, and hears it from them. :class:`SmallFile` is one of many that are fetched as one batch.

Threads: the workers ``downloads``, which gives turns, and ``exchange``, which tells of new pieces. Each
running download has a thread, each batch a few. They end with the download.

Locks: one for each running download, one for the table of downloads, one for what is told. None is held while
another node is waited for.

Lifetime: a download lives in the database until it is forgotten, its pieces in a partial file until it is
complete or removed. A task lives for one turn.
"""

from minga_node.downloads.batch import SmallFile
from minga_node.downloads.exchange import Exchange
from minga_node.downloads.manager import Downloads
from minga_node.downloads.model import (
    Availability,
    AvailabilityFollowing,
    Download,
    DownloadNetwork,
    DownloadState,
)

__all__ = [
    "Availability",
    "AvailabilityFollowing",
    "Download",
    "DownloadNetwork",
    "DownloadState",
    "Downloads",
    "Exchange",
    "SmallFile",
]
