// Addresses behind the `#`, so that every view has a link, and Back goes back. A view lives until the next one.

/** `#/file/a%2Fb?id=7` → {path: ["file", "a/b"], query}. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function link(parts, query = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return `#/${parts.map(encodeURIComponent).join("/")}${parameters.size ? `?${parameters}` : ""}`;
}

export class Router {
  #views;
  #main;
  #life = new AbortController();
  #stopped = false;

  /** `views`: first part of the path → view(route, signal) → element; "" is the start. */
  constructor(main, views) {
    this.#main = main;
    this.#views = views;
    addEventListener("hashchange", (event) => {
      // The skip link's target is an element, not a view.
      if (location.hash === "#content") history.replaceState(null, "", new URL(event.oldURL).hash || "#/");
      else this.show({ focus: true });
    });
  }

  /** Ends what is shown; addresses lead nowhere from now on. */
  stop() {
    this.#life.abort();
    this.#stopped = true;
  }

  show({ focus = false } = {}) {
    if (this.#stopped) return;
    this.#life.abort();
    this.#life = new AbortController();
    const route = parse(location.hash);
    const section = route.path[0] ?? "";
    const view = this.#views[section] ?? this.#views[""];
    const element = view(route, this.#life.signal);
    this.#main.replaceChildren(element);
    for (const link of document.querySelectorAll("[data-section]")) {
      const here = link.dataset.section === (element.dataset.section ?? "files");
      here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    }
    const title = element.querySelector("h1");
    document.title = title ? `${title.textContent} · Minga` : "Minga";
    if (focus) {
      (title ?? this.#main).focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }
}
