// Elements, without ever parsing data as HTML.

/**
 * Makes an element. `props`: properties, and `class`, `data` (dataset), `on` (listeners) and
 * `aria` (attributes without their prefix). Children: elements, or text, which stays text.
 */
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "aria") {
      for (const [key, text] of Object.entries(value)) element.setAttribute(`aria-${key}`, text);
    } else if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (name === "role") element.setAttribute("role", value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

export const count = (n, what = "image") => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

export function percent(value) {
  if (value === null || value === undefined) return "–";
  const text = (100 * value).toFixed(0);
  if (value > 0 && text === "0") return "<1%";
  return value < 1 && text === "100" ? ">99%" : `${text}%`;
}

let timer = 0;

/** Says something for a while, aloud to a screen reader; errors stay longer. */
export function say(text, bad = false) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.className = bad ? "shown bad" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => { toast.className = ""; }, bad ? 9000 : 3500);
}
