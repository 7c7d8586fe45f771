// The page of a peer: where it is, how it is, and what it holds.

import { get } from "./api.js";
import { h, keyed, text } from "./dom.js";
import { fileRow } from "./files.js";
import { Flows } from "./flows.js";
import * as format from "./format.js";
import { dot } from "./holders.js";
import { t } from "./i18n.js";
import { condition, network } from "./network.js";
import { every } from "./poll.js";
import { Search } from "./search.js";

const REFRESH = 5000;
const FLOWS = 1000;

export function peerView(route, signal) {
  const id = route.path[1] ?? "";
  const state = h("p", { class: "lead" });
  const facts = h("dl", {});
  const list = h("ul", { class: "rows", "aria-label": t("results") });
  const none = h("p", { class: "empty", hidden: true }, t("peer.empty"));
  const more = h("button", { type: "button", class: "button more", hidden: true }, t("more"));
  const search = new Search(({ rows, next, phase }) => {
    keyed(list, rows, (row) => `${row.id} ${row.name}`, fileRow);
    none.hidden = rows.length > 0 || phase !== "ready";
    more.hidden = !next;
  }, signal);
  more.addEventListener("click", () => search.more());

  let moves = "";
  const show = () => {
    const peer = network.peers.find((one) => one.id === id);
    if (!peer) {
      if (network.node) text(state, t("peer.unknown"));
      return;
    }
    text(state, [t(`peer.${condition(peer)}`), peer.seed && t("peer.seed"), network.isSelf(id) && t("peer.this")].filter(Boolean).join(" · "));
    const rows = [
      ["peer.holds", t("peer.holds.of", { n: peer.files, size: format.bytes(peer.bytes) })],
      ...(moves ? [["peer.moves", moves]] : []),
      ...(peer.lag ? [["peer.lag", t("peer.lag.of", { n: peer.lag })]] : []),
      ["peer.address", peer.host],
      ["peer.ports", t("peer.ports.of", { rest: String(peer.rest_port), grpc: String(peer.grpc_port), data: String(peer.data_port) })],
      ["peer.version", peer.version],
      ...(network.isSelf(id) ? [] : [["peer.heard", t("peer.heard.ago", { time: format.duration(peer.silent) })]]),
    ];
    facts.replaceChildren(...rows.flatMap(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)]));
  };
  const flows = new Flows();
  every(
    FLOWS,
    async () => {
      try {
        const edges = flows.rates((await get("/api/v1/flows", { signal })).flows);
        const sum = (way) => edges.filter((edge) => edge[way] === id).reduce((all, edge) => all + edge.rate, 0);
        const [receives, sends] = [sum("to"), sum("from")];
        moves = receives + sends > 0 ? t("peer.moves.of", { receives: format.rate(receives), sends: format.rate(sends) }) : "";
        show();
      } catch {
        // The next look tells; that the node is away is said elsewhere.
      }
    },
    signal,
  );
  network.addEventListener("change", show, { signal });
  show();
  search.want({ holder: id }, { now: true });
  every(REFRESH, () => search.refresh(), signal);

  return h(
    "section",
    { class: "view peer", "data-section": "network" },
    h("p", { class: "crumbs" }, h("a", { href: "#/network" }, t("nav.network"))),
    h("div", { class: "hero" }, h("h1", { tabindex: "-1" }, dot(id), id), state),
    h("section", { class: "panel" }, facts),
    h("h2", {}, t("peer.files")),
    list,
    none,
    more,
  );
}
