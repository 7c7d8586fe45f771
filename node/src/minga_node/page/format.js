// Sizes, times and names as people read them, in the page's language.

import { language, t } from "./i18n.js";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** Bytes in decimal units, three digits at most: `1.24 GB`. */
export function bytes(count) {
  let step = 0;
  count = Math.round(count);
  while (count >= 999.5 && step < UNITS.length - 1) {
    count /= 1000;
    step += 1;
  }
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: UNITS[step],
    unitDisplay: step ? "short" : "long",
    maximumSignificantDigits: step ? 3 : 21,
  }).format(count);
}

export const rate = (perSecond) => t("rate", { bytes: bytes(perSecond) });

export const percent = (share) =>
  new Intl.NumberFormat(language(), { style: "percent", maximumFractionDigits: 0 }).format(share);

/** A duration such as `2 min 5 s`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const parts = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor(whole / 60) % 60, "minute"],
    [whole % 60, "second"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return (first < 0 ? parts.slice(2) : parts.slice(first, first + 2).filter(([count]) => count > 0))
    .map(([count, unit]) => new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "short" }).format(count))
    .join(" ");
}

/** How long ago a time (milliseconds since 1970) was: `3 minutes ago`. */
export function ago(milliseconds) {
  const seconds = (milliseconds - Date.now()) / 1000;
  const steps = [
    [60, "second", 1],
    [3600, "minute", 60],
    [86400, "hour", 3600],
    [30 * 86400, "day", 86400],
    [365 * 86400, "month", 30 * 86400],
    [Infinity, "year", 365 * 86400],
  ];
  const [, unit, length] = steps.find(([limit]) => Math.abs(seconds) < limit);
  return new Intl.RelativeTimeFormat(language(), { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

export const moment = (milliseconds) =>
  new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(milliseconds);

/** `folder/` and `name` of a path. */
export function split(path) {
  const cut = path.lastIndexOf("/") + 1;
  return [path.slice(0, cut), path.slice(cut)];
}

export const short = (id) => `${id.slice(0, 8)}…`;

/** What a media type is to people: image, audio, video, text, page, archive or file. */
export function kind(mediaType) {
  const [first, second = ""] = mediaType.split(";")[0].split("/");
  if (["image", "audio", "video"].includes(first)) return first;
  if (second === "pdf") return "page";
  if (first === "text" || /json|xml|yaml|toml|javascript|x-sh$/.test(second)) return "text";
  if (/zip|tar|compress|7z|rar|zstd/.test(second)) return "archive";
  return "file";
}
