// Whether this browser may look and change something, where the node asks for a token. The token itself is not kept:
// the node answers it with a cookie that no script can read.

const ADDRESS = "/api/v1/session";
// Who may look may also have the node fetch.
const FETCH = "/api/v1/downloads";

class Session extends EventTarget {
  /** Whether the node asks for tokens at all. */
  needed = false;
  /** "read", "write", or null: not signed in. */
  scope = "write";

  get open() {
    return this.scope !== null;
  }

  /** Whether a request would only be refused. */
  refuses(method, path) {
    return !this.open || (this.scope === "read" && method !== "GET" && path !== FETCH);
  }

  async refresh() {
    try {
      const response = await fetch(ADDRESS, { cache: "no-store" });
      if (response.ok) this.#take(await response.json());
    } catch {
      // The network's state says that the node does not answer.
    }
  }

  /** Whether the token was good. */
  async signIn(token) {
    const response = await fetch(ADDRESS, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    if (response.ok) this.#take(await response.json());
    return response.ok;
  }

  async signOut() {
    await fetch(ADDRESS, { method: "DELETE" });
    this.end();
  }

  /** The node no longer takes our cookie: it has become too old, or the token was changed. */
  end() {
    if (!this.open) return;
    this.needed = true;
    this.scope = null;
    this.dispatchEvent(new Event("change"));
  }

  #take({ needed, scope }) {
    this.needed = needed;
    this.scope = scope;
  }
}

export const session = new Session();
