// What the page knows of the run, and who wants to hear when it changes.

import { getJson, post, setMark } from "./api.js";
import { say } from "./dom.js";

let asked = 0;
let taken = 0;

export const store = {
  /** As `Session.state` gives it: mark, version, images, clusters [{id, name, size, …}], undo, … */
  state: null,
  /** What the grid shows: {kind: "cluster", id} | {kind: "all" | "outliers"} |
   *  {kind: "new", since (seconds since 1970) or null: all that nobody has looked at} |
   *  {kind: "search", text} | {kind: "rows", title, rows}. */
  view: { kind: "all" },
  home: { kind: "all" }, // the last view that was no search: where Escape leads back to
  listeners: new Set(),
  replaced: new Set(), // what is to be forgotten with a fit

  cluster(id) {
    return this.state.clusters.find((cluster) => cluster.id === id);
  },

  /** The cluster shown, if it is one. */
  get current() {
    return this.view.kind === "cluster" ? this.cluster(this.view.id) : undefined;
  },

  listen(listener) {
    this.listeners.add(listener);
  },

  set(state) {
    // Overtaken by a later answer, or of a fit that is no longer the current one.
    if (this.state && (state.mark !== this.state.mark || state.version < this.state.version)) return;
    this.state = { ...this.state, ...state };
    this.toWhatIsThere();
    this.tell("state");
  },

  /** Another fit: rows are other images, and clusters may be other ones. */
  replace(state) {
    const before = this.state;
    this.state = state;
    setMark(state.mark);
    if (this.view.kind === "rows") this.view = this.home;
    // Where people's edits don't carry over, a group of the same number is another group.
    if (before && before.review !== state.review && this.view.kind === "cluster") this.view = { kind: "cluster" };
    this.toWhatIsThere();
    for (const listener of this.replaced) listener(before);
    this.tell("fit");
  },

  toWhatIsThere() {
    if (this.view.kind === "cluster" && !this.current) {
      this.view = this.state.clusters.length ? { kind: "cluster", id: this.largest() } : { kind: "all" };
    }
  },

  largest() {
    return this.state.clusters.reduce((a, b) => (b.size > a.size ? b : a)).id;
  },

  show(view) {
    this.view = view;
    const address = { cluster: `#cluster-${view.id}`, outliers: "#outliers", all: "#all", new: "#new" }[view.kind];
    if (address) history.replaceState(null, "", address);
    this.tell("view");
  },

  tell(what) {
    if (!["search", "rows"].includes(this.view.kind)) this.home = this.view;
    for (const listener of this.listeners) listener(what);
  },

  async load() {
    const mine = ++asked;
    const state = await getJson("api/state");
    if (mine < taken) return; // a later question was answered first
    taken = mine;
    if (state.mark === this.state?.mark) this.set(state);
    else this.replace(state);
  },

  /** Makes an edit; says what went wrong, if anything, and gives the answer or null. `view` is
   *  what to show then. */
  async act(name, body, done, view = null) {
    try {
      const answer = await post(name, body);
      if (answer.state) {
        if (view) this.view = view;
        if (view?.kind === "cluster") history.replaceState(null, "", `#cluster-${view.id}`);
        this.set(answer.state);
      }
      if (done) say(typeof done === "function" ? done(answer) : done);
      return answer;
    } catch (error) {
      say(error.message, true);
      return null;
    }
  },
};
