// One search at a time: debounced, paged by cursor, and an old answer never overtakes a newer question.

import { get } from "./api.js";
import { sleep } from "./poll.js";

const DEBOUNCE = 150;
const PAGE = 50;

export class Search {
  phase = "loading";
  rows = [];
  next = null;
  error = null;
  #wish = {};
  #show;
  #life;
  #asking = null;

  /** `show(search)` is called with every change; all ends with `signal`. */
  constructor(show, signal) {
    this.#show = show;
    this.#life = signal;
  }

  /** Searches anew, a moment after the last key. */
  async want(wish, { now = false } = {}) {
    this.#wish = wish;
    // A cursor belongs to its question.
    this.next = null;
    this.#set("loading");
    const asking = this.#begin();
    if (!now) await sleep(DEBOUNCE, asking);
    await this.#ask(asking, null, (rows) => rows);
  }

  /** The next page. */
  more() {
    return this.#ask(this.#begin(), this.next, (rows) => [...this.rows, ...rows]);
  }

  /** Looks again at what is shown, unless somebody has paged on or an answer is due. */
  async refresh() {
    if (this.phase === "loading" || this.rows.length > PAGE) return;
    await this.#ask(this.#begin(), null, (rows) => rows, { quiet: true });
  }

  #begin() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    return AbortSignal.any([this.#asking.signal, this.#life]);
  }

  async #ask(signal, cursor, merge, { quiet = false } = {}) {
    if (signal.aborted) return;
    if (!quiet) this.#set("loading");
    try {
      const { files, next_cursor: next } = await get("/api/v1/files", {
        query: { ...this.#wish, limit: PAGE, cursor },
        signal,
      });
      if (signal.aborted) return;
      this.rows = merge(files);
      this.next = next;
      this.#set("ready");
    } catch (error) {
      if (signal.aborted) return;
      this.rows = [];
      this.next = null;
      this.#set("error", error);
    }
  }

  #set(phase, error = null) {
    this.phase = phase;
    this.error = error;
    this.#show(this);
  }
}
