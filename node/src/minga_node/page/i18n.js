// The page's two languages. A text is a string, or one a plural category (one, other) chosen by `n`.

import en from "./en.js";
import es from "./es.js";

const LANGUAGES = { en, es };
const KEY = "minga.language";

let current = "en";

/** Takes the language chosen before, else the first of the browser's that we speak. */
export function start() {
  const wishes = [localStorage.getItem(KEY), ...navigator.languages.map((tag) => tag.split("-")[0])];
  use(wishes.find((wish) => wish in LANGUAGES) ?? "en");
}

function use(language) {
  current = language;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
    element.title = element.dataset.tLabel === "nav.label" ? "" : t(element.dataset.tLabel);
  }
}

export function choose(language) {
  localStorage.setItem(KEY, language);
  use(language);
}

export const language = () => current;

/** The text of `key` where there is one, else `fallback`. */
export const said = (key, fallback) => (key in en ? t(key) : fallback);

/** The text of `key`, with `{name}` replaced by the parameters. */
export function t(key, parameters = {}) {
  let found = LANGUAGES[current][key] ?? en[key];
  if (found === undefined) throw new Error(`no text ${key}`);
  if (typeof found === "object") {
    found = found[new Intl.PluralRules(current).select(parameters.n)] ?? found.other;
  }
  return found.replace(/\{(\w+)\}/g, (_, name) => {
    const value = parameters[name];
    return typeof value === "number" ? new Intl.NumberFormat(current).format(value) : value;
  });
}
