// What moves in report.html: the map with its tip, and the order of the cards.

import { createMap } from "./map.js";

const NO_PICTURE = 0xffff;
const MOST_STRETCH = 1.6;
const TIP = 112; // CSS pixels of the picture in the tip

const $ = (id) => document.getElementById(id);
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;

async function unpack(base64, count) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const column = (i) => {
    const view = new DataView(buffer, 2 * count * i, 2 * count);
    return Uint16Array.from({ length: count }, (_, k) => view.getUint16(2 * k, true));
  };
  const [x, y, cluster, picture] = [0, 1, 2, 3].map(column);
  const paths = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8 * count)));
  return { x: Float32Array.from(x), y: Float32Array.from(y), cluster, picture, paths };
}

async function loaded(uri) {
  if (!uri) return null;
  const image = new Image();
  image.src = uri;
  await image.decode();
  return image;
}

// --- the map -----------------------------------------------------------------------------------

async function showMap() {
  const data = JSON.parse($("map-data").textContent);
  if (!data.count) return;
  const [points, sheet] = await Promise.all([unpack(data.packed, data.count), loaded(data.sheet.uri)]);
  $("map-section").hidden = false;
  stretch(points, $("map"));
  const numbers = data.clusters.map(([number]) => number);
  const names = data.clusters.map(([, name]) => name);
  const colours = data.clusters.map(([, , colour]) => colour);
  const pictured = Array.from(points.picture.keys()).filter((i) => points.picture[i] !== NO_PICTURE);
  const tip = makeTip(data, points, sheet, names, colours, pictured);
  let lit = null;

  const highlight = (place) => {
    lit = place;
    map.highlight(lit);
    $("map-clear").hidden = lit === null;
    if (lit !== null) $("map-clear").textContent = `Show all, not only ${names[lit]}`;
    document.querySelectorAll(".legend button").forEach((button) => {
      button.setAttribute("aria-pressed", String(Number(button.dataset.place) === lit));
    });
  };
  const open = (place) => {
    const card = $(`cluster-${numbers[place]}`);
    highlight(place);
    if (!card) return;
    document.documentElement.classList.add("drawn");
    history.replaceState(null, "", `#${card.id}`);
    document.querySelectorAll(".card.chosen").forEach((old) => old.classList.remove("chosen"));
    card.classList.add("chosen");
    card.scrollIntoView({ behavior: reducedMotion ? "auto" : "smooth", block: "center" });
  };

  const map = createMap($("map"), {
    ...points, colours, names,
    gentle: true,
    landmarks: await landmarks(points, numbers),
    onHover: (i, at) => tip.show(i, at),
    onLeave: () => tip.hide(),
    // A finger has no way to hover: its first tap shows the tip, whose button opens the card.
    onClick: (i, how) => (how.pointer === "mouse" ? open(points.cluster[i]) : tip.pin()),
  });
  $("map").addEventListener("pointerdown", (event) => {
    if (!$("map-tip").contains(event.target)) tip.drop();
  }, true);
  tip.onOpen = (i) => open(points.cluster[i]);
  $("map-in").addEventListener("click", () => map.zoom(1.6));
  $("map-out").addEventListener("click", () => map.zoom(1 / 1.6));
  $("map-reset").addEventListener("click", () => map.resetView());
  $("map-clear").addEventListener("click", () => highlight(null));
  showLegend(points, names, colours, (place) => highlight(place === lit ? null : place));
  document.querySelectorAll("[data-on-map]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      highlight(numbers.indexOf(Number(button.dataset.onMap)));
      $("map-section").scrollIntoView({ behavior: reducedMotion ? "auto" : "smooth" });
    });
  });
  document.documentElement.dataset.ready = "map";
}

// Distances on the map mean little, so it may fill a box of another shape, within reason.
function stretch(points, box) {
  const extent = (values) => {
    let [least, most] = [Infinity, -Infinity];
    for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
    return Math.max(most - least, 1);
  };
  const wanted = (box.clientWidth * extent(points.y)) / (box.clientHeight * extent(points.x));
  const factor = Math.min(Math.max(wanted, 1 / MOST_STRETCH), MOST_STRETCH);
  points.x = points.x.map((value) => value * factor);
}

