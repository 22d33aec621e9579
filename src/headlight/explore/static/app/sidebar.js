// The list of clusters: pictures, name, size, done; searched, sorted, several marked to merge.

import { byId, count, make, percent } from "./dom.js";
import { store } from "./store.js";

const list = byId("clusters");
const items = new Map(); // cluster, "all" or "outliers" → its element
export const marked = new Set(); // clusters chosen with Ctrl

const ORDERS = {
  size: (a, b) => b.size - a.size || a.id - b.id,
  doubt: (a, b) => (a.confidence ?? 2) - (b.confidence ?? 2) || a.id - b.id,
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  todo: (a, b) => a.done - b.done || b.size - a.size || a.id - b.id,
};

/** Clusters as listed now. */
export function listed() {
  const text = byId("search").value.trim().toLowerCase();
  const found = store.state.clusters.filter((c) => c.name.toLowerCase().includes(text));
  // A search of file names leaves no cluster in the list, as a rule: it is of no use then.
  if (!found.length && store.view.kind === "search") found.push(...store.state.clusters);
  const order = ORDERS[byId("sort").value];
  return found.sort((a, b) => b.proposed - a.proposed || order(a, b)); // those wait for an answer
}

export function drawSidebar() {
  const { state, view } = store;
  const shown = listed();
  const fixed = [entry("all", "All images", state.images, view.kind === "all")];
  if (state.updates.length) fixed.push(entry("new", "New", state.new, view.kind === "new"));
  if (state.outliers) fixed.push(entry("outliers", "Outliers", state.outliers, view.kind === "outliers"));
  for (const id of marked) if (!store.cluster(id)) marked.delete(id);
  const wanted = shown.map((cluster) => item(cluster));
  const none = shown.length || !state.clusters.length ? [] : [make("li", { class: "none" }, "No cluster has this in its name. Enter searches file names.")];
  place([...fixed, ...wanted, ...none]);
  const box = byId("merge-marked");
  box.hidden = marked.size < 2;
  box.replaceChildren(make("button", { class: "main", data: { act: "merge-marked" } }, `Merge ${marked.size} clusters`));
}

store.replaced.add(() => {
  items.clear();
  marked.clear();
});

const current = () => list.querySelector("[aria-current]");
let followed = "";

/** Lists `next`; scrolls only to follow the current cluster. */
function place(next) {
  const top = list.scrollTop;
  const seen = current() && inSight(current());
  // Replacing elements that stay where they are would make their pictures blink.
  if (next.length !== list.children.length || next.some((e, i) => e !== list.children[i])) {
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    list.replaceChildren(...next);
    list.scrollTop = top;
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  }
  const now = JSON.stringify([store.view.kind, store.view.id]);
  if (now !== followed || (seen && !inSight(current()))) current()?.scrollIntoView({ block: "nearest" });
  followed = now;
}

function inSight(element) {
  const [inner, outer] = [element, list].map((e) => e?.getBoundingClientRect());
  return Boolean(inner) && inner.bottom > outer.top && inner.top < outer.bottom;
}

/** The element of `id`, the same for ever; its button is drawn anew where `key` has changed. */
function line(id, key, draw) {
  const made = items.get(id) ?? make("li");
  items.set(id, made);
  if (made.dataset.key === key) return made;
  made.dataset.key = key;
  const focused = made.contains(document.activeElement);
  made.replaceChildren(draw(made));
  if (focused) made.firstChild.focus({ preventScroll: true });
  return made;
}

function entry(kind, text, size, isCurrent) {
  return line(kind, JSON.stringify([size, isCurrent]), () => {
    const button = make("button", { class: "entry plain", data: { view: kind } },
      make("span", { class: "label" }, text), make("span", { class: "size" }, size.toLocaleString("en")));
    if (isCurrent) button.setAttribute("aria-current", "true");
    return button;
  });
}

function item(cluster) {
  const isCurrent = store.view.kind === "cluster" && store.view.id === cluster.id;
  return line(cluster.id, JSON.stringify([cluster, isCurrent, marked.has(cluster.id)]), (old) => {
    const faces = make("span", { class: "faces", aria: { hidden: "true" } });
    const before = [...old.querySelectorAll("img")];
    for (const row of cluster.faces) faces.append(before.find((img) => img.dataset.face === String(row)) ?? face(row));
    const dot = make("span", { class: "dot" });
    dot.style.background = cluster.colour;
    const button = make("button", { class: "entry", data: { cluster: cluster.id }, title: cluster.name },
      faces,
      make("span", { class: "label" }, dot, make("span", { class: "words" }, cluster.name), cluster.proposed ? make("span", { class: "badge" }, "proposed") : null, cluster.done ? make("span", { class: "tick", title: "done" }, "✓") : null),
      make("span", { class: "size" }, cluster.size ? `${count(cluster.size)} · ${percent(cluster.confidence)}` : "0 images: empty",
        cluster.new ? make("span", { class: "fresh" }, ` · ${cluster.new.toLocaleString("en")} new`) : null));
    button.setAttribute("aria-label", `${cluster.name}, ${count(cluster.size)}, mean confidence ${percent(cluster.confidence)}${cluster.done ? ", done" : ""}${cluster.proposed ? ", proposed" : ""}${cluster.new ? `, ${cluster.new} new` : ""}${marked.has(cluster.id) ? ", marked to merge" : ""}`);
    if (isCurrent) button.setAttribute("aria-current", "true");
    button.classList.toggle("marked", marked.has(cluster.id));
    button.classList.toggle("emptied", !cluster.size);
    return button;
  });
}

export function face(row) {
  const img = make("img", { alt: "", loading: "lazy", decoding: "async", data: { face: row } });
  img.addEventListener("error", () => img.replaceWith(make("span", { class: "no-face" })), { once: true });
  img.addEventListener("load", () => img.classList.toggle("tiny", img.naturalWidth <= 48));
  img.src = `thumbnail/${store.state.mark}/${row}`;
  return img;
}

list.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { cluster, view } = button.dataset;
  if (view) store.show({ kind: view });
  else if (event.ctrlKey || event.metaKey) {
    const id = Number(cluster);
    if (!marked.delete(id)) marked.add(id);
    if (marked.size === 1 && store.current && store.current.id !== id) marked.add(store.current.id);
    drawSidebar();
  } else {
    marked.clear();
    store.show({ kind: "cluster", id: Number(cluster) });
  }
  document.body.classList.remove("sidebar-open");
  byId("open-sidebar").setAttribute("aria-expanded", "false");
});
// Arrow keys walk through the list.
list.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const buttons = [...list.querySelectorAll("button")];
  buttons[buttons.indexOf(document.activeElement) + step]?.focus();
  event.preventDefault();
});
