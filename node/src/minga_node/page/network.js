// What the node knows of itself and of the others, kept fresh for every view that wants it.

import { get } from "./api.js";
import { know } from "./colours.js";
import { every } from "./poll.js";

const INTERVAL = 2000;
// The node looks at its whole index for these.
const TOTALS_INTERVAL = 15000;

/** How a peer is, as the page says and shows it: its state, or that it is heard and yet does not answer. */
export function condition(peer) {
  const heard = peer.state === "alive" || peer.state === "suspect";
  if (!heard || (peer.answers ?? "yes") === "yes") return peer.state;
  return peer.answers === "nobody" ? "mute" : "unreached";
}

class Network extends EventTarget {
  /** `GET /api/v1/node`; null before the first answer. */
  node = null;
  /** `GET /api/v1/network`: what everybody shares together. */
  totals = null;
  #totalsUntil = 0;
  /** `GET /api/v1/peers`, with this node first. */
  peers = [];
  reachable = true;

  start() {
    return every(INTERVAL, () => this.refresh());
  }

  async refresh() {
    try {
      const [node, { peers }] = await Promise.all([get("/api/v1/node"), get("/api/v1/peers")]);
      if (performance.now() >= this.#totalsUntil) {
        this.totals = await get("/api/v1/network");
        this.#totalsUntil = performance.now() + TOTALS_INTERVAL;
      }
      const self = { ...node, state: "alive", silent: 0 };
      know([node.id, ...peers.map((peer) => peer.id)]);
      this.node = node;
      this.peers = [self, ...peers.sort((a, b) => a.id.localeCompare(b.id))];
      this.reachable = true;
    } catch {
      this.reachable = false;
    }
    this.dispatchEvent(new Event("change"));
  }

  isSelf(peer) {
    return this.node?.id === peer;
  }
}

export const network = new Network();
