"""Which peers broke the protocol, and until when nobody listens to them. Pure: time is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field

STRIKES = 3
"""Doubtful things that a peer may do within a quarantine before it is refused; certain ones count as all."""
QUARANTINE_SECONDS = 60.0
"""How long a peer is refused, and how long a doubt about it counts."""


@dataclass(slots=True)
class Trust:
    _strikes: dict[str, list[float]] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)

    def strike(self, peer_id: str, now: float, *, certain: bool = False) -> bool:
        """Notes something; whether the peer is refused from now on."""
        if len(self._strikes) > 10_000:
            self._strikes.clear()
        recent = [at for at in self._strikes.get(peer_id, []) if now - at < QUARANTINE_SECONDS]
        recent += [now] * (STRIKES if certain else 1)
        self._strikes[peer_id] = recent
        if len(recent) < STRIKES:
            return False
        self._strikes.pop(peer_id)
        self._until = {id_: until for id_, until in self._until.items() if until > now}
        self._until[peer_id] = now + QUARANTINE_SECONDS
        return True

    def refused(self, peer_id: str, now: float) -> bool:
        return self._until.get(peer_id, 0.0) > now
