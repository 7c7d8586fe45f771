"""What the operator asks the nodes themselves, over REST."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from minga_operator.draining import Report
from minga_operator.network import Network, Tokens
from minga_operator.observed import Said
from minga_operator.resources.common import REST_PORT
from minga_operator.workqueue import Key


@dataclass(frozen=True)
class Totals:
    """What the network shares, as one of its nodes sees it."""

    files: int
    bytes: int
    members: int = 0
    """Nodes that it knows to be alive, itself included."""


class Nodes:
    """A short-tempered client: a node that does not answer within seconds is asked again another time."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(
            num_pools=64, timeout=urllib3.Timeout(connect=2, read=5), retries=False
        )
        self._tokens: dict[Key, Tokens] = {}

    def know(self, key: Key, tokens: Tokens | None) -> None:
        """Takes in what a network's nodes want to see; None where they want nothing."""
        if tokens is None:
            self._tokens.pop(key, None)
        else:
            self._tokens[key] = tokens

    def totals(self, network: Network) -> Totals | None:
        """Files and bytes of the whole network; None when no node tells now."""
        tokens = self._tokens.get(network.key)
        token = (tokens.read or tokens.write) if tokens else ""
        answer = self._get(f"{network.name}.{network.namespace}.svc", "/api/v1/network", token)
        try:
            if not answer:
                return None
            members = int(answer.get("peers_alive", 0)) + 1
            return Totals(int(answer["files"]), int(answer["bytes"]), members)
        except (KeyError, TypeError, ValueError):
            return None

    def broker(self, address: str) -> Said | None:
        """What a node says of its broker; None when it does not answer. It needs no token for that."""
        answer = self._get(address, "/api/v1/node", "")
        if answer is None or "broker_connected" not in answer:
            return None
        # Null: it was not told of one.
        problem = "" if answer["broker_connected"] is not None else "it has been told of no broker"
        return Said(bool(answer["broker_connected"]), str(answer.get("broker_problem") or problem))

    def drain(self, network: Network, address: str, leaving: Sequence[str]) -> Report | None:
        """Has a peer hand over what only it has, or says how far it is; None when it does not answer."""
        body = json.dumps({"leaving": list(leaving)})
        tokens = self._tokens.get(network.key)
        token = tokens.write if tokens else ""
        if self._get(address, "/api/v1/drain", token, "POST", body) is None:
            return None
        answer = self._get(address, "/api/v1/drain", token)
        try:
            return (
                Report(bool(answer["done"]), int(answer["files"]), int(answer["bytes"])) if answer else None
            )
        except (KeyError, TypeError, ValueError):
            return None

    def _get(
        self, host: str, path: str, token: str, method: str = "GET", body: str | None = None
    ) -> dict[str, Any] | None:
        try:
            url = f"http://{host}:{REST_PORT}{path}"
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = self._pool.request(method, url, body=body, headers=headers)
            found = json.loads(response.data) if response.status < 300 else None
        except (urllib3.exceptions.HTTPError, ValueError):
            return None
        return found if isinstance(found, dict) else None
