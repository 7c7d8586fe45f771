// What can be done with a file, wherever it is shown.

import { contentUrl, post } from "./api.js";
import { downloads } from "./downloads.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { failed, notice } from "./notices.js";

/** Fetches a file into this node's library. */
export async function fetchHere(file) {
  try {
    await post("/api/v1/downloads", { name: file.name, id: file.id });
    notice(t("get.started", { name: file.name }));
    await downloads.refresh();
  } catch (error) {
    failed(error);
  }
}

export function fetchButton(file) {
  return h(
    "button",
    {
      type: "button",
      class: "button",
      "aria-label": t("get.label", { name: file.name }),
      on: {
        click: async (event) => {
          const button = event.currentTarget;
          button.disabled = true;
          await fetchHere(file);
          button.disabled = false;
        },
      },
    },
    icon("get"),
    t("get"),
  );
}

/** Saves a file's content on the computer that shows this page. */
export function saveLink(file) {
  return h(
    "a",
    {
      class: "button",
      href: contentUrl(file),
      download: file.name.split("/").pop(),
      "aria-label": t("save.label", { name: file.name }),
    },
    icon("save"),
    t("save"),
  );
}

/** A line to copy, with a button that does it. */
export function copyLine(command, label) {
  const button = h("button", { type: "button", class: "icon-button", "aria-label": t("copy.label", { what: label }) }, icon("copy"));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
    } catch {
      // Without https the clipboard is closed to pages: select the line, so that one key copies it.
      getSelection().selectAllChildren(code);
      return;
    }
    notice(t("copied"));
  });
  const code = h("code", { tabindex: "0" }, command);
  return h("div", { class: "copy-line" }, code, button);
}
