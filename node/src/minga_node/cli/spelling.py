"""Other words for commands: those that mean the same, and hints for those that do not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

ALIASES = {
    "list": "ls",
    "find": "search",
    "show": "info",
    "stat": "info",
    "download": "get",
    "fetch": "get",
    "upload": "put",
    "share": "put",
    "add": "put",
    "delete": "rm",
    "remove": "rm",
    "del": "rm",
    "nodes": "peers",
    "tokens": "token",
    "contexts": "context",
}
"""What people type for a command that there is."""

HINTS = {
    "start": "`minga up` starts a network on this machine",
    "stop": "`minga down` ends the network that `minga up --detach` started",
    "cat": "`minga get NAME -o -` prints a file",
    "cp": "`minga get NAME -o FILE` fetches a file, `minga put FILE --as NAME` shares one",
    "copy": "`minga replicate NAME --copies N` has several nodes hold a file",
    "sync": "`minga get -r FOLDER -o FOLDER` fetches a folder, `minga put -r FOLDER` shares one",
    "cancel": "`minga downloads --cancel ID` cancels a download",
    "watch": "`minga events`, or --watch of status, peers and downloads",
    "logs": "`minga events` shows what happens in the network",
    "login": "`minga context add NAME URL --token-file FILE` keeps a node and its token",
    "config": "`minga context` names nodes; docs/reference/configuration.md has the keys of a node",
    "use": "`minga context use NAME` chooses the node to talk to",
    "ping": "`minga doctor` checks the node and its network",
    "check": "`minga doctor` checks the node and its network",
}
"""What people type for something that another command does."""

NEVER_SUGGESTED = {"down"}
"""It ends a network: nobody should come to it by a slip."""


def unknown(word: str, known: Iterable[str]) -> str:
    """What to say of a word that is no command: one line, with what may have been meant."""
    said = f"there is no command {word}"
    if word in HINTS:
        return f"{said}: {HINTS[word]}"
    near = get_close_matches(
        word, [name for name in (*known, *ALIASES) if name not in NEVER_SUGGESTED], 3, 0.7
    )
    meant = list(dict.fromkeys(ALIASES.get(name, name) for name in near))
    return f"{said}; did you mean {' or '.join(meant)}?" if meant else said
