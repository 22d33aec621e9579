// What a person can do, by button and by key, and the buttons themselves.

import { askCluster, askExport, askName, askParts, showHelp } from "./dialogs.js";
import { byId, count, make, say } from "./dom.js";
import { grid } from "./grid.js";
import { refit } from "./refit.js";
import { selection } from "./selection.js";
import { drawSidebar, listed, marked } from "./sidebar.js";
import { store } from "./store.js";

const name = (id) => store.cluster(id)?.name ?? "";

/** The selected rows; says so if there are none. */
function chosen() {
  if (selection.rows.size) return selection.list();
  say("Select images first: click, Ctrl-click, Shift-click, or the lasso on the map.");
  return null;
}

function current() {
  if (!store.current) say("Choose a cluster first.");
  return store.current;
}

/** The cluster shown, if an update proposed it; says so if not. */
function proposed() {
  const cluster = current();
  if (cluster && !cluster.proposed) say(`“${cluster.name}” is no proposed cluster.`);
  return cluster?.proposed ? cluster : null;
}

/** What was selected before an edit and where: number of edits after it → {rows, view, text}. */
const before = new Map();

/** Does `work` after what was asked for before it: undo waits for the edit that it takes back,
 *  and several quick presses wait for one another. */
function inTurn(work) {
  const { mark } = store.state;
  // What was asked of one fit is not done to another.
  const result = turn.then(() => (mark === store.state.mark ? work() : null));
  turn = result.catch(() => {});
  return result;
}
let turn = Promise.resolve();

/** `store.act` in its turn. */
const edit = (...given) => inTurn(() => store.act(...given));

/** An edit of the selected images, which are then no longer selected; undo selects them again. */
function spend(name, rows, body, text) {
  const { view } = store;
  return inTurn(async () => {
    const answer = await store.act(name, { rows, ...body }, text);
    if (!answer) return null;
    before.set(store.state.edits, { rows, view, text: store.state.undo });
    selection.clear();
    return answer;
  });
}

store.replaced.add(() => before.clear());

const moveTo = (rows, body, text) => spend("move", rows, body, text);
const given = (id) => !/^cluster-\d+$/.test(name(id)); // by a person, not by the fit

export const actions = {
  async move() {
    const rows = chosen();
    if (!rows) return;
    const picked = await askCluster(`Move ${count(rows.length)} to`, { offerNew: true });
    if (!picked) return;
    if ("fresh" in picked) await moveTo(rows, { cluster: null, name: picked.fresh }, (a) => `${count(rows.length)} moved to “${name(a.cluster)}”`);
    else await moveTo(rows, { cluster: picked.id }, `${count(rows.length)} moved to “${name(picked.id)}”`);
  },
  async fresh() {
    const rows = chosen();
    if (!rows) return;
    const text = await askName(`New cluster of ${count(rows.length)}`, "", "Make");
    if (text === null) return;
    const answer = await moveTo(rows, { cluster: null, name: text });
    if (answer) store.show({ kind: "cluster", id: answer.cluster });
  },
  async outlier() {
    const rows = chosen();
    if (!rows) return;
    const value = store.view.kind !== "outliers";
    await spend("outlier", rows, { value }, `${count(rows.length)} ${value ? "marked as" : "no longer"} outliers`);
  },
  async alike() {
    const rows = chosen();
    if (!rows) return;
    const answer = await store.act("alike", { rows });
    if (answer) store.show({ kind: "rows", title: rows.length === 1 ? "More like this" : `More like these ${rows.length}`, rows: answer.rows });
  },
  picked() {
    store.show({ kind: "rows", title: "Selected", rows: selection.list() });
  },
  all() {
    selection.set(grid.rows);
  },
  /** Nothing selected; pressed again, back from a search or "More like this". */
  none() {
    if (selection.rows.size) selection.clear();
    else actions.leave();
  },
  leave() {
    byId("search").value = "";
    if (store.view.kind === "search" || store.view.kind === "rows") store.show(store.home.kind !== "cluster" || store.cluster(store.home.id) ? store.home : { kind: "all" });
    else drawSidebar();
  },
  async rename() {
    const cluster = current();
    const text = cluster && await askName(`Rename “${cluster.name}”`, cluster.name, "Rename");
    if (text && text !== cluster.name) await edit("rename", { cluster: cluster.id, name: text });
  },
  async merge() {
    const cluster = current();
    const into = cluster && await askCluster(`Merge “${cluster.name}” into`, { without: [cluster.id] });
    if (into) await mergeAll([cluster.id, into.id], given(cluster.id) && !given(into.id) ? cluster.id : into.id);
  },
  async mergeMarked() {
    const ids = [...marked].filter((id) => store.cluster(id));
    // A name that somebody gave is kept, that of the largest if there are several.
    const size = (id) => store.cluster(id).size;
    const into = ids.reduce((a, b) => ((given(b) - given(a) || size(b) - size(a)) > 0 ? b : a));
    if (await mergeAll(ids, into)) marked.clear();
    store.tell("view");
  },
  async split() {
    const cluster = current();
    const parts = cluster && await askParts(cluster);
    if (!parts) return;
    say("Splitting …");
    await edit("split", { cluster: cluster.id, parts }, (a) => `“${cluster.name}” split into ${a.made.map((id) => store.cluster(id)?.size.toLocaleString("en")).join(" + ")}`);
  },
  async accept() {
    const cluster = proposed();
    if (cluster) await edit("accept", { cluster: cluster.id }, `“${cluster.name}” is a cluster like any other now`);
  },
  async dismiss() {
    const cluster = proposed();
    if (cluster) await edit("dismiss", { cluster: cluster.id }, `“${cluster.name}” dismissed: ${count(cluster.size)} marked as outliers`);
  },
  /** What is selected, or all that is shown, is no longer new. */
  async seen() {
    const rows = selection.rows.size ? selection.list() : [...grid.rows];
    const { current, view } = store;
    if (selection.rows.size) await spend("seen", rows, {}, "Looked at");
    else if (current?.new) await edit("seen", { cluster: current.id }, `${count(current.new)} looked at`);
    else if (view.kind === "new" && rows.length && store.state.new) await edit("seen", { rows }, "Looked at");
    else say("Nothing here is new.");
  },
  async done() {
    const cluster = current();
    if (cluster) await edit("done", { cluster: cluster.id, value: !cluster.done });
  },
  undo: () => step("undo"),
  redo: () => step("redo"),
  next: () => neighbour(1),
  previous: () => neighbour(-1),
  refit,
  async export() {
    const wanted = await askExport();
    if (!wanted) return;
    say("Exporting …");
    await store.act("export", wanted, (a) => {
      const how = [a.linked && count(a.linked, "hard link"), a.copied && (a.copied === 1 ? "1 copy" : `${a.copied.toLocaleString("en")} copies`)].filter(Boolean).join(", ");
      return `${count(a.exported)} exported to ${a.path}${how && `: ${how}`}${a.missing ? `; ${count(a.missing)} could not be` : ""}`;
    });
  },
  help: showHelp,
};

