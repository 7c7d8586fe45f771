"""Runs a bash script in namespaces of its own, where ports 5000 and up are free.

Started by :data:`COMMAND`, Python, this file and the script. One that uses AMQP_URI finds a RabbitMQ there.
Whatever it leaves running ends with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from minga_node.local import broker

COMMAND = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


def main(script: Path) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment = dict(os.environ)
    with ExitStack() as stack:
        if "AMQP_URI" in script.read_text(encoding="utf-8"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            environment["AMQP_URI"] = stack.enter_context(broker.private(Path(folder))).url
        return subprocess.run(["bash", str(script)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
