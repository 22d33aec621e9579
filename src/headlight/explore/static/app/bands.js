// Groups of two fits as bars, left and right, and bands between: which images go where.

const LEAST = 15; // pixels of a bar: its name has to fit
const THIN = 1.5; // pixels of a band
const GAP = 5;
const BAR = 9;
const LETTER = 6.6; // pixels, about, at the size of the labels

const svgElement = (tag, attributes, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

/**
 * Draws into `svg`, as wide as `width` and at least as high as `height` if that helps.
 *
 * sides: [left, right], each [{id, name, size, colour}]; a size may count images without a band.
 * flows: [{before, after, size, stays}], ends by id. onPick(flow): a band was clicked.
 * Gives a Map flow → its band.
 */
export function drawBands(svg, { sides, flows, width, height, onPick }) {
  const label = Math.min(190, width * 0.3);
  const [left, right] = [label, width - label - BAR];
  const lefts = [...sides[0]].sort((a, b) => b.size - a.size);
  const place = new Map(lefts.map((group, i) => [group.id, i]));
  // A group on the right stands beside those that its images come from, on average.
  const pull = (group) => {
    const own = flows.filter((flow) => flow.after === group.id);
    const all = own.reduce((sum, flow) => sum + flow.size, 0);
    return own.reduce((sum, flow) => sum + flow.size * place.get(flow.before), 0) / (all || 1);
  };
  const pulls = new Map(sides[1].map((group) => [group.id, pull(group)]));
  const rights = [...sides[1]].sort((a, b) => pulls.get(a.id) - pulls.get(b.id) || b.size - a.size);
  const scale = scaleFor([lefts, rights], height);
  const order = new Map(rights.map((group, i) => [group.id, i]));
  const thick = (flow) => Math.max(THIN, flow.size * scale);
  const bars = columns([lefts, rights], (group, side) => {
    const own = flows.filter((flow) => flow[side ? "after" : "before"] === group.id);
    return Math.max(group.size * scale, own.reduce((sum, flow) => sum + thick(flow), 0));
  });

  const bands = new Map();
  const taken = [new Map(), new Map()]; // pixels of a bar that bands already have
  const rank = (flow) => place.get(flow.before) * rights.length + order.get(flow.after);
  const from = new Map();
  for (const flow of [...flows].sort((a, b) => rank(a) - rank(b))) from.set(flow, next(taken[0], bars[0], flow.before, thick(flow)));
  const turned = (flow) => order.get(flow.after) * lefts.length + place.get(flow.before);
  for (const flow of [...flows].sort((a, b) => turned(a) - turned(b))) {
    const [y1, y2, t] = [from.get(flow), next(taken[1], bars[1], flow.after, thick(flow)), thick(flow)];
    const [x1, x2, middle] = [left + BAR, right, (left + BAR + right) / 2];
    const path = `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}v${t}C${middle},${y2 + t} ${middle},${y1 + t} ${x1},${y1 + t}z`;
    const group = lefts[place.get(flow.before)];
    const title = svgElement("title", {}, `${group.name} → ${rights[order.get(flow.after)].name}: ${flow.size.toLocaleString("en")}`);
    const band = svgElement("path", { d: path, fill: group.colour, class: flow.stays ? "band stays" : "band" }, title);
    band.addEventListener("click", () => onPick(flow));
    bands.set(flow, band);
  }
  // Small ones on top, where they can be clicked.
  const drawn = [...bands].sort(([a], [b]) => b.stays - a.stays || b.size - a.size).map(([, band]) => band);
  const tall = Math.max(0, ...bars.flatMap((side) => [...side.values()].map(({ y, h }) => y + h)));
  svg.setAttribute("width", width);
  svg.setAttribute("height", tall + 2);
  svg.replaceChildren(...drawn, ...names(lefts, bars[0], left, -6, "end", label), ...names(rights, bars[1], right, BAR + 6, "start", label));
  return bands;
}

function next(taken, bars, id, thickness) {
  const { y, h, whole } = bars.get(id);
  const before = taken.get(id) ?? Math.max(0, (h - whole) / 2);
  taken.set(id, before + thickness);
  return y + before;
}

/** Of each side group → {y, h, whole}: its bar, and how much of it its bands need. */
function columns(sides, needed) {
  const heights = sides.map((groups, side) => groups.map((group) => needed(group, side)));
  const sums = heights.map((all) => all.reduce((sum, h) => sum + Math.max(LEAST, h), 0));
  const tall = Math.max(...sums.map((sum, side) => sum + GAP * (sides[side].length - 1)));
  return sides.map((groups, side) => {
    const bars = new Map();
    // The shorter side is spread out: bands are then less steep.
    const gap = (tall - sums[side]) / Math.max(1, groups.length - 1);
    let y = 1;
    groups.forEach(({ id }, i) => {
      const whole = heights[side][i];
      const h = Math.max(LEAST, whole);
      bars.set(id, { y, h, whole });
      y += h + gap;
    });
    return bars;
  });
}

/** Pixels per image with which the taller column is `height` high, if its names fit in that. */
function scaleFor(sides, height) {
  const tall = (scale) => Math.max(...sides.map((side) => side.reduce((sum, { size }) => sum + Math.max(LEAST, size * scale) + GAP, 0)));
  let [low, high] = [0, height];
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (tall(middle) > height) high = middle;
    else low = middle;
  }
  // Where names alone fill the height, sizes still have to be told apart.
  const most = Math.max(1, ...sides.flat().map(({ size }) => size));
  return Math.max(low, (3 * LEAST) / most);
}

function names(groups, bars, x, shift, anchor, room) {
  const letters = Math.max(4, Math.floor((room - 12) / LETTER));
  return groups.flatMap(({ id, name, size, colour }) => {
    const { y, h } = bars.get(id);
    const number = ` ${size.toLocaleString("en")}`;
    const fits = letters - number.length;
    const short = name.length > fits ? `${name.slice(0, Math.max(1, fits - 1))}…` : name;
    const text = svgElement("text", { x: x + shift, y: y + h / 2, "text-anchor": anchor, "dominant-baseline": "central" },
      svgElement("title", {}, `${name}: ${size.toLocaleString("en")}`), short, svgElement("tspan", { class: "number" }, number));
    return [svgElement("rect", { x, y, width: BAR, height: h, fill: colour, rx: 2 }), text];
  });
}
