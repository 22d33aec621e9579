// Thumbnails, many in one request, kept while there is room.

import { getBytes } from "./api.js";
import { store } from "./store.js";

const BATCH = 120;
const IN_FLIGHT = 3;
const KEPT = 4000;

const kept = new Map(); // row → {url} or {problem}; oldest use first
const wanted = new Map(); // row → Set of img
let flying = 0;
let due = false;

/** Shows the thumbnail of `row` in `img`, now or when it is there. */
export function show(img, row) {
  if (img.dataset.row === String(row)) return;
  img.dataset.row = row;
  const found = kept.get(row);
  if (found) {
    kept.delete(row);
    kept.set(row, found);
    place(img, found);
    return;
  }
  img.removeAttribute("src");
  img.parentElement.dataset.problem = "";
  if (!wanted.has(row)) wanted.set(row, new Set());
  wanted.get(row).add(img);
  soon();
}

// All that one drawing asks for goes into one request; waiting for a frame would only cost time.
function soon() {
  if (due) return;
  due = true;
  queueMicrotask(fetchSome);
}

function place(img, { url, problem, tiny }) {
  if (url) img.src = url;
  else img.removeAttribute("src");
  img.classList.toggle("tiny", Boolean(tiny));
  img.parentElement.dataset.problem = problem ?? "";
}

async function fetchSome() {
  due = false;
  // What has been scrolled away meanwhile is not needed.
  for (const [row, images] of wanted) {
    for (const img of images) if (img.dataset.row !== String(row) || !img.isConnected) images.delete(img);
    if (!images.size) wanted.delete(row);
  }
  if (!wanted.size || flying >= IN_FLIGHT) return;
  const rows = [...wanted.keys()].slice(-BATCH);
  const { mark } = store.state;
  const waiting = rows.map((row) => wanted.get(row));
  for (const row of rows) wanted.delete(row);
  flying += 1;
  if (wanted.size) soon();
  try {
    const found = unpack(await getBytes(`api/pictures?rows=${rows.join(",")}`), rows.length);
    if (mark === store.state.mark) rows.forEach((row, i) => {
      keep(row, found[i]);
      for (const img of waiting[i]) if (img.dataset.row === String(row)) place(img, found[i]);
    });
  } catch {
    if (mark === store.state.mark) for (const images of waiting) for (const img of images) delete img.dataset.row;
  }
  flying -= 1;
  if (wanted.size) soon();
}

store.replaced.add(() => {
  kept.clear();
  wanted.clear();
});

function keep(row, picture) {
  kept.set(row, picture);
  if (kept.size <= KEPT) return;
  kept.delete(kept.keys().next().value);
}

/** See `Api._pictures`: length (uint32), sign, bytes, for each. */
function unpack(buffer, number) {
  const view = new DataView(buffer);
  const found = [];
  for (let at = 0; found.length < number;) {
    const length = view.getUint32(at, true);
    const sign = String.fromCharCode(view.getUint8(at + 4));
    at += 5;
    if (length) {
      const type = sign === "P" ? "image/png" : "image/jpeg";
      // An address of a blob would be fetched through another process: slower, for so little.
      const text = btoa(String.fromCharCode(...new Uint8Array(buffer, at, length)));
      found.push({ url: `data:${type};base64,${text}`, tiny: sign === "P" });
    } else found.push({ problem: sign === "G" ? "gone" : "unreadable" });
    at += length;
  }
  return found;
}
