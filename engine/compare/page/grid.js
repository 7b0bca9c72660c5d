// All pictures: prompts and seeds down, checkpoints across, the base first.
const FAMILIES = { identity: "The subject itself", context: "Somewhere new", action: "Doing something", style: "In another medium", attribute: "One thing changed", composition: "Beside others", class: "The class word without the trigger", unrelated: "Neither trigger nor class", recall: "Training captions, word for word" };

function gridColumns() {
  const withPictures = new Set(report.pictures.map((row) => keyOf(atOf(row))));
  const weight = recommended();
  return allPoints.filter((at) => at[0] === 0 || at[1] === usualWeight(at[0]) || (withPictures.has(keyOf(at)) && (state.weights || same(at, weight))));
}
const gridSlots = () => slots.filter((slot) => state.seed === "all" || slot.seed === state.seed);

function renderGridTools() {
  const seeds = [...new Set(slots.map((slot) => slot.seed))].sort((a, b) => a - b);
  const tools = [];
  if (seeds.length > 1) tools.push(el("label", {}, "Seed ", el("select", { id: "seed", onchange: (event) => { state.seed = event.target.value === "all" ? "all" : Number(event.target.value); renderGrid(); } },
    el("option", { value: "all" }, "all"), seeds.map((seed) => el("option", { value: seed }, seed)))));
  tools.push(el("label", {}, "Size ", el("input", { type: "range", id: "size", min: 56, max: 260, value: innerWidth < 600 ? 84 : 112, "aria-label": "Size of the pictures", oninput: resize })));
  if (allPoints.some((at) => at[0] > 0 && at[1] !== usualWeight(at[0])))
    tools.push(el("label", {}, el("input", { type: "checkbox", onchange: (event) => { state.weights = event.target.checked; renderGrid(); } }), " other weights"));
  $("grid-tools").replaceChildren(...tools);
  resize();
}
const resize = () => $("grid").style.setProperty("--cell", `${$("size").value}px`);

function renderGrid() {
  $("grid-section").hidden = !slots.length;
  const columns = gridColumns();
  const head = el("tr", {}, el("th", { scope: "col", class: "corner" }, el("span", { class: "unseen" }, "Seed")), columns.map((at) => el("th", { scope: "col", class: marksOf(at)[0]?.kind || null },
    el("span", { class: "name" }, (at[0] === 0 ? "Base" : titleOf(at))),
    el("span", { class: "marks" }, at[0] === 0 ? [] : markTags(at)),
    el("small", {}, pointOf(at) && known(pointOf(at).fidelity) ? `${round(pointOf(at).fidelity)} / ${round(pointOf(at).flexibility)}` : ""))));
  const bodies = [];
  let family = null, prompt = null, rows = null;
  for (const slot of gridSlots()) {
    const about = promptRows.get(slot.prompt);
    if (slot.prompt !== prompt) {
      rows = [el("tr", { class: "prompt" }, el("th", { scope: "rowgroup", colspan: columns.length + 1 }, el("div", {},
        about?.family !== family ? el("span", { class: "family" }, FAMILIES[about?.family] || about?.family || "") : null,
        el("q", {}, about?.drawn ?? slot.prompt))))];
      bodies.push(rows);
      prompt = slot.prompt;
      family = about?.family;
    }
    rows.push(el("tr", {}, el("th", { scope: "row", class: "seed", title: `seed ${slot.seed}` }, slot.seed), columns.map((at) => gridCell(at, slot))));
  }
  $("grid").replaceChildren(el("caption", { class: "unseen" }, "Pictures by prompt and seed (rows) and checkpoint (columns); below each name fidelity / flexibility"),
    el("thead", {}, head), ...bodies.map((one) => el("tbody", {}, one)));
  const first = $("grid").querySelector("button.look");
  if (first) first.tabIndex = 0;
}

function gridCell(at, slot) {
  const kind = marksOf(at)[0]?.kind;
  if (!fileOf(at, slot.prompt, slot.seed)) return el("td", { class: kind || null }, el("span", { class: "none", title: "not drawn" }, el("span", { class: "unseen" }, "not drawn"), el("i", { "aria-hidden": "true" }, "\u00b7")));
  const button = pictureButton(at, slot.prompt, slot.seed);
  button.tabIndex = -1;
  button.dataset.cell = pictureKey(at, slot.prompt, slot.seed);
  const fixed = fileOf(at, slot.prompt, slot.seed, true) ? el("span", { class: "fixed", title: "also with the high-res fix" }, "HR") : null;
  return el("td", { class: kind || null }, button, fixed);
}

function gridKey(event) {
  const cell = event.target.closest("td");
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-1e4, 0], End: [1e4, 0] }[event.key];
  if (!cell || !move || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const rows = [...$("grid").querySelectorAll("tbody tr:not(.prompt)")];
  let down = rows.indexOf(cell.parentElement), across = [...cell.parentElement.cells].indexOf(cell);
  for (let tries = 0; tries < rows.length + 60; tries++) {
    down += move[1];
    across += Math.abs(move[0]) > 1 ? 0 : move[0];
    if (Math.abs(move[0]) > 1) across = tries ? across - Math.sign(move[0]) : move[0] < 0 ? 1 : rows[down].cells.length - 1;
    const next = rows[down]?.cells[across];
    if (!next || across < 1) return;
    const button = next.querySelector("button.look");
    if (button) return focusCell(button);
  }
}

function focusCell(button) {
  $("grid").querySelectorAll("button.look[tabindex='0']").forEach((one) => { one.tabIndex = -1; });
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest", inline: "nearest" });
}
