"""``/api/v1/peers``, ``/api/v1/network`` and ``/api/v1/node``: who is in it, and who this node is."""

from __future__ import annotations

from flask import Blueprint, Response

from minga_node.model import PeerState, PeerStatus
from minga_node.rarely import Rarely
from minga_node.server.access import by_name, for_everybody, for_readers, granted_on_open_route
from minga_node.server.documented import Operation, documented
from minga_node.server.schemas import NetworkOut, NodeOut, PeerOut, PeersOut, ProbeOut, ProbesOut, answer
from minga_node.server.services import Services

MOST_TROUBLES = 10


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("peers", __name__)
    held = Rarely(services.index.held)

    @routes.get("/api/v1/peers")
    @by_name
    @documented(Operation("The other nodes, as this one sees them", {200: PeersOut}))
    def peers() -> Response:
        here = held()
        return answer(
            PeersOut(
                peers=[
                    PeerOut.of(status, here.get(status.peer.id, (0, 0)), lag(status))
                    for status in services.membership.statuses()
                ]
            )
        )

    @routes.delete("/api/v1/peers/<identity>")
    @documented(
        Operation("Forgets a peer that is dead or left, at this node, until it lives again", {204: "done"}),
        "DELETE",
    )
    def forget(identity: str) -> Response:
        services.membership.forget(identity)
        return Response(status=204)

    @routes.post("/api/v1/peers/probes")
    @by_name
    @for_readers
    @documented(
        Operation(
            "Asks all living peers whether they answer, and whether this node answers them", {200: ProbesOut}
        ),
        "POST",
    )
    def probes() -> Response:
        found = services.membership.probing.look()
        return answer(
            ProbesOut(
                probes=[
                    ProbeOut(
                        id=probe.peer.id,
                        host=probe.peer.host,
                        grpc_port=probe.peer.grpc_port,
                        problem=probe.problem,
                        back=probe.back,
                    )
                    for probe in found
                ]
            )
        )

    def lag(status: PeerStatus) -> int:
        log = services.index.logs.state(status.peer.id)
        got = log.version if log is not None and log.epoch >= status.peer.epoch else 0
        return max(0, status.version - got)

    @routes.get("/api/v1/node")
    # Newcomers read here where to join; a node that joins has no token.
    @for_everybody
    @documented(Operation("This node", {200: NodeOut}))
    def node() -> Response:
        problems = services.problems()
        disk = services.capacity.disk()
        files, total = services.library.totals()
        troubles = services.library.troubles
        grant = granted_on_open_route(services)
        alive = sum(status.state is PeerState.ALIVE for status in services.membership.statuses())
        return answer(
            NodeOut.of(
                services.self_peer(),
                network=services.config.network,
                ready=not problems,
                problems=problems,
                broker_connected=services.broker_connected(),
                broker_problem=services.broker_problem(),
                files=files,
                bytes=total,
                peers_alive=alive,
                disk_free=disk.free,
                disk_total=disk.total,
                unshareable=len(troubles.names),
                unreadable=len(troubles.files),
                kept=len(troubles.kept),
                # They have names in them, and this route is for everybody.
                troubles=troubles.some(MOST_TROUBLES) if grant and not grant.is_limited else [],
                peer_tls=services.config.peer_tls_directory is not None,
            )
        )

    @routes.get("/api/v1/network")
    @by_name
    @documented(Operation("The whole network, as this node sees it", {200: NetworkOut}))
    def network() -> Response:
        files, total = services.index.totals()
        alive = sum(status.state is PeerState.ALIVE for status in services.membership.statuses())
        return answer(
            NetworkOut(
                name=services.config.network,
                files=files,
                bytes=total,
                peers_alive=alive,
                replication_target=services.config.replication_target,
                files_below_target=services.below_target(),
            )
        )

    return routes
