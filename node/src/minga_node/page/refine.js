// What narrows a search down, and in which order its rows come. Each choice is part of the page's address.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const MB = 1e6;
/** Of each choice: its values in the address, and the parameters of /api/v1/files that they stand for. */
const CHOICES = {
  kind: {
    "": {},
    image: { media_type: "image/*" },
    audio: { media_type: "audio/*" },
    video: { media_type: "video/*" },
    text: { media_type: "text/*" },
    pdf: { media_type: "application/pdf" },
  },
  size: {
    "": {},
    small: { max_size: MB },
    medium: { min_size: MB, max_size: 100 * MB },
    large: { min_size: 100 * MB },
    huge: { min_size: 1000 * MB },
  },
  sort: {
    "": {},
    name: { sort: "name" },
    new: { sort: "-modified" },
    large: { sort: "-size" },
    small: { sort: "size" },
    holders: { sort: "-holders" },
  },
};

export class Refine {
  #selects;
  #available;

  /** `query`: that of the address. `changed()` is called after every choice. */
  constructor(query, changed) {
    this.#selects = Object.entries(CHOICES).map(([name, values]) =>
      h(
        "select",
        { name, "aria-label": t(`refine.${name}`), on: { change: changed } },
        Object.keys(values).map((value) =>
          h("option", { value, selected: value === (query.get(name) ?? "") }, t(value ? `refine.${name}.${value}` : `refine.${name}.any`)),
        ),
      ),
    );
    this.#available = h("input", { type: "checkbox", name: "available", checked: query.has("available"), on: { change: changed } });
    this.element = h(
      "div",
      { class: "refine", role: "group", "aria-label": t("refine.label") },
      this.#selects,
      h("label", { class: "refine-available" }, this.#available, h("span", {}, t("refine.available"))),
    );
    this.#mark();
  }

  /** For the address: only what is chosen. */
  get address() {
    this.#mark();
    return { ...Object.fromEntries(this.#selects.map((select) => [select.name, select.value])), available: this.#available.checked ? "1" : "" };
  }

  /** For /api/v1/files. */
  get parameters() {
    const chosen = this.#selects.map((select) => CHOICES[select.name][select.value] ?? {});
    return Object.assign({}, ...chosen, this.#available.checked ? { available: true } : {});
  }

  /** Whether some rows are left out. */
  get narrows() {
    return this.#available.checked || this.#selects.some((select) => select.name !== "sort" && select.value);
  }

  clear() {
    for (const select of this.#selects) if (select.name !== "sort") select.value = "";
    this.#available.checked = false;
  }

  #mark() {
    for (const select of this.#selects) select.classList.toggle("is-chosen", select.value !== "");
  }
}
