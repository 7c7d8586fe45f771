// The few drawings the page needs, as strokes on a 24 × 24 ground.

import { s } from "./dom.js";

const STROKES = {
  image: ["M4 5h16v14H4z", "M4 16l5-5 4 4 3-3 4 4", "M15 9h.01"],
  audio: ["M9 18V6l10-2v12", "M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z", "M19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z"],
  video: ["M3 6h12v12H3z", "M15 11l6-3v8l-6-3z"],
  text: ["M6 3h9l4 4v14H6z", "M9 11h7", "M9 15h7"],
  page: ["M6 3h9l4 4v14H6z", "M14 3v5h5"],
  archive: ["M4 8h16v12H4z", "M4 8l2-4h12l2 4", "M10 12h4"],
  file: ["M6 3h9l4 4v14H6z", "M14 3v5h5"],
  get: ["M12 3v10", "M8 9.5l4 4 4-4", "M4 13v7h16v-7"],
  save: ["M5 4h11l3 3v13H5z", "M8 4v5h7V4", "M8 20v-6h8v6"],
  share: ["M12 16V5", "M7 9l5-5 5 5", "M5 20h14"],
  search: ["M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14z", "M16.5 16.5L21 21"],
  sun: ["M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8z", "M12 2v2", "M12 20v2", "M2 12h2", "M20 12h2", "M5 5l1.4 1.4", "M17.6 17.6L19 19", "M5 19l1.4-1.4", "M17.6 6.4L19 5"],
  moon: ["M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z"],
  copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  leave: ["M10 4H5v16h5", "M10 12h10", "M16 8l4 4-4 4"],
  retry: ["M4 12a8 8 0 1 0 3-6", "M4 4v5h5"],
};

export function icon(name) {
  return s(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    STROKES[name].map((d) => s("path", { d })),
  );
}
