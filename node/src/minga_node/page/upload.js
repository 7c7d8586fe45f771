// Sharing files: by a button, or by dropping files and folders anywhere on the page.

import { put } from "./api.js";
import { h, text } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { network } from "./network.js";

const AT_ONCE = 2;
const waiting = [];
let running = 0;

/** The button, with the file chooser behind it. */
export function shareButton() {
  const input = h("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-hidden": "true", id: "chooser" });
  input.addEventListener("change", () => {
    for (const file of input.files) share(file.name, file);
    input.value = "";
  });
  return h(
    "span",
    { class: "share" },
    input,
    h("button", { type: "button", class: "button button-main", on: { click: () => input.click() } }, icon("share"), t("share")),
  );
}

/** Takes drops on the whole page. */
export function watchDrops() {
  const curtain = h("div", { class: "curtain", hidden: true }, h("p", {}, t("drop")));
  document.body.append(curtain);
  let depth = 0;
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!isFiles(event)) return;
    depth += 1;
    curtain.firstChild.textContent = t("drop");
    curtain.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    curtain.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = 0;
    curtain.hidden = true;
    // The list is only good until the first wait.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
    const plain = [...event.dataTransfer.files];
    for (const [n, entry] of entries.entries()) {
      if (entry?.isDirectory) await walk(entry, "");
      else if (plain[n]) share(plain[n].name, plain[n]);
    }
  });
}

async function walk(entry, folder) {
  if (entry.isFile) {
    share(folder + entry.name, await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives a hundred entries at a time, and an empty list at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const child of some) await walk(child, `${folder}${entry.name}/`);
  }
}

function share(name, file) {
  waiting.push(new Upload(name, file));
  next();
}

async function next() {
  if (running >= AT_ONCE || !waiting.length) return;
  running += 1;
  await waiting.shift().run();
  running -= 1;
  next();
}

class Upload {
  #stop = new AbortController();
  #bar = h("progress", { max: "1", value: "0" });
  #words = h("p", { class: "quiet" }, t("upload.waits"));
  #buttons = h("span", { class: "notice-buttons" });

  constructor(name, file) {
    this.name = name;
    this.file = file;
    this.#bar.setAttribute("aria-label", t("upload.progress", { name }));
    this.card = h("div", { class: "notice upload" }, h("p", { class: "upload-name" }, name), this.#bar, this.#words, this.#buttons);
    this.#offer(["cancel", () => this.#stop.abort()]);
    document.getElementById("notices").append(this.card);
  }

  async run(replace = false) {
    const began = performance.now();
    this.#offer(["cancel", () => this.#stop.abort()]);
    try {
      await put(this.name, this.file, {
        replace,
        signal: this.#stop.signal,
        onProgress: (sent, total) => {
          this.#bar.value = total ? sent / total : 1;
          const seconds = (performance.now() - began) / 1000;
          text(this.#words, sent < total ? t("upload.sent", { sent: format.bytes(sent), total: format.bytes(total), rate: format.rate(sent / seconds) }) : t("upload.hashing"));
        },
      });
      this.#end("upload-done", t("upload.done"));
      setTimeout(() => this.card.remove(), 6000);
      network.refresh();
    } catch (error) {
      if (error.name === "AbortError") this.card.remove();
      else if (error.status === 412) {
        this.#end("notice-error", t("upload.exists"), ["upload.replace", () => this.#again(true)]);
      } else {
        this.#end("notice-error", error.status === 0 ? t("unreachable") : error.message, ["retry", () => this.#again(replace)]);
      }
    }
  }

  #again(replace) {
    this.card.classList.remove("notice-error");
    this.#bar.value = 0;
    return this.run(replace);
  }

  #end(look, words, action) {
    this.card.classList.add(look);
    text(this.#words, words);
    this.#offer(...(action ? [action] : []), ["dismiss", () => this.card.remove()]);
  }

  #offer(...actions) {
    this.#buttons.replaceChildren(
      ...actions.map(([key, act]) => h("button", { type: "button", class: "button button-quiet", on: { click: act } }, t(key))),
    );
  }
}
