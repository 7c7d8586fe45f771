// Who sends to whom how fast: from what every node says it has received, asked twice.

/** Remembers what was received so far; `rates(flows)` gives [{from, to, rate}] since the call before, bytes a second. */
export class Flows {
  #before = new Map();
  #at = 0;

  rates(flows, now = performance.now()) {
    const seconds = (now - this.#at) / 1000;
    const first = this.#at === 0;
    const seen = new Map();
    for (const { download, from, to, bytes } of flows) seen.set(`${download} ${from}`, { from, to, bytes });
    const edges = new Map();
    for (const [key, { from, to, bytes }] of seen) {
      // A download that was not there before began in between; on the first look nothing is known of the time.
      const came = first ? 0 : bytes - (this.#before.get(key)?.bytes ?? 0);
      const edge = edges.get(`${from} ${to}`) ?? { from, to, rate: 0 };
      edge.rate += Math.max(0, came) / Math.max(seconds, 0.001);
      edges.set(`${from} ${to}`, edge);
    }
    this.#before = seen;
    this.#at = now;
    return [...edges.values()];
  }
}
