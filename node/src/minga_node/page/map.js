// The network as a picture, and the same as a list for those who cannot see it.

import { get } from "./api.js";
import { colour } from "./colours.js";
import { h, keyed, s, text } from "./dom.js";
import { Flows } from "./flows.js";
import * as format from "./format.js";
import { peerLink } from "./holders.js";
import { t } from "./i18n.js";
import { curve, layout, TALL, WIDE } from "./layout.js";
import { condition, network } from "./network.js";
import { every } from "./poll.js";
import { link } from "./router.js";

const REFRESH = 1000;
const narrow = matchMedia("(max-width: 46rem)");
// The strokes of one metre of thread: a transfer of 1 MB/s is thin, one of 1 GB/s thick.
const thickness = (rate) => Math.min(12, 2.5 + Math.max(0, Math.log10(rate / 1e5)) * 1.8);

export function networkView(_route, signal) {
  const flows = new Flows();
  let edges = [];
  const lead = h("p", { class: "lead" });
  const ways = s("g", { class: "map-ways" });
  const transfers = s("g", { class: "map-transfers" });
  const brokers = s("g", {});
  const nodes = s("g", { class: "map-nodes" });
  const map = s("svg", { class: "map", role: "group", "aria-label": t("map.label") }, ways, transfers, brokers, nodes);
  const rows = h("tbody", {});
  const now = h("ul", { class: "plain", "aria-label": t("map.transfers") });
  const quiet = h("p", { class: "quiet" }, t("map.quiet"));

  const show = () => {
    const peers = network.peers.filter((peer) => peer.state !== "left");
    const { node } = network;
    if (!node) return;
    const broker = node.broker_connected;
    text(lead, t("map.lead", { n: peers.filter((peer) => peer.state === "alive").length, network: node.network, broker: t(`map.broker.${brokerState(node)}`) }));
    const space = narrow.matches ? TALL : WIDE;
    map.setAttribute("viewBox", `0 0 ${space.width} ${space.height}`);
    const { places, centre } = layout(peers, space, broker !== null);
    const moving = edges.filter((edge) => edge.rate > 0 && places.has(edge.from) && places.has(edge.to));
    const peerKey = (peer) => peer.id;
    const edgeKey = (edge) => `${edge.from} ${edge.to}`;
    keyed(ways, broker === null ? [] : peers, peerKey, wayToBroker, places, centre);
    keyed(transfers, moving, edgeKey, transferLine, places);
    keyed(brokers, broker === null ? [] : [{ id: "" }], peerKey, brokerMark, centre);
    keyed(nodes, peers, peerKey, nodeMark, places);
    keyed(now, moving, edgeKey, transferItem);
    quiet.hidden = moving.length > 0;
    keyed(rows, peers, peerKey, peerRow, edges);
  };

  network.addEventListener("change", show, { signal });
  narrow.addEventListener("change", show, { signal });
  every(
    REFRESH,
    async () => {
      try {
        edges = flows.rates((await get("/api/v1/flows", { signal })).flows);
      } catch {
        edges = [];
      }
      if (!signal.aborted) show();
    },
    signal,
  );

  return h(
    "section",
    { class: "view network", "data-section": "network" },
    h("div", { class: "hero" }, h("h1", { tabindex: "-1" }, t("nav.network")), h("p", { class: "motto" }, t("map.title")), lead),
    h("div", { class: "map-frame" }, map, legend()),
    h("section", { class: "panel" }, h("h2", {}, t("map.transfers")), now, quiet),
    h(
      "section",
      { class: "panel" },
      h("h2", {}, t("map.peers")),
      h(
        "div",
        { class: "table-frame", tabindex: "0", role: "region", "aria-label": t("map.peers") },
        h("table", {}, h("thead", {}, h("tr", {}, ["peer", "role", "state", "heard", "in", "out"].map((key) => h("th", { scope: "col" }, t(`map.column.${key}`))))), rows),
      ),
    ),
  );
}

function wayToBroker() {
  const line = s("path", {});
  line.update = (peer, places, centre) => {
    const at = places.get(peer.id);
    line.setAttribute("d", `M${centre.x} ${centre.y}L${at.x} ${at.y}`);
    line.setAttribute("class", condition(peer) === "alive" && brokerState(network.node) === "up" ? "way" : "way way-away");
  };
  return line;
}

