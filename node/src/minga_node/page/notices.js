// Short news in a corner, read out by screen readers.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const SECONDS = 6;

/** Shows a line; errors stay until they are dismissed. */
export function notice(line, { error = false } = {}) {
  const close = h("button", { type: "button", class: "icon-button", "aria-label": t("dismiss") }, "×");
  const element = h("div", { class: error ? "notice notice-error" : "notice" }, h("p", {}, line), close);
  close.addEventListener("click", () => element.remove());
  document.getElementById("notices").append(element);
  if (!error) setTimeout(() => element.remove(), SECONDS * 1000);
}

/** Tells of a failure, unless it only means that the view is gone. */
export function failed(error) {
  if (error.name === "AbortError") return;
  notice(error.status === 0 || error instanceof TypeError ? t("unreachable") : error.message, { error: true });
}
