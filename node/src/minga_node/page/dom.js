// Elements from code. Data only ever becomes text or an attribute: there is no way from here to markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on: {event: listener}`, `class`, `style: {"--x": 1}`; other properties are attributes. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "style") {
      // One property at a time: the policy forbids style attributes, and with them any injected by data.
      for (const [key, setting] of Object.entries(value)) element.style.setProperty(key, setting);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces what an element holds, unless it is the same text already. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/**
 * Shows `items` as children of `parent`, one each, keeping the elements (and with them the focus) of those that stay.
 * `make(item)` gives an element; its `update(item, ...context)`, if it has one, is called now and every time.
 */
export function keyed(parent, items, key, make, ...context) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const name = key(item);
    let child = old.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    old.delete(name);
    const place = previous ? previous.nextSibling : parent.firstChild;
    if (child !== place) parent.insertBefore(child, place);
    child.update?.(item, ...context);
    previous = child;
  }
  for (const child of old.values()) child.remove();
}