function transferLine() {
  const line = s("path", { class: "transfer" });
  line.update = (edge, places) => {
    line.setAttribute("d", curve(places.get(edge.from), places.get(edge.to)));
    line.style.setProperty("--colour", colour(edge.from));
    line.style.setProperty("stroke-width", thickness(edge.rate));
  };
  return line;
}

function transferItem({ from, to }) {
  const words = h("span", { class: "quiet" });
  const arrow = h("span", { "aria-hidden": "true" }, "→");
  const item = h("li", {}, peerLink(from), arrow, h("span", { class: "unseen" }, t("map.to")), peerLink(to), words);
  item.update = (edge) => text(words, format.rate(edge.rate));
  return item;
}

function legend() {
  const entry = (mark, key) => h("li", {}, s("svg", { viewBox: "-14 -14 28 28", "aria-hidden": "true" }, mark), t(key));
  return h(
    "ul",
    { class: "legend" },
    entry(s("circle", { r: 9, class: "legend-peer" }), "map.legend.peer"),
    entry(s("rect", { x: -8, y: -8, width: 16, height: 16, transform: "rotate(45)", class: "legend-peer" }), "map.legend.seed"),
    entry(s("path", { d: "M0 -10L9 -5V5L0 10L-9 5V-5Z", class: "legend-broker" }), "map.legend.broker"),
    entry(s("path", { d: "M-12 0H12", class: "legend-transfer" }), "map.legend.transfer"),
  );
}

function brokerState(node) {
  if (node.broker_connected === null) return "none";
  if (!node.broker_connected) return "down";
  return node.broker_problem ? "blocked" : "up";
}

function brokerMark() {
  const mark = s(
    "g",
    {},
    s("path", { d: "M0 -24L21 -12V12L0 24L-21 12V-12Z" }),
    s("text", { y: 44 }, "RabbitMQ"),
  );
  mark.update = (_, at) => {
    mark.setAttribute("transform", `translate(${at.x} ${at.y})`);
    mark.setAttribute("class", brokerState(network.node) === "up" ? "broker" : "broker broker-down");
  };
  return mark;
}

function nodeMark() {
  const shape = s("g", { class: "shape" });
  const name = s("text", { y: 42 });
  const title = s("title", {});
  const anchor = s("a", {}, title, s("circle", { r: 27, class: "halo" }), shape, name);
  let role = null;
  anchor.update = (peer, places) => {
    const at = places.get(peer.id);
    anchor.setAttribute("href", link(["peer", peer.id]));
    anchor.setAttribute("transform", `translate(${at.x} ${at.y})`);
    anchor.setAttribute("class", `node node-${condition(peer)}${network.isSelf(peer.id) ? " node-self" : ""}`);
    anchor.style.setProperty("--colour", colour(peer.id));
    if (role !== peer.seed) {
      role = peer.seed;
      shape.replaceChildren(role ? s("rect", { x: -15, y: -15, width: 30, height: 30, rx: 3, transform: "rotate(45)" }) : s("circle", { r: 17 }));
    }
    text(name, peer.id.length > 22 ? `${peer.id.slice(0, 21)}…` : peer.id);
    text(title, `${peer.id}: ${t(peer.seed ? "map.legend.seed" : "map.legend.peer")}, ${t(`peer.${condition(peer)}`)}`);
  };
  return anchor;
}

function peerRow(first) {
  const cells = ["role", "state", "heard", "in", "out"].map((key) => h("td", { class: `cell-${key}` }));
  const row = h("tr", {}, h("th", { scope: "row" }, peerLink(first.id)), cells);
  row.update = (peer, edges) => {
    const sum = (end) => edges.filter((edge) => edge[end] === peer.id).reduce((total, edge) => total + edge.rate, 0);
    const self = network.isSelf(peer.id);
    const values = [
      t(peer.seed ? "map.legend.seed" : "map.legend.peer"),
      t(`peer.${condition(peer)}`),
      self ? "–" : t("peer.heard.ago", { time: format.duration(peer.silent) }),
      format.rate(sum("to")),
      format.rate(sum("from")),
    ];
    cells.forEach((cell, n) => text(cell, values[n]));
    row.className = `is-${condition(peer)}`;
  };
  return row;
}
