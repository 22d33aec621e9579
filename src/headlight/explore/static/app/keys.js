// Keys, where nobody is typing text.

import { actions } from "./actions.js";
import { closeCompare, comparing } from "./compare.js";
import { byId } from "./dom.js";
import { grid } from "./grid.js";

const PLAIN = {
  m: "move", n: "fresh", o: "outlier", l: "alike", r: "rename", g: "merge", s: "split", d: "done",
  a: "accept", x: "dismiss", e: "seen",
  u: "undo", U: "redo", "[": "previous", "]": "next", k: "previous", j: "next", "?": "help", Escape: "none",
};
const CTRL = { z: "undo", Z: "redo", y: "redo", a: "all" };

/** `toggleView` turns images to map and back; `open(place)` shows an image large. */
export function listenToKeys({ toggleView, open }) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (document.querySelector("dialog[open]")) return;
    if (comparing()) {
      onCompare(event);
      return;
    }
    if (target.matches("input, select, textarea")) {
      if (event.key === "Escape") {
        if (target.id === "search") actions.leave();
        target.blur();
      }
      return;
    }
    // Where "[" and the like need AltGr (Ctrl and Alt at once on Windows) or Option, they are plain.
    const made = event.getModifierState("AltGraph") || event.altKey;
    if (made && !"[]?/".includes(event.key)) return;
    const ctrl = !made && (event.ctrlKey || event.metaKey);
    const act = (ctrl ? CTRL : PLAIN)[event.key];
    if (act) {
      event.preventDefault();
      actions[act]();
    } else if (!ctrl && event.key === "v") toggleView();
    else if (!ctrl && event.key === "/") {
      event.preventDefault();
      document.body.classList.add("sidebar-open");
      byId("search").focus();
    } else if (target.id === "grid") inGrid(event, open);
  });
}

/** Keys of what is out of sight do nothing. */
function onCompare(event) {
  const made = event.getModifierState("AltGraph") || event.altKey;
  const act = (event.ctrlKey || event.metaKey ? CTRL : PLAIN)[event.key];
  if (event.key === "Escape") closeCompare();
  else if (!made && ["undo", "redo", "help"].includes(act) && !event.target.matches("select")) {
    event.preventDefault();
    actions[act]();
  }
}

function inGrid(event, open) {
  const steps = {
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.columns, ArrowDown: grid.columns,
    PageUp: -grid.page, PageDown: grid.page, Home: -Infinity, End: Infinity,
  };
  if (event.key in steps) {
    event.preventDefault();
    grid.moveCursor(steps[event.key], event.shiftKey);
  } else if (event.key === " ") {
    event.preventDefault();
    grid.toggleCursor();
  } else if (event.key === "Enter" && grid.cursorRow !== undefined) {
    event.preventDefault(); // or the same key would press the button that closes it
    open(grid.rows.indexOf(grid.cursorRow));
  }
}
