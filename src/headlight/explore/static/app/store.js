// What the page knows of the run, and who wants to hear when it changes.

import { getJson, post } from "./api.js";
import { say } from "./dom.js";

export const store = {
  /** As `Session.state` gives it: version, images, clusters [{id, name, size, …}], undo, redo, … */
  state: null,
  /** What the grid shows: {kind: "cluster", id} | {kind: "all" | "outliers"} |
   *  {kind: "search", text} | {kind: "rows", title, rows}. */
  view: { kind: "all" },
  home: { kind: "all" }, // the last view that was no search: where Escape leads back to
  listeners: new Set(),

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
    if (this.state && state.version < this.state.version) return; // overtaken by a later answer
    this.state = { ...this.state, ...state };
    if (this.view.kind === "cluster" && !this.current) {
      this.view = this.state.clusters.length ? { kind: "cluster", id: this.largest() } : { kind: "all" };
    }
    this.tell("state");
  },

  largest() {
    return this.state.clusters.reduce((a, b) => (b.size > a.size ? b : a)).id;
  },

  show(view) {
    this.view = view;
    const address = { cluster: `#cluster-${view.id}`, outliers: "#outliers", all: "#all" }[view.kind];
    if (address) history.replaceState(null, "", address);
    this.tell("view");
  },

  tell(what) {
    if (!["search", "rows"].includes(this.view.kind)) this.home = this.view;
    for (const listener of this.listeners) listener(what);
  },

  async load() {
    this.set(await getJson("api/state"));
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
