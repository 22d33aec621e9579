// What a refit would change, looked through before it counts.

import { post } from "./api.js";
import { ask } from "./dialogs.js";
import { byId, count, make, percent, say } from "./dom.js";
import { face } from "./sidebar.js";
import { store } from "./store.js";

const SHOWN = 300;

export async function refit() {
  const button = byId("refit");
  if (button.disabled) return;
  button.disabled = true;
  const { mark } = store.state;
  say("Learning from the clusters as they are now …");
  let found;
  try {
    found = await post("refit");
  } catch (error) {
    say(error.message, true);
    return;
  } finally {
    button.disabled = Boolean(store.state.read_only);
  }
  if (mark !== store.state.mark) return; // fitted again meanwhile
  if (!found.rows.length) {
    say("The refit would change nothing: every image is where the head would put it.");
    return;
  }
  const left = await choose(found);
  if (!left) return;
  await store.act("refit/apply", { version: found.version, rows: left }, `${count(left.length)} moved by the refit; undo takes all back`);
}

/** Asks which changes to make: rows, or null. */
function choose(found) {
  const wanted = new Set(found.rows);
  const total = make("strong", { aria: { live: "polite" } });
  const tell = () => { total.textContent = count(wanted.size); };
  tell();
  const name = (id) => store.cluster(id)?.name ?? String(id);
  const lines = found.rows.slice(0, SHOWN).map((row, i) => {
    const box = make("input", { type: "checkbox", checked: true, aria: { label: `from ${name(found.before[i])} to ${name(found.after[i])}, ${percent(found.confidence[i])}` } });
    box.addEventListener("change", () => { box.checked ? wanted.add(row) : wanted.delete(row); tell(); });
    return make("label", { class: "change" }, box, face(row),
      make("span", { class: "words" }, make("span", { class: "from" }, name(found.before[i])), " → ", make("strong", {}, name(found.after[i]))),
      make("span", { class: "size" }, percent(found.confidence[i])));
  });
  const learned = found.learned_from
    ? `Learned from all clusters, and above all from ${count(found.learned_from)} placed by hand, which stay.`
    : "No image was placed by hand yet, so this only tidies: move some images first to teach it more.";
  const more = found.rows.length > SHOWN ? make("p", { class: "hint" }, `The surest ${SHOWN} are shown; ${count(found.rows.length - SHOWN)} more go with them.`) : null;
  const body = [make("p", {}, total, " would change cluster, surest first. Take the tick from those that should stay."), make("p", { class: "hint" }, learned),
    make("div", { class: "changes" }, ...lines), ...(more ? [more] : [])];
  return ask("Refit", body, "Apply", () => (wanted.size ? [...wanted] : null));
}
