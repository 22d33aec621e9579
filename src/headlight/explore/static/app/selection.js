// Which images are selected. Rows, not places: a selection outlives another order of the grid.

import { store } from "./store.js";

export const selection = {
  rows: new Set(),
  anchor: null, // row from which Shift extends
  listeners: new Set(),

  listen(listener) {
    this.listeners.add(listener);
  },

  tell() {
    for (const listener of this.listeners) listener();
  },

  clear() {
    if (!this.rows.size) return;
    this.rows.clear();
    this.tell();
  },

  /** Replaces the selection, or adds to it. */
  set(rows, add = false) {
    if (!add) this.rows.clear();
    for (const row of rows) this.rows.add(row);
    this.tell();
  },

  /** A click on `row` of the rows shown: alone, Ctrl to turn it over, Shift for all between. */
  click(shown, row, { ctrl, shift }) {
    const from = shift && this.anchor !== null ? shown.indexOf(this.anchor) : -1;
    if (from >= 0) {
      const to = shown.indexOf(row);
      const [a, b] = from < to ? [from, to] : [to, from];
      this.set(shown.subarray(a, b + 1), ctrl);
      return;
    }
    this.anchor = row;
    if (!ctrl) this.set([row]);
    else {
      if (!this.rows.delete(row)) this.rows.add(row);
      this.tell();
    }
  },

  list() {
    return [...this.rows].sort((a, b) => a - b);
  },
};

store.replaced.add(() => {
  selection.anchor = null;
  selection.clear();
});
