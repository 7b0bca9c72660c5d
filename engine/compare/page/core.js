// What every part of the page uses: the report, names, pictures, and how elements are made.
// Text from people only ever becomes a text node or an attribute, never markup.
const $ = (id) => document.getElementById(id);
const report = JSON.parse($("report").textContent);
const images = JSON.parse($("images").textContent);
const BASE = [0, 0];
const state = { lean: startingLean(), picked: null, sort: { column: "checkpoint", down: false }, seed: "all", weights: false };

function make(space, name, attributes, children) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const el = (name, attributes, ...children) => make(null, name, attributes, children);
const svg = (name, attributes, ...children) => make("http://www.w3.org/2000/svg", name, attributes, children);

const same = (a, b) => Boolean(a && b && a[0] === b[0] && a[1] === b[1]);
const among = (at, list) => (list || []).some((other) => same(at, other));
const keyOf = (at) => `${at[0]}@${at[1]}`;
const atOf = (row) => [row.checkpoint, row.weight];
const sorted = (list) => [...list].sort((a, b) => a[0] - b[0] || Math.abs(a[1] - 1) - Math.abs(b[1] - 1));
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const listed = (texts) => (texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`);
const known = (value) => typeof value === "number" && Number.isFinite(value);
const minus = (text) => String(text).replace("-", "\u2212");
const round = (value, digits = 0) => {
  if (!known(value)) return "\u2013";
  const text = value.toFixed(digits);
  return minus(Number(text) === 0 ? text.replace("-", "") : text);
};
const signed = (value, digits = 0) => (known(value) && Number(value.toFixed(digits)) > 0 ? `+${round(value, digits)}` : round(value, digits));
// A range that does not hold its figure belongs to other prompts than the figure does.
const holds = (pair, value) => Boolean(pair && pair.every(known) && pair[0] <= value + 1e-9 && value <= pair[1] + 1e-9);
const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const pointRows = new Map(report.points.map((row) => [keyOf(atOf(row)), row]));
const promptRows = new Map(report.prompts.map((row) => [row.name, row]));
const checkpointRows = new Map(report.checkpoints.map((row) => [row.checkpoint, row]));
const pictureFiles = new Map(report.pictures.map((row) => [pictureKey(atOf(row), row.prompt, row.seed, row.hires), row.file]));

function pictureKey(at, prompt, seed, hires) {
  return JSON.stringify([at[0], at[1], prompt, seed, Boolean(hires)]);
}
const fileOf = (at, prompt, seed, hires = false) => pictureFiles.get(pictureKey(at, prompt, seed, hires));
const pointOf = (at) => pointRows.get(keyOf(at));

function nameOf(at) {
  if (at[0] === 0) return "the base";
  const name = checkpointRows.get(at[0])?.name || `epoch ${at[0]}`;
  return at[1] === 1 ? name : `${name} at weight ${at[1]}`;
}
// A name where a heading begins; a file's own name stays as it is.
const titleOf = (at) => (at[0] === 0 || /^epoch \d/.test(nameOf(at)) ? capital(nameOf(at)) : nameOf(at));
const shortName = (at) => (at[0] === 0 ? "base" : nameOf(at));

function startingLean() {
  const found = report.dial.findIndex((entry) => entry.lean === report.lean);
  return found >= 0 ? found : Math.floor(report.dial.length / 2);
}
const dialEntry = () => report.dial[state.lean] || null;
const decision = () => dialEntry()?.decision || report.decision;
const words = () => dialEntry()?.words || report.words;
const leanNow = () => dialEntry()?.lean ?? report.lean;

// The choice at the weight to use it at.
function recommended() {
  const entry = dialEntry();
  const weight = entry ? entry.weight : report.weight && atOf(report.weight);
  const choice = decision()?.choice;
  return weight && choice && weight[0] === choice[0] ? weight : choice;
}

function balanceOf(at) {
  const row = pointOf(at);
  const found = dialEntry()?.balances?.find((one) => one[0] === at[0] && one[1] === at[1]);
  if (found) return found[2];
  return leanNow() === report.lean ? row?.balance : null;
}

// What a point stands for, each with the shape the chart gives it.
function marksOf(at) {
  const now = decision();
  if (at[0] === 0) return [{ kind: "base", word: "untouched base" }];
  if (!now?.choice) return [];
  const marks = [];
  if (same(at, now.choice)) marks.push({ kind: "choice", word: "the choice" });
  if (same(at, now.last)) marks.push({ kind: "last", word: "the last" });
  if (same(at, now.likest)) marks.push({ kind: "likest", word: "the most photographic" });
  if (!same(at, now.choice) && same(at, recommended())) marks.push({ kind: "weight", word: "the weight to use" });
  return marks;
}

const SHAPES = {
  choice: "M12 .8l2.7 2.6 3.6-.9.9 3.6 3.6.9-.9 3.6 2 2.4-2.6 2.7.9 3.6-3.6.9-.9 3.6-3.6-.9L12 23.4l-2.7-2.6-3.6.9-.9-3.6-3.6-.9.9-3.6L0 12l2.6-2.7-.9-3.6 3.6-.9.9-3.6 3.6.9z",
  last: "M3 3h18v18H3z",
  likest: "M12 2l11 20H1z",
  base: "M12 3a9 9 0 1 0 .01 0zM12 7a5 5 0 1 1-.01 0z",
  weight: "M12 6a6 6 0 1 0 .01 0z",
};
const shape = (kind) =>
  svg("svg", { class: `shape ${kind}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: SHAPES[kind] }));
