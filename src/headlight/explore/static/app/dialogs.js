// Questions to the person. Each gives a promise of the answer, or of null when it is closed.

import { count, make } from "./dom.js";
import { face } from "./sidebar.js";
import { store } from "./store.js";

/** A dialog with a form; `read` makes the answer when it is sent. */
export function ask(title, body, go, read) {
  return new Promise((resolve) => {
    let answer = null;
    const send = go ? make("button", { class: "main", type: "submit" }, go) : null;
    const form = make("form", { method: "dialog" },
      make("h2", {}, title), ...body,
      make("div", { class: "buttons" }, make("button", { type: "button", on: { click: () => dialog.close() } }, go ? "Cancel" : "Close"), send));
    const dialog = make("dialog", { aria: { label: title } }, form);
    form.addEventListener("submit", () => { answer = read(); });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(answer); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.choose = (value) => { answer = value; dialog.close(); };
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("[autofocus], input, select, [data-pick]") ?? form.querySelector("button"))?.focus();
    dialog.scrollTop = 0; // where the button at the end has the focus
  });
}

// What was asked about one fit can't be answered for another: each is closed without an answer.
store.replaced.add(() => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
});

const field = (label, input) => make("label", { class: "field" }, make("span", {}, label), input);

export function askName(title, value, go) {
  const input = make("input", { value, maxLength: 200, required: true, autocomplete: "off" });
  queueMicrotask(() => input.select());
  return ask(title, [field("Name", input)], go, () => input.value);
}

export function askParts(cluster) {
  const most = Math.min(50, cluster.size);
  const input = make("input", { type: "number", min: 2, max: most, value: 2, required: true });
  const hint = make("p", { class: "hint" }, `Into groups of images that look alike. The largest keeps the name; undo puts all ${count(cluster.size)} together again.`);
  return ask(`Split “${cluster.name}”`, [field("Parts", input), hint], "Split", () => Number(input.value));
}

/** Order of the clusters that match `text`: the very name, names that begin so, the rest. */
const rank = (name, text) => (name === text ? 0 : name.startsWith(text) ? 1 : 2);

/** A cluster chosen from a list that can be searched; "new" where that is offered. */
export function askCluster(title, { without = [], offerNew = false } = {}) {
  const search = make("input", { placeholder: "Search clusters", autocomplete: "off", role: "combobox", aria: { label: "Search clusters", controls: "choices", expanded: "true" } });
  const box = make("ul", { class: "choices", id: "choices", role: "listbox", aria: { label: title } });
  let at = -1; // the line that Enter takes
  const lines = () => [...box.querySelectorAll("button")];
  const mark = (to, scroll = true) => {
    at = to;
    lines().forEach((line, i) => {
      line.classList.toggle("at", i === at);
      line.setAttribute("aria-selected", i === at);
    });
    if (scroll) lines()[at]?.scrollIntoView({ block: "nearest" });
    search.setAttribute("aria-activedescendant", lines()[at]?.id ?? "");
  };
  const draw = () => {
    const typed = search.value.trim();
    const text = typed.toLowerCase();
    const found = store.state.clusters.map((c) => [c, c.name.toLowerCase()])
      .filter(([c, name]) => !without.includes(c.id) && name.includes(text))
      .sort(([a, x], [b, y]) => rank(x, text) - rank(y, text) || b.size - a.size).slice(0, 200);
    const choice = (props, ...children) => make("li", { role: "presentation" }, make("button", { type: "button", role: "option", tabIndex: -1, ...props }, ...children));
    box.replaceChildren(...found.map(([cluster]) => choice({ id: `choice-${cluster.id}`, data: { pick: cluster.id } },
      make("span", { class: "faces" }, ...cluster.faces.slice(0, 3).map(face)),
      make("span", { class: "words" }, cluster.name), make("span", { class: "size" }, count(cluster.size)))));
    const exact = found[0]?.[1] === text;
    if (offerNew && !exact) box.prepend(choice({ id: "choice-new", class: "fresh", data: { pick: "new" } }, typed ? `New cluster “${typed}”` : "New cluster"));
    if (!box.children.length) box.append(make("li", { class: "none" }, "No cluster has this in its name."));
    mark(typed && lines().length ? 0 : -1);
  };
  search.addEventListener("input", draw);
  box.addEventListener("click", (event) => {
    const pick = event.target.closest("[data-pick]")?.dataset.pick;
    if (pick) box.closest("dialog").choose(pick === "new" ? { fresh: search.value.trim() || null } : { id: Number(pick) });
  });
  search.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) mark(Math.max(0, Math.min(lines().length - 1, at + step)));
    else if (event.key === "Enter") lines()[at]?.click();
    else return;
    event.preventDefault();
  });
  draw();
  return ask(title, [search, box], null, () => null);
}

const FILES = { csv: ".csv", parquet: ".parquet", json: ".json" };

export function askExport() {
  const format = make("select", {}, ...store.state.exports.map(({ name }) => make("option", { value: name }, name)));
  const how = make("select", {}, make("option", { value: "" }, "hard links: no extra space, the same files"), make("option", { value: "copy" }, "copies: independent of the originals"));
  const images = field("Images", how);
  const path = make("input", { required: true, autocomplete: "off", spellcheck: false });
  const suggest = () => {
    const base = store.state.path.replace(/(\.headlight)?\/*$/, "");
    path.value = `${base}-${format.value}${FILES[format.value] ?? ""}`;
  };
  const offer = () => {
    images.hidden = !store.state.exports.find(({ name }) => name === format.value)?.links;
    warning.hidden = images.hidden || how.value === "copy";
  };
  const warning = make("p", { class: "hint" }, "A program that changes a hard link in place changes the original too.");
  format.addEventListener("change", suggest);
  for (const input of [format, how]) input.addEventListener("change", offer);
  suggest();
  offer();
  const hint = make("p", { class: "hint" }, "A new file or folder on this computer. Clusters are exported as they are now, with all edits.");
  return ask("Export", [field("Format", format), images, warning, field("To", path), hint], "Export", () => ({ format: format.value, path: path.value, copy: !images.hidden && how.value === "copy" }));
}

export const KEYS = [
  ["Images", [
    ["click, Ctrl-click, Shift-click", "select one, several, a range"], ["arrows, Shift-arrows", "walk, select on the way"],
    ["Space", "select or not"], ["Ctrl-A", "select all shown"], ["Esc", "select nothing; then leave a search or “More like this”"], ["Enter, double click", "see it large"],
    ["m", "move to a cluster"], ["n", "move to a new cluster"], ["o", "outlier, or not"], ["l", "more like this"],
  ]],
  ["Cluster", [
    ["[ and ], or k and j", "previous, next"], ["r", "rename"], ["g", "merge into another"], ["s", "split"], ["d", "done, or not"],
    ["a, x", "accept, or dismiss, one that an update proposed"], ["e", "the new images were looked at"],
    ["Ctrl-click in the list", "mark several to merge"],
  ]],
  ["Everywhere", [
    ["u, Ctrl-Z", "undo"], ["Shift-U, Ctrl-Y", "redo"], ["v", "images or map"], ["Shift-drag on the map", "lasso"], ["+ − 0 arrows on the map", "zoom, all, move"],
    ["/", "search"], ["?", "this sheet"],
  ]],
];

export function showHelp() {
  const groups = KEYS.map(([title, keys]) => make("section", {}, make("h3", {}, title),
    make("dl", {}, ...keys.flatMap(([key, what]) => [make("dt", {}, key), make("dd", {}, what)]))));
  return ask("Keyboard shortcuts", [make("div", { class: "help" }, ...groups)], null, () => null);
}

