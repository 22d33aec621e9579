// One image, large, with what is known of it; arrows go on through the grid.

import { getJson } from "./api.js";
import { make, percent } from "./dom.js";
import { store } from "./store.js";

export function openViewer(rows, start) {
  let place = start;
  const img = make("img", { alt: "" });
  const missing = make("p", { class: "missing", hidden: true });
  const caption = make("p", { class: "caption" });
  const close = make("button", { class: "close", aria: { label: "Close" }, on: { click: () => dialog.close() } }, "×");
  const dialog = make("dialog", { class: "viewer", aria: { label: "Image" } }, img, missing, caption, close);

  async function show() {
    const row = rows[place];
    img.hidden = false;
    missing.hidden = true;
    img.src = `image/${store.state.mark}/${row}`;
    const [fact] = await getJson(`api/facts?rows=${row}`).catch(() => [null]);
    if (!fact || rows[place] !== row) return;
    const cluster = store.cluster(fact.cluster)?.name ?? "";
    const rival = store.cluster(fact.second)?.name;
    const sure = fact.by_hand ? "placed by hand" : `confidence ${percent(fact.confidence)}${rival && fact.second !== fact.cluster ? `, next: ${rival}` : ""}`;
    img.alt = fact.path;
    caption.replaceChildren(make("strong", {}, fact.path), ` · ${cluster} · ${sure}${fact.outlier ? " · outlier" : ""} · ${place + 1} of ${rows.length.toLocaleString("en")}`);
  }

  img.addEventListener("load", () => img.classList.toggle("tiny", Math.max(img.naturalWidth, img.naturalHeight) <= 48));
  img.addEventListener("error", () => {
    img.hidden = true;
    missing.hidden = false;
    missing.textContent = "This image is gone or can't be read any more.";
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    place = Math.max(0, Math.min(rows.length - 1, place + step));
    show();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  show();
}
