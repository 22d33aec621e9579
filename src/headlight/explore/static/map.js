// A map of images as points: zoom, pan, hover, click, lasso. Fast enough for 100,000 points.
//
// The points are painted straight into pixels of one canvas; a second canvas above it carries
// what changes often (the point under the pointer, the lasso, pictures of clusters).

import { Picker } from "./picker.js";
import { paintPoints } from "./points.js";

const MAX_ZOOM = 200;
const CLICK = 5; // pixels a pointer may wander and still click

/**
 * Shows a map inside `element` (which needs a size of its own).
 *
 * x, y: Float32Array (n,), any range. cluster: Uint16Array or Int32Array (n,).
 * colours: "#rrggbb" of each cluster, taken round again when there are more clusters.
 * names: of each cluster. lasso: whether shift-drag selects (or any drag, after `lassoMode(true)`).
 * onHover(index, {x, y}): a point and its place in CSS pixels inside `element`. onLeave().
 * onClick(index, {pointer: "mouse", "touch" or "pen"}). onSelect(Uint32Array of indices, {add}): the points inside a lasso; `add` when
 * Ctrl or Meta was held. landmarks: [{cluster, x, y, draw(context, x, y, side)}], pictures that
 * stand on the map where there is room for them. label: what a screen reader says. gentle: leave the
 * page its wheel until the map has the focus, and its vertical swipe until the map is zoomed.
 */
