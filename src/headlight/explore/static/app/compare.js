// The page that shows the run beside another of its fits, and takes over what is better there.

import { getJson, getRows, post } from "./api.js";
import { drawBands } from "./bands.js";
import { ask } from "./dialogs.js";
import { byId, count, make, say } from "./dom.js";
import { face } from "./sidebar.js";
import { store } from "./store.js";

const LISTED = 400; // flows
const OPENED = 120; // images of a flow

let fits = []; // as `comparing.fits` gives them
let known = ""; // for which state it gave them
let chosen = ""; // the other fit
let data = null; // as `comparing.plain` gives it
let bands = new Map();
let opened = "";
let asked = 0;
const ticked = new Set();

const page = byId("comparing");
const key = ({ before, after }) => `${before ?? ""}>${after ?? ""}`;
const takable = ({ before, after, stays, size, by_hand: kept }) => before !== null && after !== null && !stays && size > kept;
const when = (iso) => new Date(iso).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const described = (fit) => `${when(fit.saved)} · -k ${fit.asked} · ${count(fit.groups, "cluster")}${fit.edits ? ` · ${fit.edits}` : ""}`;

export const comparing = () => !page.hidden;

export async function openCompare() {
  if (comparing()) return;
  page.hidden = false;
  document.querySelector(".body").hidden = true;
  byId("compare").setAttribute("aria-pressed", true);
  history.replaceState(null, "", "#compare");
  await load();
  page.querySelector("h2").focus();
}

export function closeCompare() {
  if (!comparing()) return;
  page.hidden = true;
  document.querySelector(".body").hidden = false;
  byId("compare").setAttribute("aria-pressed", false);
  store.show(store.view);
}

function offer(found) {
  fits = found;
  const others = fits.filter((fit) => !fit.current);
  if (!others.some(({ id }) => id === chosen)) {
    chosen = others[0]?.id ?? ""; // the newest: what was tried last, or what was before
    ticked.clear();
  }
  byId("compare-fit").replaceChildren(...others.map((fit) => make("option", { value: fit.id, selected: fit.id === chosen }, described(fit))));
}

async function load() {
  const mine = ++asked;
  const { mark } = store.state;
  let problem = "";
  const answer = (path) => getJson(path).catch((error) => { problem = error.message; return null; });
  const overtaken = () => mine !== asked || mark !== store.state.mark;
  const current = `${mark} ${store.state.fits}`;
  if (known !== current) {
    const found = await answer("api/fits");
    if (overtaken()) return;
    known = found ? current : "";
    offer(found?.fits ?? []);
  }
  if (!chosen && !problem) {
    data = null;
    draw("This run has one fit only: headlight fit makes another, and keeps this one.");
    return;
  }
  const found = chosen ? await answer(`api/compare?fit=${chosen}`) : null;
  if (overtaken()) return;
  data = found;
  const there = new Set(data?.flows.filter(takable).map(key));
  for (const one of ticked) if (!there.has(one)) ticked.delete(one);
  if (!data?.flows.some((flow) => key(flow) === opened)) opened = "";
  draw(problem);
}

function draw(problem = "") {
  byId("compare-says").textContent = problem || data.sentence;
  byId("compare-restore").disabled = !chosen;
  drawPicture();
  drawList();
  drawTaking();
  page.dataset.drawn = data ? `${data.fit} ${data.version}` : "";
}

const end = (side, id) => data.groups[side].find((group) => group.id === id);
const named = (side, id) => end(side, id)?.name ?? (side ? "not in that fit" : "only in that fit");

