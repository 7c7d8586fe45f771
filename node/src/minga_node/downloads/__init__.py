"""Several contents on their way here at once: started, watched, read while they come, continued after a
kill.
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
