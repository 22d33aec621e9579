// The images of a view as tiles; only those on the screen exist, so 100,000 scroll as 100 do.

import { getJson, getRows } from "./api.js";
import { byId, count, make, percent, say } from "./dom.js";
import { show } from "./pictures.js";
import { selection } from "./selection.js";
import { store } from "./store.js";

const GAP = 6;
const AHEAD = 3; // lines of tiles made before they come into view
const element = byId("grid");
const inner = make("div", { class: "inner", role: "presentation" });
element.append(inner);

let rows = new Int32Array(0);
let columns = 1;
let side = 120;
let cursor = -1; // place of the tile that the keyboard is at
let asked = 0;
let stale = true; // the rows are still those of the view before
const tiles = new Map(); // place → tile
const spare = [];
const facts = new Map(); // row → what the server says of it
let factsTimer = 0;

export const grid = {
  get rows() {
    return stale ? new Int32Array(0) : rows;
  },
  get cursorRow() {
    return cursor >= 0 && !stale ? rows[cursor] : undefined;
  },

  /** Fetches the rows of the view and shows them; from the top, unless `stay`. */
  async load(stay = false) {
    const mine = ++asked;
    stale ||= !stay;
    element.setAttribute("aria-busy", "true");
    element.classList.toggle("stale", stale);
    let found = new Int32Array(0);
    let problem = "";
    try {
      found = await rowsOf(store.view);
    } catch (error) {
      problem = error.message;
      say(problem, true);
    }
    if (mine !== asked) return; // another view was asked for meanwhile
    if (!problem || stale) rows = found; // images of another view never stay under this one's name
    facts.clear();
    if (stale) {
      element.scrollTop = 0;
      cursor = -1;
      selection.anchor = null;
    }
    stale = false;
    cursor = Math.min(cursor, rows.length - 1);
    const empty = byId("empty");
    empty.hidden = rows.length > 0;
    empty.textContent = rows.length ? "" : problem || emptyText(store.view);
    layOut();
    for (const tile of tiles.values()) describe(tile);
    element.setAttribute("aria-busy", "false");
    element.classList.remove("stale");
    element.dispatchEvent(new CustomEvent("loaded"));
  },

  layOut: () => layOut(),

  moveCursor(step, extend) {
    if (!rows.length || stale) return;
    const to = Math.max(0, Math.min(rows.length - 1, cursor < 0 ? 0 : cursor + step));
    if (extend && selection.anchor === null && cursor >= 0) selection.anchor = rows[cursor];
    cursor = to;
    scrollTo(cursor);
    if (extend) selection.click(rows, rows[cursor], { shift: true });
    draw();
  },
  toggleCursor() {
    if (cursor >= 0 && !stale) selection.click(rows, rows[cursor], { ctrl: true });
  },
  get columns() {
    return columns;
  },
  get page() {
    return columns * Math.max(1, Math.floor(element.clientHeight / (side + GAP)));
  },
};

function rowsOf(view) {
  const order = byId("order").value;
  if (view.kind === "cluster") return getRows(`api/rows?cluster=${view.id}&order=${order}`);
  if (view.kind === "search") return getRows(`api/rows?search=${encodeURIComponent(view.text)}`);
  if (view.kind === "rows") return Promise.resolve(Int32Array.from(view.rows));
  if (view.kind === "new") return getRows(`api/rows?order=${order === "typical" ? "certain" : order}&${view.since ? `since=${view.since}` : "unseen"}`);
  const all = order === "typical" ? "certain" : order; // typical of what?
  return getRows(`api/rows?order=${all}${view.kind === "outliers" ? "&outliers" : ""}`);
}

function emptyText(view) {
  if (!store.state.images) return "There are no images to show.";
  return {
    cluster: "This cluster is empty. Merge it into another to remove it, or move images here.",
    outliers: "No image is marked as an outlier. Select images that belong nowhere and press o.",
    new: "Nothing is new here: everything was looked at.",
    search: `No file name holds “${view.text}”.`,
    rows: "Nothing is selected.",
  }[view.kind] ?? "There are no images here.";
}

function layOut() {
  const width = element.clientWidth - 2 * GAP;
  if (width <= 0) return;
  const first = Math.floor(element.scrollTop / (side + GAP)) * columns;
  const before = [columns, side];
  columns = Math.max(2, Math.round(width / (width < 500 ? 118 : 132)));
  side = Math.floor((width - GAP * (columns - 1)) / columns);
  element.style.setProperty("--side", `${side}px`);
  inner.style.height = `${Math.ceil(rows.length / columns) * (side + GAP) + GAP}px`;
  if (first && String(before) !== String([columns, side])) element.scrollTop = Math.floor(first / columns) * (side + GAP);
  // Each tile stays the one of its place: a click ends only on the element it began on.
  for (const [place, tile] of tiles) put(tile, place);
  draw();
}

function put(tile, place) {
  tile.style.transform = `translate(${GAP + (place % columns) * (side + GAP)}px, ${GAP + Math.floor(place / columns) * (side + GAP)}px)`;
}

