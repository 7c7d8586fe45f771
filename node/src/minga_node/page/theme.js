// Light or dark: the system's choice until somebody makes one here.

import { icon } from "./icons.js";

const KEY = "minga.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export function start(button) {
  const root = document.documentElement;
  const show = () => {
    const chosen = localStorage.getItem(KEY);
    chosen ? (root.dataset.theme = chosen) : delete root.dataset.theme;
    const isDark = (chosen ?? (dark.matches ? "dark" : "light")) === "dark";
    button.replaceChildren(icon(isDark ? "sun" : "moon"));
    button.setAttribute("aria-pressed", String(isDark));
    return isDark;
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, show() ? "light" : "dark");
    show();
  });
  dark.addEventListener("change", show);
  show();
}
