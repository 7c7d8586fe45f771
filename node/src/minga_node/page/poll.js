// Asking again and again, politely: not while the page is hidden, and never two questions at once.

export function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

function visible(signal) {
  if (!document.hidden) return null;
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
    signal?.addEventListener("abort", resolve, { once: true });
  });
}

/** Calls `ask()` every `milliseconds` until `signal`; `ask` handles its own errors. */
export async function every(milliseconds, ask, signal) {
  while (!signal?.aborted) {
    await ask();
    await sleep(milliseconds, signal);
    await visible(signal);
  }
}
