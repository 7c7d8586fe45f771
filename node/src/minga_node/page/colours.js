// Every peer has a thread of one colour, the same on the map, among holders and in the cloth of a download.

const THREADS = 10;
const given = new Map();

/** Gives known peers distinct colours: each one its hash's, or the next of those that are used least. */
export function know(peers) {
  for (const peer of [...peers].sort()) thread(peer);
}

/** Number of a peer's thread, 0 to 9; the style sheet has the colours (`--thread-0` …). */
export function thread(peer) {
  if (!given.has(peer)) {
    const uses = new Array(THREADS).fill(0);
    for (const used of given.values()) uses[used] += 1;
    const least = Math.min(...uses);
    let wish = [...peer].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7) % THREADS;
    while (uses[wish] > least) wish = (wish + 1) % THREADS;
    given.set(peer, wish);
  }
  return given.get(peer);
}

export const colour = (peer) => `var(--thread-${thread(peer)})`;