const markTags = (at) => marksOf(at).map((mark) => el("span", { class: `mark ${mark.kind}` }, shape(mark.kind), mark.word));

function figuresText(at) {
  const row = pointOf(at);
  if (!row) return "not measured";
  if (row.broken) return row.broken;
  const likeness = known(row.fidelity) ? `fidelity ${round(row.fidelity)}` : "fidelity unknown";
  return `${likeness}, flexibility ${round(row.flexibility)}`;
}

function describe(at, prompt, hires = false) {
  const row = promptRows.get(prompt);
  const text = row ? (at[0] === 0 ? row.plain : row.drawn) : prompt;
  return `${titleOf(at)}${hires ? " with the high-res fix" : ""}: ${text}`;
}

// An <img> of a file of the comparison; what could not be read is a box that says so.
function picture(file, alt, options = {}) {
  const found = file && images[file];
  if (!found) return el("span", { class: "none", role: "img", "aria-label": `${alt} (${file ? "not readable" : "not drawn"})` }, file ? "?" : "\u00b7");
  const image = el("img", {
    src: found.src, alt, width: found.width, height: found.height, decoding: "async",
    loading: options.eager ? null : "lazy", class: Math.max(found.width, found.height) < 160 ? "tiny" : null,
  });
  if (options.full && found.full) {
    image.addEventListener("error", () => { image.src = found.src; }, { once: true });
    image.src = found.full;
  }
  return image;
}

// A picture that opens the closer look.
function pictureButton(at, prompt, seed, options = {}) {
  const alt = `${describe(at, prompt, options.hires)}, seed ${seed}`;
  const button = el("button", { type: "button", class: "look", onclick: () => openZoom(at, prompt, seed, options.hires) },
    picture(fileOf(at, prompt, seed, options.hires), alt));
  attachTip(button, () => [describe(at, prompt, options.hires), `seed ${seed} \u00b7 ${figuresText(at)}`]);
  return button;
}

// The little box that follows the pointer or the focus.
function attachTip(target, lines) {
  const show = () => {
    const [first, ...rest] = lines();
    $("tip").replaceChildren(el("b", {}, first), ...rest.map((line) => el("span", {}, line)));
    $("tip").hidden = false;
    const box = target.getBoundingClientRect(), tip = $("tip").getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.width / 2, innerWidth - tip.width - 8));
    const above = box.top - tip.height - 8;
    $("tip").style.left = `${left}px`;
    $("tip").style.top = `${above > 4 ? above : box.bottom + 8}px`;
  };
  const hide = () => { $("tip").hidden = true; };
  target.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") show(); });
  target.addEventListener("pointerleave", hide);
  target.addEventListener("focus", () => { if (target.matches(":focus-visible")) show(); });
  target.addEventListener("blur", hide);
}

// Prompts and seeds in the order of the prompt set; only those that something was drawn for.
const slots = (() => {
  const order = new Map(report.prompts.map((row, at) => [row.name, at]));
  const found = new Map();
  for (const row of report.pictures) found.set(JSON.stringify([row.prompt, row.seed]), { prompt: row.prompt, seed: row.seed });
  return [...found.values()].sort((a, b) => (order.get(a.prompt) ?? 1e9) - (order.get(b.prompt) ?? 1e9) || a.seed - b.seed);
})();

// Every point with pictures or figures, the base first; within a checkpoint the full weight first.
const allPoints = (() => {
  const found = new Map();
  for (const row of [...report.pictures, ...report.points]) found.set(keyOf(atOf(row)), atOf(row));
  for (const row of report.checkpoints) if (![...found.values()].some((at) => at[0] === row.checkpoint)) found.set(keyOf([row.checkpoint, 1]), [row.checkpoint, 1]);
  return sorted(found.values());
})();
const usualWeight = (k) => allPoints.find((at) => at[0] === k)?.[1] ?? 1;
