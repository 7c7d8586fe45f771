// The page of a file: a look at it, what it is, who has it, and how to get it.

import { copyLine, fetchButton, saveLink } from "./actions.js";
import { contentUrl, get, remove } from "./api.js";
import { downloadCard } from "./card.js";
import { confirmed } from "./confirm.js";
import { downloads, ended } from "./downloads.js";
import { h, keyed } from "./dom.js";
import * as format from "./format.js";
import { availability, badge, peerLink } from "./holders.js";
import { t } from "./i18n.js";
import { network } from "./network.js";
import { failed, notice } from "./notices.js";
import { every } from "./poll.js";
import { preview } from "./preview.js";
import { link } from "./router.js";

const REFRESH = 3000;

export function fileView(route, signal) {
  const name = route.path[1] ?? "";
  const id = route.query.get("id");
  const [folder, leaf] = format.split(name);
  const body = h("div", { class: "file-body", "aria-busy": "true" });
  const view = h(
    "section",
    { class: "view file", "data-section": "files" },
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, t("nav.files")), folder && h("span", { class: "folder" }, ` / ${folder}`)),
    h("h1", { tabindex: "-1" }, leaf || name),
    body,
  );
  const live = h("ul", { class: "cards" });
  let shown = "";

  async function ask() {
    let rows;
    try {
      ({ files: rows } = await get("/api/v1/files", { query: { name }, signal }));
    } catch (error) {
      if (!signal.aborted) refuse(error.status ? error.message : t("unreachable"));
      return;
    }
    const file = rows.find((row) => row.id === id) ?? (id ? null : rows[0]);
    if (!file) {
      refuse(t("file.gone"));
      return;
    }
    const others = rows.filter((row) => row.id !== file.id);
    const looks = JSON.stringify([file, others, availability(file)]);
    if (looks === shown) return;
    const sameContent = shown && body.querySelector(".preview") && JSON.parse(shown)[2] === availability(file);
    // What is playing goes on playing while the list of holders changes around it.
    const kept = sameContent ? body.querySelector(".preview") : preview(file, signal);
    shown = looks;
    body.removeAttribute("aria-busy");
    body.replaceChildren(...parts(file, others, kept));
    transfers();
  }

  function refuse(words) {
    shown = "";
    body.removeAttribute("aria-busy");
    body.replaceChildren(h("p", { class: "problem", role: "alert" }, words));
  }

  function transfers() {
    const wanted = downloads.list.filter((download) => download.content_id === id && (!ended(download) || live.childElementCount)).slice(0, 1);
    keyed(live, wanted, (download) => download.id, (download) => downloadCard(download, signal));
  }

  function parts(file, others, look) {
    return [
      others.length > 0 &&
        h("p", { class: "hint" }, t("file.versions", { n: others.length }), " ", others.map((other) => h("a", { href: link(["file", name], { id: other.id }) }, `${format.short(other.id)} (${format.bytes(other.size)})`))),
      h("div", { class: "file-actions" }, badge(file), actions(file)),
      live,
      look,
      h("div", { class: "columns" }, facts(file), holders(file)),
      commands(file),
    ].filter(Boolean);
  }

  function actions(file) {
    const state = availability(file);
    return [
      state === "online" && fetchButton(file),
      (state === "here" || state === "online") && saveLink(file),
      state === "here" && h("button", { type: "button", class: "button button-danger", on: { click: () => drop(file) } }, t("file.remove")),
    ];
  }

  async function drop(file) {
    if (!(await confirmed(t("file.remove.ask", { name: file.name }), t("file.remove")))) return;
    try {
      await remove(contentUrl({ name: file.name }));
      notice(t("file.removed", { name: file.name }));
      await ask();
    } catch (error) {
      failed(error);
    }
  }

  downloads.addEventListener("change", transfers, { signal });
  network.addEventListener("change", () => shown || ask(), { signal, once: true });
  every(REFRESH, ask, signal);
  return view;
}

function facts(file) {
  const rows = [
    ["file.size", `${format.bytes(file.size)} (${t("bytes", { n: file.size })})`],
    ["file.type", file.media_type],
    ["file.modified", format.moment(file.modified)],
    ["file.pieces", t("file.pieces.of", { n: file.pieces, size: format.bytes(file.piece_size) })],
  ];
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("file.facts")),
    h("dl", {}, rows.map(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)])),
    h("h3", {}, t("file.id")),
    copyLine(file.id, t("file.id")),
    h("p", { class: "quiet" }, t("file.id.hint")),
    file.sha256 && [h("h3", {}, "SHA-256"), copyLine(file.sha256, "SHA-256")],
  );
}

function holders(file) {
  const rows = [...file.holders].sort((a, b) => b.online - a.online || b.complete - a.complete || a.peer.localeCompare(b.peer));
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("file.holders", { n: rows.length })),
    h(
      "ul",
      { class: "plain" },
      rows.map((holder) =>
        h("li", { class: holder.online ? "" : "is-away" }, peerLink(holder.peer), h("span", { class: "quiet" }, [t(holder.complete ? "holder.complete" : "holder.partial"), !holder.online && t("holder.away")].filter(Boolean).join(" · "))),
      ),
    ),
  );
}

function commands(file) {
  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  const leaf = format.split(file.name)[1];
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("file.commands")),
    copyLine(`minga get ${quoted(file.name)} --id ${file.id}`, "minga"),
    copyLine(`curl -o ${quoted(leaf)} ${quoted(location.origin + contentUrl(file))}`, "curl"),
  );
}
