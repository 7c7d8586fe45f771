// One download as it goes on: how far, how fast, from whom, and its cloth.

import { remove } from "./api.js";
import { downloads, ended } from "./downloads.js";
import { h, keyed, text } from "./dom.js";
import * as format from "./format.js";
import { peerLink } from "./holders.js";
import { said, t } from "./i18n.js";
import { failed } from "./notices.js";
import { link } from "./router.js";
import { weave } from "./weave.js";

/** An element with `update(download)`; it follows the download by events while it runs. */
export function downloadCard(first, signal) {
  let now = first;
  let cloth = null;
  let following = false;
  const bar = h("progress", { max: "1", value: "0", "aria-label": t("download.progress", { name: first.name }) });
  const share = h("span", { class: "card-share" });
  const facts = h("p", { class: "card-facts" });
  const why = h("p", { class: "card-why" });
  const place = h("div", { class: "card-cloth" });
  const sources = h("ul", { class: "sources", "aria-label": t("download.sources") });
  const stop = h(
    "button",
    { type: "button", class: "button button-quiet", "aria-label": t("download.cancel", { name: first.name }), on: { click: cancel } },
    t("cancel"),
  );
  const card = h(
    "li",
    { class: "card download" },
    h(
      "div",
      { class: "card-head" },
      h("h2", {}, title(first)),
      share,
      stop,
    ),
    bar,
    facts,
    why,
    place,
    sources,
  );

  async function cancel() {
    try {
      await remove(`/api/v1/downloads/${encodeURIComponent(first.id)}`);
      await downloads.refresh();
    } catch (error) {
      failed(error);
    }
  }

  function draw({ count, by }) {
    if (!count) return;
    if (!cloth) {
      cloth = weave(count, "");
      place.replaceChildren(cloth);
    }
    cloth.add(by);
    label();
  }

  function label() {
    const words = t("download.cloth", { have: now.verified_pieces, n: now.pieces, peers: Object.keys(now.sources).length });
    cloth?.setAttribute("aria-label", words);
  }

  function show(download) {
    now = download;
    const { state, size, verified } = download;
    const done = size > 0 ? verified / size : state === "complete" ? 1 : 0;
    card.dataset.state = state;
    bar.value = done;
    text(share, format.percent(done));
    const left = download.rate > 0 ? (size - verified) / download.rate : null;
    text(
      facts,
      [
        size < 0 ? t("size.unknown") : state === "complete" ? format.bytes(size) : t("download.of", { have: format.bytes(verified), size: format.bytes(size) }),
        state === "running" && format.rate(download.rate),
        state === "running" && left !== null && t("download.left", { time: format.duration(left) }),
        state === "running" && t("download.from", { n: download.holders }),
        !download.content_id && t("download.batch.of", { n: download.pieces, have: download.verified_pieces }),
        state !== "running" && t(`download.${state}`),
        state === "complete" && download.seconds > 0 && t("download.took", { time: format.duration(download.seconds), rate: format.rate(size / download.seconds) }),
        download.corrupt_pieces > 0 && t("download.corrupt", { n: download.corrupt_pieces }),
      ]
        .filter(Boolean)
        .join(" · "),
    );
    const reason = state === "failed" ? download.error : ended(download) || download.why === "running" ? "" : said(`why.${download.why}`, download.why);
    text(why, reason);
    why.hidden = !reason;
    stop.hidden = ended(download);
    const total = Object.values(download.sources).reduce((sum, count) => sum + count, 0);
    keyed(
      sources,
      Object.entries(download.sources).sort((a, b) => b[1] - a[1]),
      ([peer]) => peer,
      ([peer]) => {
        const words = h("span", { class: "quiet" });
        const item = h("li", {}, peerLink(peer), words);
        item.update = ([, count], sum) => text(words, `${format.bytes(count)} · ${format.percent(sum ? count / sum : 0)}`);
        return item;
      },
      total,
    );
    label();
  }

  card.update = (download) => {
    show(download);
    if (!following && !(ended(download) && cloth)) {
      following = downloads.follow(download.id, { onProgress: show, onPieces: draw }, signal);
    }
  };
  return card;
}

/** The file as a link; a batch of small files, which has no content of its own, as its folder. */
function title(download) {
  const [folder, leaf] = format.split(download.name);
  if (!download.content_id) return folder ? h("span", { class: "folder" }, folder) : t("download.batch");
  return h("a", { href: link(["file", download.name], { id: download.content_id }) }, folder && h("span", { class: "folder" }, folder), leaf);
}