export function createMap(element, options) {
  const { x, y, names = [], lasso = false, landmarks = [], label = "" } = options;
  const { gentle = false } = options;
  const { onHover, onLeave, onClick, onSelect } = options;
  const n = x.length;
  let { cluster, colours } = options;
  let lit = null; // highlighted cluster
  let selected = null; // Uint8Array (n,) while something is selected
  let hovered = -1;
  let loop = null; // lasso in progress: points in CSS pixels
  let lassoing = false; // lasso mode by a button
  let view = { scale: 1, left: 0, top: 0 };
  let seen = null; // what was in view before the element was resized: [across, down]
  let width = 0;
  let height = 0;
  let frame = 0;
  const picker = new Picker(x, y);
  const bounds = picker.bounds;

  const points = document.createElement("canvas");
  const above = document.createElement("canvas");
  for (const canvas of [points, above]) {
    canvas.style.cssText = "position:absolute;inset:0;width:100%;height:100%;display:block";
  }
  points.setAttribute("aria-hidden", "true");
  above.tabIndex = 0;
  above.setAttribute("role", "application");
  above.setAttribute("aria-roledescription", "map");
  above.setAttribute("aria-label", label || describe());
  above.style.outlineOffset = "-3px";
  above.style.touchAction = gentle ? "pan-y" : "none";
  above.style.cursor = "grab";
  if (getComputedStyle(element).position === "static") element.style.position = "relative";
  element.append(points, above);

  function describe() {
    const found = new Set(cluster).size;
    return `Map of ${n} images in ${found} clusters. Plus and minus zoom, arrows move, 0 resets.`;
  }

  // --- from data to the screen and back ------------------------------------------------------

  function fit() {
    const pad = 34; // half a landmark, and a little
    const across = Math.max(bounds.right - bounds.left, 1e-9);
    const down = Math.max(bounds.bottom - bounds.top, 1e-9);
    const scale = Math.min((width - 2 * pad) / across, (height - 2 * pad) / down);
    return {
      scale,
      left: bounds.left - (width / scale - across) / 2,
      top: bounds.top - (height / scale - down) / 2,
    };
  }

  const toScreen = (i) => [(x[i] - view.left) * view.scale, (y[i] - view.top) * view.scale];

  function zoom(factor, px = width / 2, py = height / 2) {
    const least = fit().scale;
    const scale = Math.min(Math.max(view.scale * factor, least * 0.8), least * MAX_ZOOM);
    view.left += px / view.scale - px / scale;
    view.top += py / view.scale - py / scale;
    view.scale = scale;
    seen = null;
    if (gentle) above.style.touchAction = scale > least * 1.05 ? "none" : "pan-y";
    redraw();
  }

  function pan(dx, dy) {
    view.left -= dx / view.scale;
    view.top -= dy / view.scale;
    redraw();
  }

  function resetView() {
    view = fit();
    seen = null;
    if (gentle) above.style.touchAction = "pan-y";
    redraw();
  }

  function radius() {
    const few = Math.min(1, Math.sqrt(6000 / Math.max(n, 1)));
    const closer = Math.sqrt(view.scale / fit().scale);
    const room = Math.min(1, Math.sqrt((width * height) / 500000));
    return Math.min(9, Math.max(1.1, 3.4 * few * room) * Math.min(closer, 3.2));
  }

  // --- drawing -------------------------------------------------------------------------------

  function redraw() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    for (const canvas of [points, above]) {
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    }
    paintPoints(points, {
      x, y, cluster, colours, lit, selected,
      left: view.left, top: view.top, scale: view.scale * ratio, radius: radius() * ratio,
    });
    drawAbove(ratio);
  }

  function drawAbove(ratio = Math.min(window.devicePixelRatio || 1, 3)) {
    const context = above.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const ink = getComputedStyle(element).color;
    drawLandmarks(context);
    if (hovered >= 0) {
      const [px, py] = toScreen(hovered);
      context.beginPath();
      context.arc(px, py, radius() + 4, 0, 2 * Math.PI);
      context.lineWidth = 2.5;
      context.strokeStyle = ink;
      context.stroke();
    }
    if (loop) {
      context.beginPath();
      loop.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
      context.closePath();
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.strokeStyle = ink;
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 0.12;
      context.fillStyle = ink;
      context.fill();
      context.globalAlpha = 1;
    }
  }

  // Pictures of clusters, the first first, where they don't cover each other.
  function drawLandmarks(context) {
    // Many pictures are small ones, and grow when the map is zoomed.
    const room = Math.sqrt((width * height) / Math.max(landmarks.length, 12)) / 3;
    const closer = Math.sqrt(view.scale / fit().scale);
    const side = Math.round(Math.min(54, Math.max(22, room * Math.min(closer, 2.5))));
    const placed = [];
    for (const mark of landmarks) {
      if (lit !== null && mark.cluster !== lit) continue;
      const px = (mark.x - view.left) * view.scale;
      const py = (mark.y - view.top) * view.scale;
      if (px < side / 2 || py < side / 2 || px > width - side / 2 || py > height - side / 2) continue;
      if (placed.some(([a, b]) => Math.abs(a - px) < side + 8 && Math.abs(b - py) < side + 8)) continue;
      placed.push([px, py]);
      context.fillStyle = colours[mark.cluster % colours.length];
      context.beginPath();
      context.roundRect(px - side / 2 - 2, py - side / 2 - 2, side + 4, side + 4, 7);
      context.fill();
      mark.draw(context, px - side / 2, py - side / 2, side);
    }
  }

  // --- pointer, wheel, keys ------------------------------------------------------------------

  const pointers = new Map();
  let start = null;
  let spread = 0;

  const place = (event) => {
    const box = above.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  function nearest(px, py) {
    const reach = Math.max(radius() + 3, 8) / view.scale;
    return picker.nearest(px / view.scale + view.left, py / view.scale + view.top, reach);
  }

  function hover(px, py) {
    const found = nearest(px, py);
    if (found !== hovered) {
      hovered = found;
      drawAbove();
      above.style.cursor = lassoing ? "crosshair" : found >= 0 ? "pointer" : "grab";
    }
    if (found < 0) onLeave?.();
    else {
      const [a, b] = toScreen(found);
      onHover?.(found, { x: a, y: b });
    }
  }

  function leave() {
    if (hovered < 0) return;
    hovered = -1;
    drawAbove();
    onLeave?.();
  }

  function down(event) {
    if (event.button > 0) return;
    above.setPointerCapture(event.pointerId);
    const at = place(event);
    pointers.set(event.pointerId, at);
    if (pointers.size === 1) {
      start = at;
      if (lasso && (event.shiftKey || lassoing)) loop = [at];
    } else {
      loop = start = null;
      spread = distance();
    }
  }

  function distance() {
    const [[a, b], [c, d]] = [...pointers.values()];
    return Math.hypot(a - c, b - d);
  }

  function move(event) {
    const at = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) return hover(...at);
    pointers.set(event.pointerId, at);
    if (pointers.size > 1) {
      const [[a, b], [c, d]] = [...pointers.values()];
      const now = distance();
      pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
      if (spread > 0) zoom(now / spread, (a + c) / 2, (b + d) / 2);
      spread = now;
    } else if (loop) {
      loop.push(at);
      drawAbove();
    } else {
      if (start && Math.hypot(at[0] - start[0], at[1] - start[1]) > CLICK) {
        start = null;
        leave();
        above.style.cursor = "grabbing";
      }
      if (!start) pan(at[0] - before[0], at[1] - before[1]);
    }
  }

  function up(event) {
    if (!pointers.delete(event.pointerId)) return;
    above.style.cursor = lassoing ? "crosshair" : "grab";
    if (loop) {
      const inside = loop.length > 2 ? picker.inside(loop.map(([px, py]) => [
        px / view.scale + view.left, py / view.scale + view.top,
      ])) : new Uint32Array(0);
      loop = null;
      drawAbove();
      onSelect?.(inside, { add: event.ctrlKey || event.metaKey });
    } else if (start && event.type === "pointerup") {
      const found = nearest(...place(event));
      if (found >= 0 && event.pointerType !== "mouse") hover(...place(event));
      if (found >= 0) onClick?.(found, { pointer: event.pointerType });
    }
    start = null;
  }

  function wheel(event) {
    // On a trackpad a pinch comes as a wheel with Ctrl: it always zooms.
    if (gentle && !event.ctrlKey && !event.metaKey && document.activeElement !== above) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0022)), ...place(event));
  }

  const KEYS = {
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": resetView,
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0),
    ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
  };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    KEYS[event.key]();
  }

  const listeners = {
    pointerdown: down, pointermove: move, pointerup: up, pointercancel: up,
    pointerleave: leave, wheel, keydown: key,
  };
  for (const [type, listener] of Object.entries(listeners)) {
    above.addEventListener(type, listener, { passive: false });
  }
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", redraw);
  const observer = new ResizeObserver(() => {
    if (!element.clientWidth || !element.clientHeight) return; // hidden
    const first = width === 0;
    const { scale } = view;
    const middle = [view.left + width / 2 / scale, view.top + height / 2 / scale];
    seen ??= [width / scale, height / scale];
    [width, height] = [element.clientWidth, element.clientHeight];
    if (first) resetView();
    else { // what was in view stays in view
      view.scale = Math.min(width / seen[0], height / seen[1]);
      [view.left, view.top] = [middle[0] - width / 2 / view.scale, middle[1] - height / 2 / view.scale];
      redraw();
    }
  });
  observer.observe(element);

  return {
    setClusters(changed, recoloured = colours) {
      [cluster, colours] = [changed, recoloured];
      if (!label) above.setAttribute("aria-label", describe());
      redraw();
    },
    highlight(which) {
      lit = which ?? null;
      above.setAttribute("aria-description", lit === null ? "" : `${names[lit] ?? lit} highlighted`);
      redraw();
    },
    select(indices) {
      selected = indices && indices.length ? new Uint8Array(n) : null;
      for (const i of indices ?? []) selected[i] = 1;
      redraw();
    },
    lassoMode(on) {
      lassoing = lasso && on;
      above.style.cursor = lassoing ? "crosshair" : "grab";
    },
    zoom,
    resetView,
    destroy() {
      cancelAnimationFrame(frame);
      observer.disconnect();
      scheme.removeEventListener("change", redraw);
      points.remove();
      above.remove();
    },
  };
}