async function mergeAll(clusters, into) {
  return edit("merge", { clusters, into }, `Merged into “${name(into)}”`, { kind: "cluster", id: into });
}

function step(what) {
  return inTurn(async () => {
    const text = store.state[what];
    if (!text) {
      say(`There is nothing to ${what}.`);
      return;
    }
    const lost = what === "undo" ? before.get(store.state.edits) : null;
    const back = lost?.text === text ? lost : null;
    const answer = await store.act(what, { version: store.state.version }, `${what === "undo" ? "Undone" : "Done again"}: ${text}`, back?.view);
    if (answer && back) selection.set(back.rows);
  });
}

function neighbour(by) {
  const all = listed();
  const at = all.findIndex((c) => c.id === store.view.id);
  const to = all[Math.max(0, Math.min(all.length - 1, at + by))];
  if (to) store.show({ kind: "cluster", id: to.id });
}

const button = (act, text, hint, props = {}) => make("button", { ...props, data: { act }, title: hint }, text);

/** The buttons of the cluster shown. */
export function drawActs() {
  const cluster = store.current;
  const off = Boolean(store.state.read_only);
  const isNew = store.view.kind === "new" && store.state.new > 0;
  const fresh = cluster?.new || isNew ? [button("seen", cluster ? `${cluster.new.toLocaleString("en")} new: looked at` : "All looked at", "e", { disabled: off })] : [];
  byId("acts").replaceChildren(...(cluster ? [
    ...(cluster.proposed ? [
      button("accept", "Accept", "a", { class: "main", disabled: off }), button("dismiss", "Dismiss", "x: no cluster; its images become outliers", { disabled: off }),
    ] : []),
    ...fresh, button("rename", "Rename", "r", { disabled: off }), button("merge", "Merge …", "g", { disabled: off }),
    button("split", "Split …", "s", { disabled: off || cluster.size < 2 }),
    button("done", cluster.done ? "✓ Done" : "Mark done", "d", { disabled: off, class: cluster.done ? "is-done" : "" }),
  ] : fresh));
  for (const what of ["undo", "redo"]) {
    const text = store.state[what];
    byId(what).disabled = !text || off;
    byId(what).title = text ? `${what === "undo" ? "Undo" : "Redo"}: ${text}` : "";
    byId(what).dataset.act = what;
  }
  for (const what of ["refit", "export", "help"]) byId(what).dataset.act = what;
  byId("refit").disabled = off;
  byId("export").disabled = !store.state.clusters.length;
}

/** The bar of the selection. */
export function drawSelection() {
  const n = selection.rows.size;
  const bar = byId("selection");
  bar.hidden = !n;
  document.body.classList.toggle("selecting", n > 0);
  if (!n) return;
  const off = { disabled: Boolean(store.state.read_only) };
  bar.replaceChildren(
    make("strong", { id: "selected-count" }, `${n.toLocaleString("en")} selected`),
    button("move", "Move …", "m", { class: "main", ...off }), button("fresh", "New cluster", "n", off),
    button("outlier", store.view.kind === "outliers" ? "Not an outlier" : "Outlier", "o", off),
    ...(store.state.new ? [button("seen", "Looked at", "e", off)] : []), button("alike", "More like this", "l"), button("picked", "Show", "show only these"),
    button("none", "Clear", "Esc"));
}

document.addEventListener("click", (event) => {
  const act = event.target.closest?.("[data-act]")?.dataset.act;
  if (act === "merge-marked") actions.mergeMarked();
  else if (act) actions[act]?.();
});

