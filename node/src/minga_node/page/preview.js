// A look at a file's content. Images, audio and film are the browser's own elements over HTTP ranges; everything that
// could act in the page's name (HTML, SVG in a frame, PDF) is shown as text or not at all.

import { contentUrl } from "./api.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { availability } from "./holders.js";
import { t } from "./i18n.js";

const TEXT_BYTES = 64 * 1024;
const IMAGE_BYTES = 32e6;

const MAKE = {
  image: (file) => h("img", { src: contentUrl(file), alt: t("preview.image", { name: file.name }), class: "preview-picture" }),
  audio: (file) => h("audio", { src: contentUrl(file), controls: true, preload: "metadata", "aria-label": file.name }),
  video: (file) => h("video", { src: contentUrl(file), controls: true, preload: "metadata", "aria-label": file.name }),
  text: textPreview,
};

/** A preview, or nothing for what has none. One that would fetch the file to this node waits for a click. */
export function preview(file, signal) {
  const kind = format.kind(file.media_type);
  const make = MAKE[kind];
  const state = availability(file);
  if (!make || state === "away" || state === "partial" || !file.size) return null;
  const box = h("div", { class: `preview preview-${kind}` });
  const open = () => {
    const element = make(file, signal);
    element.addEventListener("error", () => box.replaceChildren(h("p", { class: "quiet" }, t("preview.failed"))), { once: true });
    box.replaceChildren(element);
    return element;
  };
  if (state === "here" && !(kind === "image" && file.size > IMAGE_BYTES)) {
    open();
  } else {
    box.append(
      h("button", { type: "button", class: "button", on: { click: () => open().focus?.() } }, t(`preview.${kind}.open`)),
      h("p", { class: "quiet" }, t("preview.fetches", { size: format.bytes(file.size) })),
    );
  }
  return box;
}

function textPreview(file, signal) {
  const code = h("pre", { class: "preview-words", tabindex: "0", "aria-label": t("preview.text", { name: file.name }) });
  read(file, signal).then(
    (words) => code.append(words, file.size > TEXT_BYTES ? `\n… ${t("preview.cut", { size: format.bytes(TEXT_BYTES) })}` : ""),
    () => code.dispatchEvent(new Event("error")),
  );
  return code;
}

async function read(file, signal) {
  const response = await fetch(contentUrl(file), { headers: { Range: `bytes=0-${TEXT_BYTES - 1}` }, signal });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return new TextDecoder().decode(await response.arrayBuffer());
}
