"""``minga-node --config peer_config.json``: one node, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

# gRPC's own log lines (a port in use, a peer gone) say again what we say ourselves.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from minga_node import logs
from minga_node.app import Node
from minga_node.config import load
from minga_node.errors import ConfigError, MingaError
from minga_node.version import VERSION

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks whether a signal has come."""


def main() -> None:
    """Entry point. Ends with 2 for a wrong configuration, 1 when the node cannot start."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="minga-node", description="One peer of a Minga network.")
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the node's JSON file")
    parser.add_argument("--version", action="version", version=f"minga-node {VERSION}")
    try:
        config = load(parser.parse_args(arguments).config)
    except ConfigError as error:
        print(f"minga-node: {error}", file=sys.stderr)
        return 2
    logs.configure(config.log_format, config.log_level)
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        node = Node(config)
    except (MingaError, OSError) as error:
        print(f"minga-node: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    node.start()
    # The kernel may hand a signal to any thread, which does not wake this one: it has to look by itself.
    while not ended.wait(LOOK_SECONDS):
        pass
    log.info("ending")
    node.stop()
    log.info("ended")
    return 0


if __name__ == "__main__":
    main()
