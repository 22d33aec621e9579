// Puts the page together, and keeps it in step with the server and other tabs.

import { drawActs, drawSelection } from "./actions.js";
import { openCompare } from "./compare.js";
import { byId, count, make, say } from "./dom.js";
import { aboutView, grid } from "./grid.js";
import { listenToKeys } from "./keys.js";
import { refreshMap, showMap } from "./mapview.js";
import { selection } from "./selection.js";
import { drawSidebar } from "./sidebar.js";
import { store } from "./store.js";
import { openViewer } from "./viewer.js";

function drawHead() {
  const { state, view } = store;
  byId("title").textContent = state.title;
  document.title = `${state.title} · headlight`;
  const full = state.clusters.filter((c) => c.size);
  const done = full.filter((c) => c.done).length;
  byId("counts").textContent = `${count(state.images)} · ${count(full.length, "cluster")} · ${done} done · ${count(state.edits, "edit")}`;
  const [name, about] = aboutView(view);
  byId("name").textContent = name;
  byId("name").title = name;
  byId("about").textContent = about;
  drawSince();
  byId("order").disabled = view.kind === "rows" || view.kind === "search";
  drawActs();
  drawSelection();
}

/** Which images count as new: since an update, or until somebody has looked at them. */
function drawSince() {
  const since = byId("since");
  since.hidden = store.view.kind !== "new";
  if (since.hidden) return;
  const when = ({ at }) => new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  since.replaceChildren(make("option", { value: "" }, `not looked at: ${store.state.new.toLocaleString("en")}`),
    ...store.state.updates.map((one) => make("option", { value: one.at }, `new since ${when(one)}: ${one.images.toLocaleString("en")}`)));
  since.value = store.view.since ?? "";
}

function drawBanners() {
  const { read_only: off, notes } = store.state;
  const texts = [...(off ? [[off, "bad"]] : []), ...notes.map((note) => [note, "note"])];
  const kept = ["again", "lost"].map(byId).filter(Boolean);
  byId("banners").replaceChildren(...texts.map(([text, kind]) => make("p", { class: kind }, text)), ...kept);
}

/** Says what another process did to the run, until somebody has read it. */
function tellAgain(text) {
  byId("again")?.remove();
  const close = make("button", { type: "button", on: { click: () => again.remove() } }, "OK");
  const again = make("p", { id: "again", class: "note" }, make("span", {}, text), close);
  byId("banners").append(again);
}

store.replaced.add((before) => {
  if (!before || before.fit === store.state.fit) return; // or only its images were moved
  const { images, clusters, saved } = store.state;
  const what = saved < before.saved ? "The run went back to an earlier fit" : "The run was fitted again";
  tellAgain(`${what}: ${count(images)}, ${count(clusters.filter((c) => c.size).length, "group")}.`);
});

let fits = 0; // known so far
store.listen((what) => {
  if (what === "state" && fits && store.state.fits > fits) {
    tellAgain("The run was fitted again, and its groups stay as they are: Compare shows what would change.");
  }
  fits = store.state.fits;
});

let viewed = "";

store.listen(async (what) => {
  const key = JSON.stringify({ ...store.view, rows: store.view.rows?.length });
  const stay = what === "state" && key === viewed;
  viewed = key;
  if (what === "view") toGrid();
  const loading = grid.load(stay); // asked for first: the rest is drawn while the answer comes
  drawSidebar();
  drawHead();
  drawBanners();
  await loading;
  drawHead();
  await refreshMap();
});
selection.listen(drawSelection);

function toGrid() {
  // What is selected in another cluster is out of sight: keys must not act on it.
  if (byId("map").hidden && store.view.kind === "cluster") selection.clear();
  if (byId("map").hidden || store.view.kind === "cluster") return; // a cluster stands out on the map
  setView(false);
}

async function setView(mapped) {
  byId("map").hidden = !mapped;
  byId("grid").hidden = mapped;
  byId("show-map").setAttribute("aria-pressed", mapped);
  byId("show-grid").setAttribute("aria-pressed", !mapped);
  if (!mapped) grid.layOut();
  else if (!(await showMap().catch((error) => { say(error.message, true); return false; }))) setView(false);
}

const toggleView = () => setView(byId("map").hidden);
const open = (place) => openViewer(grid.rows, place);

byId("show-map").addEventListener("click", () => setView(true));
byId("show-grid").addEventListener("click", () => setView(false));
byId("grid").addEventListener("open", (event) => open(event.detail));
byId("order").addEventListener("change", () => grid.load().then(drawHead));
byId("since").addEventListener("change", (event) => store.show({ kind: "new", since: Number(event.target.value) || null }));
byId("sort").addEventListener("change", drawSidebar);
byId("search").addEventListener("input", drawSidebar);
byId("search").addEventListener("keydown", (event) => {
  const text = event.target.value.trim();
  if (event.key === "Enter" && text) store.show({ kind: "search", text });
});
byId("open-sidebar").addEventListener("click", (event) => {
  const shown = document.body.classList.toggle("sidebar-open");
  event.currentTarget.setAttribute("aria-expanded", shown);
});
listenToKeys({ toggleView, open });

const load = () => store.load().catch((error) => say(error.message, true));
document.addEventListener("outdated", load);

/** Hears of edits made elsewhere, and notices when the server has gone. */
function follow() {
  const events = new EventSource("api/events");
  events.onmessage = (event) => {
    byId("lost")?.remove();
    const { mark, version, fits } = JSON.parse(event.data);
    const { state } = store;
    if (mark !== state.mark || version > state.version || fits !== state.fits) load();
  };
  events.onerror = () => {
    if (byId("lost")) return;
    byId("banners").append(make("p", { id: "lost", class: "bad" }, "The server doesn't answer. Start headlight explore again and open the address it prints; every edit is saved."));
  };
}

function firstView() {
  const { clusters } = store.state;
  const asked = Number(/^#cluster-(\d+)$/.exec(location.hash)?.[1] ?? -1);
  if (store.cluster(asked)) return { kind: "cluster", id: asked };
  if (["#outliers", "#all", "#new"].includes(location.hash)) return { kind: location.hash.slice(1) };
  return clusters.length ? { kind: "cluster", id: store.largest() } : { kind: "all" };
}

try {
  const loading = store.listeners;
  store.listeners = new Set(); // nothing to draw before the view is known
  await store.load();
  store.listeners = loading;
  const compare = location.hash === "#compare" && store.state.fits > 1;
  store.show(firstView());
  if (compare) await openCompare();
  follow();
} catch (error) {
  byId("banners").append(make("p", { class: "bad" }, error.message));
}
document.body.dataset.ready = "true";
