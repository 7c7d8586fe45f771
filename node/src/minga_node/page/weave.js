// The picture of a download: a cloth in which every piece is one crossing, in the colour of the peer it came from.

import { colour } from "./colours.js";
import { s } from "./dom.js";

const ASPECT = 6;
const NARROWEST = 16;
const GAP = 0.14;

/** `0-3,7` → the numbers. */
export function* numbers(pieces) {
  for (const part of pieces.split(",").filter(Boolean)) {
    const [first, last = first] = part.split("-").map(Number);
    for (let piece = first; piece <= last; piece += 1) yield piece;
  }
}

// Crossings alternate as in plain weave: the thread on top runs across, or up and down.
function crossing(piece, columns) {
  const x = piece % columns;
  const y = Math.floor(piece / columns);
  const across = (x + y) % 2 === 0;
  const [left, top, width, height] = across
    ? [x, y + GAP, 1, 1 - 2 * GAP]
    : [x + GAP, y, 1 - 2 * GAP, 1];
  return `M${left} ${top}h${width}v${height}h${-width}z`;
}

/** The picture of `count` pieces; `add({peer: "0-3,7"})` draws what came. Peer "" is what was here before. */
export function weave(count, label) {
  const columns = Math.min(count, Math.max(NARROWEST, Math.ceil(Math.sqrt(count * ASPECT))));
  const rows = Math.ceil(count / columns);
  const ground = Array.from({ length: count }, (_, piece) => crossing(piece, columns)).join("");
  const svg = s(
    "svg",
    { class: "weave", viewBox: `0 0 ${columns} ${rows}`, role: "img", "aria-label": label, style: { "--columns": columns } },
    s("path", { class: "weave-ground", d: ground }),
  );
  const threads = new Map();
  svg.add = (by) => {
    for (const [peer, pieces] of Object.entries(by)) {
      let drawn = "";
      for (const piece of numbers(pieces)) if (piece < count) drawn += crossing(piece, columns);
      let path = threads.get(peer);
      if (!path) {
        path = s("path", { d: "", style: { fill: peer ? colour(peer) : "var(--thread-before)" } });
        threads.set(peer, path);
        svg.append(path);
      }
      path.setAttribute("d", path.getAttribute("d") + drawn);
    }
  };
  return svg;
}
