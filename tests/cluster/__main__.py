"""The test cluster by hand: python -m tests.cluster up"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict

from .beside import definitions
from .build import ensure_binaries
from .cluster import ALL_IMAGES, Cluster
from .layout import Layout, usual_name
from .lifecycle import Lifecycle
from .shell import ClusterError


def main() -> int:
    """Run one command; 0 when it did what it says."""
    arguments = _parser().parse_args()
    started = time.monotonic()
    try:
        layout = Layout(arguments.name)
        done = _COMMANDS[arguments.command](layout, arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if done:
        print(f"{done} ({time.monotonic() - started:.1f} s)")
    return 0


def _up(layout: Layout, arguments: argparse.Namespace) -> str:
    Lifecycle(layout).up(arguments.nodes)
    print(f"export KUBECONFIG={layout.kubeconfig}")
    return _state(layout)


def _down(layout: Layout, arguments: argparse.Namespace) -> str:
    Lifecycle(layout).down()
    return f"{layout.name} is down"


def _status(layout: Layout, arguments: argparse.Namespace) -> str:
    if not layout.folder.exists():
        raise ClusterError(f"{layout.name} is down")
    ended = Lifecycle(layout).ended()
    if ended or not Lifecycle(layout).is_up():
        raise ClusterError(
            f"{layout.name} is broken; ended: {', '.join(ended) or 'its start'}; logs: {layout.logs}"
        )
    return _state(layout)


def _build(layout: Layout, arguments: argparse.Namespace) -> str:
    definitions()
    return f"the programs are in {ensure_binaries().folder}"


def _load(layout: Layout, arguments: argparse.Namespace) -> str:
    tags: dict[str, list[str]] = defaultdict(list)
    for tag in arguments.tag:
        tags[tag.split(":")[0].removeprefix("minga-")].append(tag)
    names = arguments.images or ALL_IMAGES
    foreign = sorted(set(tags) - set(names))
    if foreign:
        raise ClusterError(
            f"--tag begins with minga-NAME:, and NAME is loaded too; not so: {', '.join(foreign)}"
        )
    cluster = Cluster(layout.kubeconfig, layout)
    _status(layout, arguments)
    loaded = cluster.load_images(names, tags)
    return "loaded " + ", ".join([*loaded.values(), *arguments.tag])


def _kubeconfig(layout: Layout, arguments: argparse.Namespace) -> str:
    print(layout.kubeconfig)
    return ""


def _cut(layout: Layout, arguments: argparse.Namespace) -> str:
    Lifecycle(layout).cut(arguments.node)
    return f"{arguments.node} is cut off"


def _heal(layout: Layout, arguments: argparse.Namespace) -> str:
    Lifecycle(layout).heal(arguments.node)
    return f"{arguments.node} is connected"


def _enter(layout: Layout, arguments: argparse.Namespace) -> str:
    command = Lifecycle(layout).sandbox(arguments.node).inside(*(arguments.argv or ["sh"]))
    os.execvp(command[0], command)


def _state(layout: Layout) -> str:
    nodes = ", ".join(f"{node.name} {node.address}" for node in layout.nodes())
    return f"{layout.name} is up at {layout.server}: {nodes}"


_COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "build": _build,
    "load": _load,
    "kubeconfig": _kubeconfig,
    "cut": _cut,
    "heal": _heal,
    "enter": _enter,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--name", default=usual_name(), help="which cluster ($MINGA_TEST_CLUSTER, default)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring it up, or add nodes; nothing happens when it is as wanted")
    up.add_argument("--nodes", type=int, default=1, help="at least so many (1)")
    commands.add_parser("down", help="remove every process, link and file of it")
    commands.add_parser("status", help="say whether it is well; exit status 1 when not")
    commands.add_parser("build", help="build the programs that are not in the cache: minutes the first time")
    load = commands.add_parser("load", help="build the images that changed and give them to every node")
    load.add_argument("images", nargs="*", help=f"of {', '.join(ALL_IMAGES)} (all)")
    load.add_argument(
        "--tag", action="append", default=[], help="another name, like minga-node:test2; repeatable"
    )
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig file")
    commands.add_parser("cut", help="cut a node off the network").add_argument("node")
    commands.add_parser("heal", help="connect it again").add_argument("node")
    enter = commands.add_parser("enter", help="run a command inside a node, or in control")
    enter.add_argument("node")
    enter.add_argument("argv", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main())
