// What the node knows of itself and of the others, kept fresh for every view that wants it.

import { get } from "./api.js";
import { know } from "./colours.js";
import { every } from "./poll.js";

const INTERVAL = 2000;

class Network extends EventTarget {
  /** `GET /api/v1/node`; null before the first answer. */
  node = null;
  /** `GET /api/v1/network`: what everybody shares together. */
  totals = null;
  /** `GET /api/v1/peers`, with this node first. */
  peers = [];
  reachable = true;

  start() {
    return every(INTERVAL, () => this.refresh());
  }

  async refresh() {
    try {
      const paths = ["node", "peers", "network"].map((name) => get(`/api/v1/${name}`));
      const [node, { peers }, totals] = await Promise.all(paths);
      const self = { ...node, state: "alive", silent: 0 };
      know([node.id, ...peers.map((peer) => peer.id)]);
      this.node = node;
      this.totals = totals;
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
