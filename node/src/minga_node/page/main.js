// The page's start: language, colours, views, and what the frame around them shows.

import { get } from "./api.js";
import { downloads, ended } from "./downloads.js";
import { text } from "./dom.js";
import { fileView } from "./file.js";
import { filesView } from "./files.js";
import * as i18n from "./i18n.js";
import { networkView } from "./map.js";
import { network } from "./network.js";
import { peerView } from "./peer.js";
import { Router } from "./router.js";
import { session } from "./session.js";
import { signInView, signOutButton } from "./signin.js";
import * as theme from "./theme.js";
import { transfersView } from "./transfers.js";
import { watchDrops } from "./upload.js";

i18n.start();
theme.start(document.getElementById("theme"));
watchDrops();

const router = new Router(document.getElementById("content"), {
  "": filesView,
  file: fileView,
  transfers: transfersView,
  network: networkView,
  peer: peerView,
});

const signOut = signOutButton();
document.querySelector(".controls").append(signOut);

// Stands where a view would, and says its name in the language chosen last.
let closed = null;
async function close(hadSession) {
  router.stop();
  document.body.classList.add("is-closed");
  const name = network.node?.network ?? (await get("/api/v1/node").catch(() => null))?.network ?? "Minga";
  closed = () => {
    const view = signInView(name, hadSession);
    document.getElementById("content").replaceChildren(view);
    document.title = `${view.querySelector("h1").textContent} · Minga`;
    view.querySelector("input:not([hidden])").focus();
  };
  closed();
  frame();
}
session.addEventListener("change", () => close(true));

const language = document.getElementById("language");
language.value = i18n.language();
language.addEventListener("change", () => {
  i18n.choose(language.value);
  closed ? closed() : router.show();
  frame();
});

function frame() {
  signOut.update();
  if (!session.open) return text(document.getElementById("foot"), "");
  const { node, reachable } = network;
  const foot = document.getElementById("foot");
  document.body.classList.toggle("is-alone", !reachable);
  if (!reachable) text(foot, i18n.t("unreachable"));
  else if (node) {
    text(document.getElementById("network-name"), node.network);
    text(foot, [i18n.t("foot", { node: node.id, version: node.version }), ...node.problems].join(" · "));
  }
  const running = downloads.list.filter((download) => !ended(download)).length;
  const count = document.getElementById("running");
  text(count, running ? String(running) : "");
  count.hidden = !running;
  running ? count.setAttribute("aria-label", i18n.t("transfers.count", { n: running })) : count.removeAttribute("aria-label");
}

network.addEventListener("change", frame);
downloads.addEventListener("change", frame);
// What rows say of "here" depends on who this node is: its name comes before the first view.
await session.refresh();
if (session.open) {
  await network.refresh();
  router.show();
  network.start();
  downloads.start();
} else {
  close(false);
}
