// A question before what cannot be taken back.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Whether the person says yes; Escape and a click elsewhere say no. */
export function confirmed(question, yes) {
  const words = h("p", { id: "question" }, question);
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "question" },
    h(
      "form",
      { method: "dialog" },
      words,
      h(
        "div",
        { class: "dialog-buttons" },
        h("button", { class: "button", value: "no", autofocus: true }, t("cancel")),
        h("button", { class: "button button-danger", value: "yes" }, yes),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