function drawPicture() {
  const svg = byId("bands");
  const box = svg.parentElement;
  bands = new Map();
  const all = byId("compare-all");
  const drawn = data && box.clientWidth > 0;
  byId("compare-ends").hidden = !drawn;
  if (!drawn) {
    svg.replaceChildren();
    return;
  }
  const changing = data.flows.filter((flow) => !flow.stays);
  const [now, then] = ["before", "after"].map((side) => new Set(changing.map((flow) => flow[side])));
  // Both ends of what stays: else a pair would stand apart.
  for (const { before, after, stays } of data.flows) {
    if (!stays || !(now.has(before) || then.has(after))) continue;
    now.add(before);
    then.add(after);
  }
  const few = data.groups[0].length > now.size - now.has(null) || data.groups[1].length > then.size - then.has(null);
  all.closest("label").hidden = !few;
  const whole = all.checked || !few;
  const flows = whole ? data.flows : data.flows.filter((flow) => now.has(flow.before) && then.has(flow.after));
  const sides = [now, then].map((there, side) => {
    const groups = data.groups[side].filter((group) => whole || there.has(group.id));
    const none = data.flows.filter((flow) => flow[side ? "after" : "before"] === null).reduce((sum, flow) => sum + flow.size, 0);
    return none ? [...groups, { id: null, name: named(side, null), size: none, colour: "#888888" }] : groups;
  });
  bands = drawBands(svg, { sides, flows, width: box.clientWidth, height: box.clientHeight - byId("compare-ends").offsetHeight - 14, onPick: pick });
  markBands();
}

function markBands() {
  for (const [flow, band] of bands) {
    band.classList.toggle("ticked", ticked.has(key(flow)));
    band.classList.toggle("opened", key(flow) === opened);
  }
}

/** A band was clicked: its line is opened, and comes into view. */
function pick(flow) {
  if (flow.before === null) return; // there are no pictures of these
  open(flow);
  byId("flows").querySelector(".opened")?.scrollIntoView({ block: "nearest" });
}

function open(flow) {
  opened = opened === key(flow) ? "" : key(flow);
  drawList();
  markBands();
}

function drawList() {
  const list = byId("flows");
  const flows = data?.flows.filter((flow) => !flow.stays) ?? [];
  const shown = flows.slice(0, LISTED);
  const also = data?.flows.find((flow) => key(flow) === opened);
  if (also && !shown.includes(also)) shown.unshift(also);
  const rest = flows.slice(LISTED).reduce((sum, flow) => sum + flow.size, 0);
  const more = rest ? [make("li", { class: "none" }, `${count(rest)} more go in ${count(flows.length - LISTED, "smaller flow")}; “All” takes them too.`)] : [];
  const none = data && !flows.length ? [make("li", { class: "none" }, "No image changes group.")] : [];
  const top = list.scrollTop;
  list.replaceChildren(...shown.map(line), ...more, ...none);
  list.scrollTop = top;
}

function line(flow) {
  const isOpen = key(flow) === opened;
  const words = `${named(0, flow.before)} → ${named(1, flow.after)}`;
  const box = make("input", { type: "checkbox", disabled: !takable(flow) || Boolean(store.state.read_only), checked: ticked.has(key(flow)), aria: { label: `Take over ${count(flow.size)}: ${words}` } });
  box.addEventListener("change", () => {
    if (box.checked) ticked.add(key(flow));
    else ticked.delete(key(flow));
    markBands();
    drawTaking();
  });
  const dot = (side, id) => {
    const made = make("span", { class: "dot" });
    made.style.background = end(side, id)?.colour ?? "#888888";
    return made;
  };
  const strip = make("span", { class: "strip", aria: { hidden: "true" } }, ...(isOpen ? [] : flow.rows.map(face)));
  const kept = flow.by_hand && takable(flow) ? ` · ${flow.by_hand.toLocaleString("en")} placed by hand ${flow.by_hand === 1 ? "stays" : "stay"}` : "";
  const button = make("button", { class: "flow-open", disabled: flow.before === null, on: { click: () => open(flow) } },
    make("span", { class: "label" }, dot(0, flow.before), make("span", { class: "words" }, named(0, flow.before)), make("span", { class: "to" }, "→"), dot(1, flow.after), make("span", { class: "words" }, named(1, flow.after))),
    make("span", { class: "size" }, `${count(flow.size)}${flow.stays ? " that stay" : ""}${kept}`), strip);
  button.setAttribute("aria-expanded", isOpen);
  const made = make("li", { class: isOpen ? "flow opened" : "flow", data: { flow: key(flow) } }, box, button);
  if (isOpen) {
    const images = make("div", { class: "flow-images" });
    made.append(images);
    showImages(flow, images, words);
  }
  return made;
}

