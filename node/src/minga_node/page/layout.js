// Where things stand on the map. Pure: the same network gives the same picture.

const CENTRE = { x: 500, y: 300 };
const INNER = { x: 170, y: 105 };
const OUTER = { x: 385, y: 225 };
const RING = 24;
const STEP = 0.16;

function ring(peers, radius, turn) {
  return peers.map((peer, n) => {
    const angle = (2 * Math.PI * n) / peers.length + turn;
    return [peer.id, { x: CENTRE.x + radius.x * Math.cos(angle), y: CENTRE.y + radius.y * Math.sin(angle) }];
  });
}

/**
 * Places in a space of 1000 × 600: the broker in the middle, seeds around it, peers outside, in as many rings as
 * it takes. Returns a Map of id → {x, y}, and the broker's place.
 */
export function layout(peers) {
  const seeds = peers.filter((peer) => peer.seed);
  const others = peers.filter((peer) => !peer.seed);
  const rings = Math.max(1, Math.ceil(others.length / RING));
  const places = ring(seeds, INNER, -Math.PI / 2);
  for (let n = 0; n < rings; n += 1) {
    const scale = 1 - n * Math.min(STEP, 0.45 / rings);
    const share = others.slice(Math.ceil((n * others.length) / rings), Math.ceil(((n + 1) * others.length) / rings));
    // A half step of turn puts nobody straight below a seed, and rings into each other's gaps.
    const turn = -Math.PI / 2 + (Math.PI / Math.max(share.length, 1)) * (1 + n);
    places.push(...ring(share, { x: OUTER.x * scale, y: OUTER.y * scale }, turn));
  }
  return { places: new Map(places), broker: CENTRE };
}

/** A curve between two places, bent a little to its right, so that both directions are seen. */
export function curve(from, to) {
  const middle = { x: (from.x + to.x) / 2 - (to.y - from.y) * 0.14, y: (from.y + to.y) / 2 + (to.x - from.x) * 0.14 };
  return `M${from.x} ${from.y}Q${middle.x} ${middle.y} ${to.x} ${to.y}`;
}