// The picture and the words beside the pointer.
function makeTip(data, points, sheet, names, colours, pictured) {
  const box = $("map-tip");
  const canvas = box.querySelector("canvas");
  const [name, path, note] = ["name", "path", "note"].map((part) => box.querySelector(`.${part}`));
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = canvas.height = TIP * ratio;
  const picker = new Picker(Float32Array.from(pictured, (i) => points.x[i]), Float32Array.from(pictured, (i) => points.y[i]));
  let current = -1;
  let last = { x: 0, y: 0 };
  let pinned = 0;
  const tip = {
    onOpen: () => {},
    show(i, at) {
      if (i !== current) fill(i);
      box.hidden = false;
      box.classList.remove("pinned");
      tip.lay(at);
    },
    lay(at) {
      last = at;
      const room = $("map");
      const left = Math.min(Math.max(at.x - box.offsetWidth / 2, 6), room.clientWidth - box.offsetWidth - 6);
      const above = at.y - box.offsetHeight - 16;
      box.style.left = `${left}px`;
      box.style.top = `${above > 4 ? above : Math.min(at.y + 18, room.clientHeight - 60)}px`;
    },
    pin() {
      box.classList.add("pinned");
      pinned = performance.now();
      tip.lay(last);
    },
    drop() {
      box.classList.remove("pinned");
      box.hidden = true;
      current = -1;
    },
    hide() {
      if (!box.classList.contains("pinned")) box.hidden = true;
      current = box.hidden ? -1 : current;
    },
  };
  // The tap that brought the button must not press it.
  box.querySelector("button").addEventListener("click", () => {
    if (performance.now() - pinned > 400) tip.onOpen(current);
  });

  function fill(i) {
    current = i;
    let shown = i;
    if (points.picture[i] === NO_PICTURE && pictured.length) {
      shown = pictured[picker.nearest(points.x[i], points.y[i], 1e6)];
    }
    const place = points.cluster[i];
    name.textContent = names[place];
    name.style.setProperty("--c", colours[place]);
    path.textContent = points.paths[i] ?? `image ${i + 1}`;
    const gone = points.picture[i] === NO_PICTURE;
    note.textContent = !gone ? "" : shown !== i ? "no picture here: the nearest image that has one" : "no picture";
    canvas.hidden = !sheet;
    if (sheet) paint(points.picture[shown]);
  }

  function paint(cell) {
    const { side, columns, tiny } = data.sheet;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = !tiny;
    context.imageSmoothingQuality = "high";
    context.drawImage(
      sheet, (cell % columns) * side, Math.floor(cell / columns) * side, side, side,
      0, 0, canvas.width, canvas.height,
    );
  }
  return tip;
}

// The first typical picture of each card stands on the map, in the middle of its cluster.
async function landmarks(points, numbers) {
  const members = numbers.map(() => []);
  points.cluster.forEach((place, i) => members[place].push(i));
  const marks = numbers.map(async (number, place) => {
    const image = document.querySelector(`#cluster-${number} .typical img`);
    const rows = members[place];
    if (!image || !rows.length) return null;
    await image.decode().catch(() => null);
    if (!image.naturalWidth) return null;
    const median = (values) => rows.map((i) => values[i]).sort((a, b) => a - b)[rows.length >> 1];
    const [mx, my] = [median(points.x), median(points.y)];
    const distance = (i) => (points.x[i] - mx) ** 2 + (points.y[i] - my) ** 2;
    const middle = rows.reduce((best, i) => (distance(i) < distance(best) ? i : best), rows[0]);
    const tiny = image.classList.contains("tiny");
    return {
      cluster: place, x: points.x[middle], y: points.y[middle], size: rows.length,
      draw(context, px, py, side) {
        context.imageSmoothingEnabled = !tiny;
        context.drawImage(image, px, py, side, side);
      },
    };
  });
  return (await Promise.all(marks)).filter(Boolean).sort((a, b) => b.size - a.size);
}

function showLegend(points, names, colours, onPress) {
  if (names.length > 30) return;
  const counts = names.map(() => 0);
  points.cluster.forEach((place) => counts[place]++);
  const list = $("map-legend");
  names.forEach((name, place) => {
    if (!counts[place]) return;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.place = place;
    button.setAttribute("aria-pressed", "false");
    button.style.setProperty("--c", colours[place]);
    button.append(Object.assign(document.createElement("bdi"), { textContent: name }));
    button.addEventListener("click", () => onPress(place));
    list.append(Object.assign(document.createElement("li"), {}));
    list.lastElementChild.append(button);
  });
  list.hidden = false;
}

// --- cards, and pictures that stand in two places ------------------------------------------------

function sortCards() {
  const control = $("sort");
  if (!control) return;
  const grid = document.querySelector(".cards");
  const keys = {
    quality: (card) => -Number(card.dataset.quality),
    size: (card) => -Number(card.dataset.size),
    confidence: (card) => -Number(card.dataset.confidence),
  };
  const words = new Intl.Collator(undefined, { numeric: true });
  control.closest("label").hidden = false;
  control.addEventListener("change", () => {
    const key = keys[control.value];
    const name = (card) => card.querySelector("h3").textContent;
    const order = [...grid.children].sort((a, b) =>
      (key ? key(a) - key(b) : 0) || words.compare(name(a), name(b)));
    grid.append(...order);
  });
}

// Rows of the tree borrow the pictures of the cards: each is in the file once.
function fillBorrowed() {
  document.querySelectorAll("img[data-of]").forEach((image) => {
    const from = document.querySelector(`#cluster-${image.dataset.of} .typical img`);
    if (!from) return;
    image.src = from.src;
    image.classList.toggle("tiny", from.classList.contains("tiny"));
    image.hidden = false;
  });
}

// A card that was never on the screen has a guessed height; a jump over such cards would miss.
function jump(behavior = "auto") {
  if (!location.hash) return;
  document.documentElement.classList.add("drawn");
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView({ behavior });
}

sortCards();
fillBorrowed();
addEventListener("hashchange", () => jump());
showMap().catch((error) => {
  $("map-section").hidden = false;
  $("map").textContent = "This browser can't draw the map.";
  console.warn(error);
}).then(() => jump("instant")); // the map has moved what is below it
