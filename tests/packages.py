"""Debian packages that the tests use: ``python -m tests.packages`` installs or names what is missing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.cluster.debs import PACKAGES, ensure_debs
from tests.cluster.shell import ClusterError

# A file that each package brings, and the package.
TOOLS = {
    "/usr/sbin/rabbitmq-server": "rabbitmq-server",
    "/usr/bin/chromium": "chromium",
    "/usr/bin/chromedriver": "chromium-driver",
    "/usr/bin/npm": "npm",
    "/usr/bin/prometheus": "prometheus",
    "/usr/bin/aria2c": "aria2",
    "/usr/bin/wrk": "wrk",
    "/usr/sbin/nginx": "nginx",
    "/usr/bin/faketime": "faketime",
    "/usr/sbin/mount.exfat-fuse": "exfat-fuse",
    "/usr/sbin/mkfs.exfat": "exfatprogs",
}


def main() -> int:
    try:
        ensure_debs(Path(tempfile.gettempdir()) / "minga-packages.log", {**PACKAGES, **TOOLS})
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
