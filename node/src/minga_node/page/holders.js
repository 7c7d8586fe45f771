// Who holds a file: a dot of each holder's colour, and the same in words.

import { colour } from "./colours.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { network } from "./network.js";
import { link } from "./router.js";

const DOTS = 8;

export const dot = (peer, state = "") => h("span", { class: `dot ${state}`, style: { "--colour": colour(peer) } });

/** A peer's name with its dot, linked to its page. */
export function peerLink(peer) {
  return h(
    "a",
    { class: "peer-link", href: link(["peer", peer]) },
    dot(peer),
    network.isSelf(peer) ? t("peer.self", { peer }) : peer,
  );
}

/** Dots and a count for a row. */
export function holdersBrief(file) {
  const online = file.holders.filter((holder) => holder.online);
  const shown = file.holders.slice(0, DOTS);
  const words = t("holders.brief", { online: online.length, n: file.holders.length });
  return h(
    "span",
    { class: "holders" },
    h(
      "span",
      { class: "dots", "aria-hidden": "true" },
      shown.map((holder) => dot(holder.peer, !holder.online ? "dot-away" : holder.complete ? "" : "dot-partial")),
    ),
    h("span", { class: "holders-words" }, words),
  );
}

/** One of: here, online, partial, away. */
export function availability(file) {
  const self = file.holders.find((holder) => network.isSelf(holder.peer));
  if (self?.complete) return "here";
  if (file.available) return "online";
  return file.holders.some((holder) => holder.online) ? "partial" : "away";
}

export function badge(file) {
  const state = availability(file);
  return h("span", { class: `badge badge-${state}` }, t(`state.${state}`));
}
