// Questions to the server. A refusal becomes an Error with a sentence for the person.

// What the page shows: rows and clusters mean something within one fit only.
let mark = "";
export const setMark = (text) => { mark = text; };

async function answered(response) {
  if (response.ok) return response;
  if (response.status === 410) document.dispatchEvent(new Event("outdated")); // of another fit now
  const text = await response.text();
  let sentence = text;
  try {
    sentence = JSON.parse(text).error;
  } catch { /* plain text */ }
  throw new Error(sentence || `the server answered ${response.status}`);
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server doesn't answer: start headlight explore again. No edit is lost.");
  }
  return answered(response);
}

const marked = (path) => `${path}${path.includes("?") ? "&" : "?"}mark=${mark}`;

export const getJson = async (path, options) => (await asked(marked(path), options)).json();
export const getBytes = async (path, options) => (await asked(marked(path), options)).arrayBuffer();
export const getRows = async (path, options) => new Int32Array(await getBytes(path, options));

let last = Promise.resolve();

/** Sends something that may change the run; one after another, in the order they were asked for. */
export function post(name, body = {}) {
  const given = { mark, ...body }; // of now, not of when it is sent
  const send = async () => (await asked(`api/${name}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(given),
  })).json();
  const result = last.then(send, send);
  last = result.catch(() => {});
  return result;
}