function draw() {
  const line = side + GAP;
  const from = Math.max(0, Math.floor(element.scrollTop / line) - AHEAD) * columns;
  const to = Math.min(rows.length, (Math.ceil((element.scrollTop + element.clientHeight) / line) + AHEAD) * columns);
  for (const [place, tile] of tiles) {
    if (place >= from && place < to) continue;
    tiles.delete(place);
    spare.push(tile);
    tile.remove();
  }
  const added = [];
  for (let place = from; place < to; place++) {
    let tile = tiles.get(place);
    if (!tile) {
      tile = spare.pop() ?? newTile();
      tiles.set(place, tile);
      added.push(tile);
      put(tile, place);
    }
    fill(tile, place);
  }
  inner.append(...added);
  for (const tile of added) show(tile.firstChild, rows[Number(tile.dataset.place)]);
  if (cursor >= 0 && tiles.has(cursor)) element.setAttribute("aria-activedescendant", `tile-${cursor}`);
  else element.removeAttribute("aria-activedescendant");
  clearTimeout(factsTimer);
  factsTimer = setTimeout(fetchFacts, 120);
}

function newTile() {
  const picture = make("img", { alt: "", decoding: "async", draggable: false });
  return make("div", { class: "tile", role: "option" }, picture, make("span", { class: "note" }));
}

function fill(tile, place) {
  const row = rows[place];
  if (tile.dataset.row !== String(row) || tile.dataset.place !== String(place)) {
    tile.dataset.place = place;
    tile.dataset.row = row;
    tile.id = `tile-${place}`;
    tile.setAttribute("aria-posinset", place + 1);
    tile.setAttribute("aria-setsize", rows.length);
    if (tile.isConnected) show(tile.firstChild, row);
    describe(tile);
  }
  const chosen = selection.rows.has(row);
  tile.classList.toggle("selected", chosen);
  tile.setAttribute("aria-selected", chosen);
  tile.classList.toggle("cursor", place === cursor);
}

function describe(tile) {
  const fact = facts.get(Number(tile.dataset.row));
  const note = tile.lastChild;
  tile.classList.toggle("outlier", Boolean(fact?.outlier));
  tile.classList.toggle("new", Boolean(fact?.new));
  if (!fact) {
    note.textContent = "";
    tile.setAttribute("aria-label", `image ${Number(tile.dataset.row) + 1}`);
    tile.title = "";
    return;
  }
  const cluster = store.cluster(fact.cluster)?.name ?? "";
  const parts = [fact.path, cluster, fact.by_hand ? "placed by hand" : `confidence ${percent(fact.confidence)}`];
  if (fact.outlier) parts.push("outlier");
  if (fact.new) parts.push("new");
  tile.setAttribute("aria-label", parts.join(", "));
  tile.title = parts.join("\n");
  const within = store.view.kind === "cluster";
  note.textContent = fact.outlier ? "outlier" : fact.new ? `new · ${within ? percent(fact.confidence) : cluster}` : within ? (fact.by_hand ? "by hand" : percent(fact.confidence)) : cluster;
}

async function fetchFacts() {
  const missing = [...tiles.values()].map((tile) => Number(tile.dataset.row)).filter((row) => !facts.has(row));
  if (!missing.length) return;
  const { mark } = store.state;
  const found = await getJson(`api/facts?rows=${missing.slice(0, 240).join(",")}`).catch(() => []);
  if (mark !== store.state.mark) return;
  for (const fact of found) facts.set(fact.row, fact);
  for (const tile of tiles.values()) describe(tile);
}

function scrollTo(place) {
  const top = Math.floor(place / columns) * (side + GAP);
  if (top < element.scrollTop) element.scrollTop = top;
  else if (top + side + 2 * GAP > element.scrollTop + element.clientHeight) {
    element.scrollTop = top + side + 2 * GAP - element.clientHeight;
  }
}

let drawing = 0;
element.addEventListener("scroll", () => {
  drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); });
}, { passive: true });
element.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile) return;
  cursor = Number(tile.dataset.place);
  // A finger has no Ctrl: once something is selected, touching adds.
  const touch = event.pointerType === "touch" && selection.rows.size > 0;
  selection.click(rows, rows[cursor], { ctrl: event.ctrlKey || event.metaKey || touch, shift: event.shiftKey });
  draw();
  const middle = (Math.floor(cursor / columns) + 0.5) * (side + GAP);
  if (middle > element.scrollTop + element.clientHeight) scrollTo(cursor); // the bar appeared over it
});
element.addEventListener("dblclick", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) element.dispatchEvent(new CustomEvent("open", { detail: Number(tile.dataset.place) }));
});
selection.listen(() => draw());
store.replaced.add(() => {
  stale = true; // the rows are other images now
  rows = new Int32Array(0);
  facts.clear();
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
  spare.length = 0;
});
new ResizeObserver(() => layOut()).observe(element);

/** What the head of the page says of the view. */
export function aboutView(view) {
  const images = (words) => (stale ? "" : `${count(rows.length)}${words}`);
  if (view.kind === "cluster") {
    const cluster = store.current;
    return [cluster.name, `${count(cluster.size)} · mean confidence ${percent(cluster.confidence)}${cluster.done ? " · done" : ""}`];
  }
  if (view.kind === "search") return [`“${view.text}”`, images(" with this in the file name")];
  if (view.kind === "new") return ["New images", images(view.since ? " since then" : " that nobody has looked at yet")];
  if (view.kind === "outliers") return ["Outliers", images(" marked as belonging nowhere")];
  if (view.kind === "rows") return [view.title, images("")];
  return ["All images", images("")];
}
