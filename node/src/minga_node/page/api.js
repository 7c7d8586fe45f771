// The node's REST interface. Every address is relative: the page talks to the node that served it, and to nobody else.

import { t } from "./i18n.js";
import { session } from "./session.js";

/** An answer that is an error; `type` is the stable name of a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `HTTP ${status}`);
    this.status = status;
    this.type = (body?.type ?? "").replace("urn:minga:problem:", "");
    this.body = body ?? {};
  }
}

// What would only be refused is not even asked: nobody knocks every second at a door that is closed.
function refusal() {
  return session.open
    ? new Problem(403, { type: "urn:minga:problem:insufficient-scope", detail: t("signin.reader") })
    : new Problem(401, { type: "urn:minga:problem:token-needed", detail: t("signin.ended") });
}

const FOR_EVERYBODY = new Set(["/api/v1/node"]);

async function call(method, path, { query = {}, body, signal } = {}) {
  if (session.refuses(method, path) && !FOR_EVERYBODY.has(path)) throw refusal();
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const response = await fetch(parameters.size ? `${path}?${parameters}` : path, {
    method,
    signal,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
    cache: "no-store",
  });
  const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
  const document = isJson ? await response.json() : null;
  if (response.status === 401) session.end();
  if (!response.ok) throw new Problem(response.status, document);
  return document;
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, body, options) => call("POST", path, { ...options, body });
export const remove = (path, options) => call("DELETE", path, options);

/** Address of a file's content. */
export function contentUrl({ name, id, peer }) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const parameters = new URLSearchParams(Object.entries({ id, peer }).filter(([, value]) => value));
  return `/files/${path}${parameters.size ? `?${parameters}` : ""}`;
}

/**
 * Puts a file into the node's library. XMLHttpRequest, because `fetch` does not tell how much has been sent.
 * Without `replace` an existing file of that name is left alone (Problem 412).
 */
export function put(name, file, { onProgress, replace = false, signal }) {
  // A node that refuses does not wait until a large file has come: its answer could be lost.
  if (session.refuses("PUT")) return Promise.reject(refusal());
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", contentUrl({ name }));
    if (!replace) request.setRequestHeader("If-None-Match", "*");
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    request.onload = () =>
      request.status < 300 ? resolve(request.response) : reject(new Problem(request.status, request.response));
    request.onerror = () => reject(new Problem(0, null));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}
