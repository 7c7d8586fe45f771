// The start: search as you type over everything the network holds.

import { fetchButton } from "./actions.js";
import { get } from "./api.js";
import { downloads, ended } from "./downloads.js";
import { h, keyed, text } from "./dom.js";
import * as format from "./format.js";
import { availability, badge, holdersBrief } from "./holders.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { network } from "./network.js";
import { every } from "./poll.js";
import { Refine } from "./refine.js";
import { link } from "./router.js";
import { Search } from "./search.js";
import { shareButton } from "./upload.js";

const REFRESH = 4000;

export function filesView(route, signal) {
  const input = h("input", {
    type: "search",
    id: "search",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    placeholder: t("search.placeholder"),
    "aria-label": t("search.label"),
    "aria-controls": "results",
    value: route.query.get("q") ?? "",
  });
  const scopes = ["network", "local"].map((scope) =>
    h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name: "scope", value: scope, checked: scope === (route.query.get("scope") ?? "network") }),
      h("span", {}, t(`scope.${scope}`)),
    ),
  );
  const count = h("p", { class: "result-count", role: "status", "aria-live": "polite" });
  const list = h("ul", { class: "rows", id: "results", "aria-label": t("results") });
  const state = h("div", { class: "state" });
  const more = h("button", { type: "button", class: "button more", hidden: true }, t("more"));
  const totals = h("p", { class: "lead" });

  const search = new Search(show, signal);
  const wish = () => ({
    q: input.value.trim(),
    scope: view.querySelector("input[name=scope]:checked").value,
    ...refine.parameters,
  });
  const changed = () => {
    const { q, scope } = wish();
    history.replaceState(null, "", link([], { q, scope: scope === "local" ? scope : "", ...refine.address }));
    search.want(wish());
  };
  const refine = new Refine(route.query, changed);

  const view = h(
    "section",
    { class: "view files", "data-section": "files" },
    h("div", { class: "hero" }, h("h1", { tabindex: "-1" }, t("nav.files")), h("p", { class: "motto" }, t("files.title")), totals),
    h(
      "form",
      { class: "search", role: "search", on: { submit: (event) => { event.preventDefault(); changed(); } } },
      h("div", { class: "search-field" }, icon("search"), input, h("kbd", { "aria-hidden": "true" }, "/")),
      h("fieldset", { class: "choices", on: { change: changed } }, h("legend", { class: "unseen" }, t("scope.legend")), scopes),
      shareButton(),
    ),
    h("div", { class: "result-line" }, count, refine.element),
    list,
    state,
    more,
  );

  input.addEventListener("input", changed);
  more.addEventListener("click", () => search.more());
  view.addEventListener("keydown", (event) => arrows(event, input, list));
  const slash = (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea, select")) {
      event.preventDefault();
      input.focus();
    }
  };
  document.addEventListener("keydown", slash, { signal });
  const summary = () => {
    const { node, totals: all } = network;
    if (!node) return;
    text(totals, t("files.lead", { n: node.peers_alive + 1, files: all.files, size: format.bytes(all.bytes), here: node.files }));
  };
  network.addEventListener("change", summary, { signal });
  downloads.addEventListener("change", () => show(search), { signal });
  summary();
  search.want(wish(), { now: true });
  every(REFRESH, () => search.refresh(), signal);

  function show({ phase, rows, next, error }) {
    list.setAttribute("aria-busy", phase === "loading");
    keyed(list, rows, (row) => `${row.id} ${row.name}`, fileRow);
    more.hidden = !next;
    view.classList.toggle("is-loading", phase === "loading");
    if (phase === "error") {
      state.replaceChildren(
        h("p", { class: "problem", role: "alert" }, error.status ? error.message : t("unreachable")),
        h("button", { type: "button", class: "button", on: { click: () => search.want(wish(), { now: true }) } }, icon("retry"), t("retry")),
      );
    } else if (phase === "loading" && !rows.length) {
      state.replaceChildren(h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i")));
    } else if (!rows.length) {
      state.replaceChildren(nothing(wish().q));
    } else {
      state.replaceChildren();
    }
    if (phase === "ready") text(count, rows.length ? t(next ? "count.more" : "count", { n: rows.length }) : "");
  }

  function nothing(q) {
    if (refine.narrows) {
      const clear = () => {
        refine.clear();
        changed();
      };
      return h("div", { class: "empty" }, h("p", {}, t("empty.refined")), h("p", {}, h("button", { type: "button", class: "button", on: { click: clear } }, t("refine.clear"))));
    }
    return h("div", { class: "empty" }, h("p", {}, q ? t("empty.search", { q }) : t("empty.start")), h("p", { class: "quiet" }, q ? t("empty.search.hint") : t("empty.start.hint")));
  }

  return view;
}

// Up and down walk through the results, and out of their top into the search field.
function arrows(event, input, list) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const links = [...list.querySelectorAll("a.row-name")];
  const at = links.indexOf(document.activeElement);
  if (at < 0 && (document.activeElement !== input || event.key === "ArrowUp")) return;
  event.preventDefault();
  const next = at + (event.key === "ArrowDown" ? 1 : -1);
  (next < 0 ? input : links[Math.min(next, links.length - 1)])?.focus();
}

/** One file as a row of a list. */
export function fileRow() {
  const row = h("li", { class: "row" });
  let shown = "";
  row.update = (now) => {
    const busy = downloads.list.find((download) => download.content_id === now.id && !ended(download));
    const looks = JSON.stringify([now, busy?.verified, availability(now)]);
    if (looks === shown) return;
    const hadFocus = row.contains(document.activeElement) ? document.activeElement.className : null;
    shown = looks;
    row.replaceChildren(...cells(now, busy));
    if (hadFocus) row.getElementsByClassName(hadFocus)[0]?.focus();
  };
  return row;
}

function cells(file, busy) {
  const [folder, leaf] = format.split(file.name);
  const kind = format.kind(file.media_type);
  const state = availability(file);
  return [
    h("span", { class: `glyph glyph-${kind}` }, icon(kind)),
    h(
      "span",
      { class: "row-what" },
      h("a", { class: "row-name", href: link(["file", file.name], { id: file.id }) }, folder && h("span", { class: "folder" }, folder), leaf),
      h(
        "span",
        { class: "row-facts" },
        h("span", {}, t(`kind.${kind}`)),
        h("span", {}, format.bytes(file.size)),
        h("span", { title: format.moment(file.modified) }, format.ago(file.modified)),
      ),
    ),
    holdersBrief(file),
    badge(file),
    h(
      "span",
      { class: "row-action" },
      busy
        ? h("a", { class: "button button-quiet", href: link(["transfers"]) }, format.percent(busy.size > 0 ? busy.verified / busy.size : 0))
        : state === "online" && fetchButton(file),
    ),
  ];
}
