// All downloads of this node, the running ones live.

import { downloadCard } from "./card.js";
import { downloads, ended } from "./downloads.js";
import { h, keyed, text } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";

const SHOWN = 50;

export function transfersView(_route, signal) {
  const lead = h("p", { class: "lead" });
  const list = h("ul", { class: "cards", "aria-label": t("nav.transfers") });
  const empty = h("div", { class: "empty" }, h("p", {}, t("transfers.empty")), h("p", { class: "quiet" }, t("transfers.empty.hint")));
  const show = () => {
    const running = downloads.list.filter((download) => !ended(download));
    const rate = running.reduce((sum, download) => sum + download.rate, 0);
    text(lead, running.length ? t("transfers.running", { n: running.length, rate: format.rate(rate) }) : t("transfers.idle"));
    keyed(list, downloads.list.slice(0, SHOWN), (download) => download.id, (download) => downloadCard(download, signal));
    empty.hidden = downloads.list.length > 0;
  };
  downloads.addEventListener("change", show, { signal });
  show();
  return h(
    "section",
    { class: "view", "data-section": "transfers" },
    h("div", { class: "hero" }, h("h1", { tabindex: "-1" }, t("nav.transfers")), h("p", { class: "motto" }, t("transfers.title")), lead),
    list,
    empty,
  );
}
