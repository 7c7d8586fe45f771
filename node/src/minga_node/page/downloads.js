// The node's downloads: a list that is asked for, and server-sent events for the few that are looked at.

import { get } from "./api.js";
import { every } from "./poll.js";

const INTERVAL = 1500;
// A browser keeps about six connections to a host; most must stay free for everything else.
const STREAMS = 3;
const RUNNING = ["queued", "waiting", "running"];
const ENDED = ["complete", "failed", "cancelled"];

export const ended = (download) => ENDED.includes(download.state);

class Downloads extends EventTarget {
  list = [];
  #streams = 0;

  start() {
    return every(INTERVAL, () => this.refresh());
  }

  async refresh() {
    try {
      this.list = (await get("/api/v1/downloads")).downloads;
      this.list.sort((a, b) => ended(a) - ended(b) || b.created - a.created);
    } catch {
      // The network's state says that the node does not answer; the list stays as it was.
    }
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Follows one download until its end or `signal`: `onProgress(download)` and `onPieces({count, by})`, by being
   * {peer: "0-3,7"}: at first all pieces that are here, later those that came. False: no connection to spare.
   */
  follow(id, { onProgress, onPieces }, signal) {
    if (this.#streams >= STREAMS) return false;
    this.#streams += 1;
    const events = new EventSource(`/api/v1/downloads/${encodeURIComponent(id)}/events?pieces=true`);
    let open = true;
    const close = () => {
      if (open) this.#streams -= 1;
      open = false;
      events.close();
    };
    for (const state of [...RUNNING, ...ENDED]) {
      events.addEventListener(state, (event) => {
        onProgress(JSON.parse(event.data));
        if (ENDED.includes(state)) {
          close();
          this.refresh();
        }
      });
    }
    events.addEventListener("pieces", (event) => onPieces(JSON.parse(event.data)));
    // A browser would connect again by itself; the list's next answer decides whether that makes sense.
    events.addEventListener("error", close);
    signal.addEventListener("abort", close, { once: true });
    return true;
  }
}

export const downloads = new Downloads();
