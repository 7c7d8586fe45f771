// Where things stand on the map. Pure: the same network gives the same picture.

/** The two shapes of the map: for a screen, and for a telephone. */
export const WIDE = { width: 1000, height: 560 };
export const TALL = { width: 480, height: 500 };

const INNER = 0.47;
const MARGIN = { x: 70, y: 62 };
const RING = 24;
const STEP = 0.16;

function ring(peers, centre, radius, turn) {
  return peers.map((peer, n) => {
    const angle = (2 * Math.PI * n) / peers.length + turn;
    return [peer.id, { x: centre.x + radius.x * Math.cos(angle), y: centre.y + radius.y * Math.sin(angle) }];
  });
}

/**
 * Places in `space`: the broker in the middle, if there is one, seeds around it, peers outside, in as many rings as
 * it takes. Returns a Map of id → {x, y}, and the middle.
 */
export function layout(peers, space, hasBroker) {
  const centre = { x: space.width / 2, y: space.height / 2 - 8 };
  const outer = { x: centre.x - MARGIN.x, y: centre.y - MARGIN.y };
  const scaled = (scale) => ({ x: outer.x * scale, y: outer.y * scale });
  const seeds = peers.filter((peer) => peer.seed);
  const others = peers.filter((peer) => !peer.seed);
  const rings = Math.max(1, Math.ceil(others.length / RING));
  const places = ring(seeds, centre, scaled(seeds.length > 1 || hasBroker ? INNER : 0), -Math.PI / 2);
  for (let n = 0; n < rings; n += 1) {
    const share = others.slice(Math.ceil((n * others.length) / rings), Math.ceil(((n + 1) * others.length) / rings));
    // A half step of turn puts nobody straight above a seed, and rings into each other's gaps.
    const turn = -Math.PI / 2 + (Math.PI / Math.max(share.length, 1)) * (1 + n);
    places.push(...ring(share, centre, scaled(1 - n * Math.min(STEP, 0.45 / rings)), turn));
  }
  return { places: new Map(places), centre };
}

/** A curve between two places, bent a little to its right, so that both directions are seen. */
export function curve(from, to) {
  const middle = { x: (from.x + to.x) / 2 - (to.y - from.y) * 0.14, y: (from.y + to.y) / 2 + (to.x - from.x) * 0.14 };
  return `M${from.x} ${from.y}Q${middle.x} ${middle.y} ${to.x} ${to.y}`;
}
