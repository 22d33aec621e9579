// The map of all images, with lasso; made when it is first looked at.

import { getBytes, getRows } from "./api.js";
import { byId, make, say } from "./dom.js";
import { createMap } from "./map.js";
import { selection } from "./selection.js";
import { store } from "./store.js";

let map = null;
let version = -1;
const box = byId("map");
const tip = byId("map-tip");
const lasso = byId("lasso");

export async function showMap() {
  if (!map) {
    const { mark } = store.state;
    const xy = new Float32Array(await getBytes("api/map"));
    const n = store.state.images;
    if (xy.length < 2 * n || !n) {
      say("This run has no map: fit it again to make one.", true);
      return false;
    }
    const labels = await getRows("api/labels");
    if (map || mark !== store.state.mark) return true; // made, or asked for anew, meanwhile
    version = store.state.version;
    const names = [];
    for (const { id, name } of store.state.clusters) names[id] = name;
    const y = xy.subarray(n, 2 * n).map((value) => -value); // up, as in the report
    map = createMap(byId("map-canvas"), {
      x: xy.subarray(0, n), y, cluster: labels, colours: colours(), names, lasso: true,
      onHover: hover, onLeave: () => { tip.hidden = true; },
      onClick: (row) => selection.click(Int32Array.of(row), row, {}),
      onSelect: (rows, how) => selection.set(rows, how?.add ?? false),
    });
    map.labels = labels;
    map.select(selection.list());
  }
  await refreshMap();
  return true;
}

/** Colours as they are now, and the cluster shown stands out. */
export async function refreshMap() {
  if (box.hidden) return;
  if (!map) {
    await showMap();
    return;
  }
  if (version !== store.state.version) {
    version = store.state.version;
    map.labels = await getRows("api/labels");
    map.setClusters(map.labels, colours());
  }
  map.highlight(store.current ? store.current.id : null);
}

selection.listen(() => map?.select(selection.list()));
store.replaced.add(() => {
  map?.destroy();
  map = null;
  tip.hidden = true;
});

function colours() {
  const found = [];
  for (const { id, colour } of store.state.clusters) found[id] = colour;
  return Array.from(found, (colour) => colour ?? "#888888"); // numbers of clusters merged away
}

function hover(row, { x, y }) {
  const name = store.cluster(map.labels[row])?.name ?? "";
  if (tip.dataset.row !== String(row)) {
    tip.dataset.row = row;
    const img = make("img", { alt: "", src: `thumbnail/${store.state.mark}/${row}` });
    img.addEventListener("load", () => img.classList.toggle("tiny", img.naturalWidth <= 48));
    img.addEventListener("error", () => img.remove());
    tip.replaceChildren(img, make("span", {}, name));
  }
  tip.hidden = false;
  const left = x + 190 > box.clientWidth ? x - 174 : x + 14;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, Math.min(y - 60, box.clientHeight - 190))}px)`;
}

lasso.addEventListener("click", () => {
  const on = lasso.getAttribute("aria-pressed") !== "true";
  lasso.setAttribute("aria-pressed", on);
  map?.lassoMode?.(on);
});
