"""``minga-node --config peer_config.json``: one node, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

# gRPC's own log lines (a port in use, a peer gone) say again what we say ourselves.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from minga_node import descriptors, log_setup
from minga_node.app import Node
from minga_node.config_file import load
from minga_node.errors import ConfigError, MingaError
from minga_node.version import VERSION

log = logging.getLogger(__name__)


def main() -> None:
    """Entry point. Ends with 2 for a wrong configuration, 1 when the node cannot start."""
    sys.exit(run(sys.argv[1:]))


def _on_signals() -> socket.socket:
    """A socket that gets a byte for each SIGTERM and SIGINT from now on.

    The kernel may hand a signal to any thread. A handler is run by this one alone, and not before it wakes:
    one that waits for an event would sleep on.
    """
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.detach())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return read


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="minga-node", description="One peer of a Minga network.")
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the node's JSON file")
    parser.add_argument("--version", action="version", version=f"minga-node {VERSION}")
    try:
        config = load(parser.parse_args(arguments).config)
    except ConfigError as error:
        print(f"minga-node: {error}", file=sys.stderr)
        return 2
    log_setup.configure(config.log_format, config.log_level)
    log.debug("at most %d descriptors", descriptors.raise_limit())
    ending = _on_signals()
    try:
        node = Node(config)
    except (MingaError, OSError) as error:
        print(f"minga-node: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    try:
        node.start()
    except (MingaError, OSError) as error:
        print(f"minga-node: {error}", file=sys.stderr)
        node.stop()
        return 1
    ending.recv(1)
    log.info("ending")
    node.stop()
    log.info("ended")
    return 0


if __name__ == "__main__":
    main()
