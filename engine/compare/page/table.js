// The figures of every point, sortable.
const PART_NAMES = report.part_names;

function bar(value) {
  const made = el("span", { class: "bar" }, el("i", {}), el("b", {}, round(value)));
  made.firstChild.style.width = `${Math.max(0, Math.min(100, value))}%`;
  return made;
}

const GATES = { undertrained: "not learnt", copying: "copies", bleeding: "bleeds", broken: "broken" };
function statusTags(at) {
  const row = pointOf(at), made = [], about = checkpointRows.get(at[0]);
  if (row?.broken) made.push(el("span", { class: "tag bad" }, row.broken));
  for (const gate of row?.ruled_out || []) if (!(gate === "broken" && row.broken)) made.push(el("span", { class: "tag" }, `ruled out: ${GATES[gate] || gate}`));
  if (at[0] > 0 && about?.problem) made.push(el("span", { class: "tag bad" }, about.problem));
  if (at[0] > 0 && known(about?.twin_of)) made.push(el("span", { class: "tag" }, `twin of ${nameOf([about.twin_of, 1])}, not drawn again`));
  if (at[0] > 0 && about && about.survivor === false && row) made.push(el("span", { class: "tag" }, "only the first pictures"));
  if (decision()?.equals?.length > 1 && among(at, decision().equals) && !same(at, decision().choice)) made.push(el("span", { class: "tag" }, "an equal"));
  return made;
}

const share = (value) => (known(value) ? 100 * value : null);
const heldOut = (value) => (known(value) ? 100 * (Math.exp(value) - 1) : null);
const partValue = (part) => (row) => row.point?.parts?.[part] ?? null;
const withRange = (value, pair) => el("span", { class: "figure" }, el("b", {}, round(value)),
  holds(pair, value) && pair[0] !== pair[1] ? el("small", {}, `${round(pair[0])} to ${round(pair[1])}`) : null);

const SHORT = { prompt: "Prompt", style: "Style", diversity: "Variety", copying: "No copies", bleed: "No bleed" };
const COLUMNS = [
  { id: "checkpoint", title: "LoRA", about: "in the order of training", value: (row) => row.at[0] + Math.abs(row.at[1] - 1) / 1000 },
  { id: "fidelity", title: "Fidelity", about: "0 the base, 100 the photographs", value: (row) => row.point?.fidelity, show: (row) => withRange(row.point.fidelity, row.point.fidelity_range) },
  { id: "flexibility", title: "Flexibility", about: "100 the base", value: (row) => row.point?.flexibility, show: (row) => withRange(row.point.flexibility, row.point.flexibility_range) },
  { id: "balance", title: "Balance", about: "of both, as the dial stands", value: (row) => balanceOf(row.at), show: (row, value) => bar(value) },
  { id: "chance", title: "Chance", about: "of being the best", value: (row) => (leanNow() === report.lean ? share(row.point?.chance) : null), show: (row, value) => `${round(value)} %` },
  ...Object.entries(PART_NAMES).map(([part, name]) => ({ id: part, title: SHORT[part] || capital(name), about: `part of flexibility: ${name}`, value: partValue(part), show: (row, value) => bar(value) })),
  { id: "copied", title: "Copies", about: "pictures of new prompts", value: (row) => row.point?.copied },
  { id: "photo_leak", title: "Photo leak", about: "points more \u201cphoto\u201d than the base where another medium was asked for", value: (row) => row.point?.photo_leak, show: (row, value) => signed(value) },
  { id: "recalled", title: "By heart", about: "captions answered by a copy, %", value: (row) => share(row.point?.recalled) },
  { id: "drift", title: "Drift", about: "of pictures without the trigger", value: (row) => row.point?.drift, show: (row, value) => round(value, Math.abs(value) < 2 ? 2 : 0) },
  { id: "held_out", title: "Held-out loss", about: "against the base, %", value: (row) => heldOut(checkpointRows.get(row.at[0])?.held_out), show: (row, value) => signed(value, 1) },
];

function renderTable() {
  const rows = allPoints.map((at) => ({ at, point: pointOf(at) }));
  $("table-section").hidden = !report.points.length && !report.checkpoints.length;
  const columns = COLUMNS.filter((column) => column.id === "checkpoint" || rows.some((row) => known(column.value(row))));
  const { column: wanted, down } = state.sort;
  const by = columns.find((column) => column.id === wanted) || columns[0];
  rows.sort((a, b) => {
    const [x, y] = [by.value(a), by.value(b)];
    if (!known(x) || !known(y)) return Number(known(y)) - Number(known(x)) || a.at[0] - b.at[0];
    return (down ? y - x : x - y) || a.at[0] - b.at[0];
  });
  const head = el("tr", {}, columns.map((column) => el("th", { scope: "col", class: column.id, "aria-sort": column === by ? (down ? "descending" : "ascending") : null },
    el("button", { type: "button", title: column.about, "data-column": column.id, onclick: () => sortBy(column.id) }, column.title,
      el("span", { class: "arrow", "aria-hidden": "true" }, column === by ? (down ? "\u25bc" : "\u25b2") : "")))));
  const body = rows.map((row) => el("tr", { class: marksOf(row.at)[0]?.kind || null, "data-at": keyOf(row.at) },
    columns.map((column) => (column.id === "checkpoint" ? nameCell(row.at) : figureCell(column, row)))));
  $("figures").replaceChildren(el("thead", {}, head), el("tbody", {}, body));
}

function nameCell(at) {
  const name = at[0] > 0 && !report.run && !/^epoch \d+$/.test(nameOf([at[0], 1])) ? `${at[0]} \u00b7 ${nameOf(at)}` : titleOf(at);
  return el("th", { scope: "row" }, el("span", { class: "name" }, name), el("span", { class: "marks" }, markTags(at).slice(0, at[0] ? 3 : 0), statusTags(at)));
}

function figureCell(column, row) {
  const value = column.value(row);
  return el("td", { class: column.id }, !known(value) ? "\u2013" : column.show ? column.show(row, value) : round(value));
}

function sortBy(id) {
  const first = id !== "checkpoint" && !["copied", "photo_leak", "recalled", "drift", "held_out"].includes(id);
  state.sort = { column: id, down: state.sort.column === id ? !state.sort.down : first };
  renderTable();
  $("figures").querySelector(`[data-column="${id}"]`).focus();
}