async function showImages(flow, box, title) {
  const rows = await getRows(`api/compare/rows?fit=${chosen}&before=${flow.before ?? ""}&after=${flow.after ?? ""}`).catch((error) => { say(error.message, true); return []; });
  if (!box.isConnected) return;
  const all = make("button", { on: { click: () => {
    closeCompare();
    store.show({ kind: "rows", title, rows: [...rows] });
  } } }, rows.length > OPENED ? `All ${count(rows.length)} in the grid` : "Show in the grid");
  box.replaceChildren(...[...rows.slice(0, OPENED)].map(face), all);
}

function drawTaking() {
  const flows = data?.flows.filter((flow) => ticked.has(key(flow))) ?? [];
  const images = flows.reduce((sum, flow) => sum + flow.size - flow.by_hand, 0);
  const any = data?.flows.some(takable);
  byId("compare-count").textContent = images ? `${count(images)} would move` : any ? "Tick what is better in that fit." : "";
  byId("compare-take").disabled = !images || Boolean(store.state.read_only);
  byId("compare-tick").disabled = !any || Boolean(store.state.read_only);
  byId("compare-untick").disabled = !ticked.size;
}

function tick(flows) {
  ticked.clear();
  for (const flow of flows) ticked.add(key(flow));
  drawList();
  markBands();
  drawTaking();
}

async function takeOver() {
  const flows = data.flows.filter((flow) => ticked.has(key(flow)));
  const images = flows.reduce((sum, flow) => sum + flow.size - flow.by_hand, 0);
  const pairs = flows.map(({ before, after }) => [before, after]);
  await store.act("compare/take", { fit: chosen, version: data.version, flows: pairs }, `${count(images)} taken over; undo takes all back`);
}

async function restore() {
  const fit = fits.find(({ id }) => id === chosen);
  if (!fit) return;
  const body = [make("p", {}, `${described(fit)}.`), make("p", { class: "hint" }, "That fit becomes the current one, for everybody who uses this run, with the edits that belong to it. The present one and its edits are kept: you can go back to it in the same way.")];
  if (!(await ask("Go back to this fit?", body, "Go back", () => true))) return;
  try {
    await post("compare/restore", { fit: fit.id });
    await store.load();
  } catch (error) {
    say(error.message, true);
  }
}

store.listen((what) => {
  byId("compare").disabled = store.state.fits < 2;
  byId("compare").title = store.state.fits < 2 ? "This run has one fit only" : "Beside another fit of this run";
  if (!comparing()) return;
  if (what !== "view") load();
});
store.replaced.add(() => {
  data = null;
  ticked.clear();
  page.dataset.drawn = "";
});

byId("compare").addEventListener("click", () => (comparing() ? closeCompare() : openCompare()));
byId("compare-close").addEventListener("click", closeCompare);
byId("compare-restore").addEventListener("click", restore);
byId("compare-take").addEventListener("click", takeOver);
byId("compare-tick").addEventListener("click", () => tick(data.flows.filter(takable)));
byId("compare-untick").addEventListener("click", () => tick([]));
byId("compare-all").addEventListener("change", drawPicture);
byId("compare-fit").addEventListener("change", (event) => {
  chosen = event.target.value;
  ticked.clear();
  load();
});
new ResizeObserver(() => { if (comparing()) drawPicture(); }).observe(byId("bands").parentElement);
