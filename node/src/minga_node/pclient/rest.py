"""What a node asks another over REST."""

from __future__ import annotations

import json
import logging

import urllib3

from minga_node.model import LocalFile, Peer

log = logging.getLogger(__name__)
_TIMEOUT = urllib3.Timeout(connect=2, read=10)


class RestClient:
    """Asks other nodes for what has no gRPC method, because people use it too."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    def ask_to_fetch(self, peer: Peer, file: LocalFile) -> bool:
        """Has a peer download a file into its library; whether it accepted."""
        body = json.dumps({"name": file.name, "id": file.id})
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._pool.request(
                "POST", f"{peer.rest_url}/api/v1/downloads", body=body, headers=headers
            )
        except urllib3.exceptions.HTTPError as error:
            log.info("%s does not take %s over: %s", peer.id, file.name, error)
            return False
        if answer.status >= 300:
            log.info(
                "%s does not take %s over: %s", peer.id, file.name, answer.data[:300].decode(errors="replace")
            )
        return answer.status < 300
