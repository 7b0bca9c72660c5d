// Fidelity against flexibility, drawn to the width there is.
function renderChart() {
  const rows = report.points.filter((row) => row.checkpoint > 0 && known(row.fidelity) && known(row.flexibility));
  const section = $("chart-section");
  section.hidden = !rows.length;
  if (!rows.length) return;
  const width = Math.max(280, $("chart").clientWidth || 720);
  const scale = scales(rows, width);
  const parts = [frame(scale), balanceLines(scale), path(rows, scale), front(scale), ranges(rows, scale)];
  const alone = (row) => rows.every((other) => other === row || Math.hypot(scale.x(other.fidelity) - scale.x(row.fidelity), scale.y(other.flexibility) - scale.y(row.flexibility)) > 30);
  const order = [...rows].sort((a, b) => marksOf(atOf(a)).length - marksOf(atOf(b)).length || a.checkpoint - b.checkpoint);
  const dots = order.map((row) => dot(row, scale, alone(row)));
  parts.push(svg("g", { class: "base-point" }, svg("circle", { cx: scale.x(0), cy: scale.y(100), r: 6 })), ...dots, labels(rows, scale));
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${scale.height}`, width, height: scale.height, role: "group" }, ...parts);
  $("chart").replaceChildren(drawing, legend(rows));
  showCard(state.picked || recommended() || atOf(rows[0]));
}

function scales(rows, width) {
  const narrow = width < 520;
  const height = Math.round(Math.min(600, Math.max(340, width * 0.68)));
  const place = { left: narrow ? 38 : 52, right: width - (narrow ? 10 : 18), top: 20, bottom: height - 46 };
  const reach = (key) => rows.flatMap((row) => [row[key], ...(row[`${key}_range`] || [])]).filter(known);
  const likeness = [0, 100, ...reach("fidelity")], freedom = [100, ...reach("flexibility")];
  const lowX = Math.min(...likeness) - 6, highX = Math.max(...likeness) + 5;
  const lowY = Math.max(-5, Math.min(Math.floor((Math.min(...freedom) - 6) / 10) * 10, 60)), highY = Math.max(...freedom) + 5;
  return {
    ...place, width, height, narrow, lowX, highX, lowY, highY,
    x: (value) => place.left + ((value - lowX) / (highX - lowX)) * (place.right - place.left),
    y: (value) => place.bottom - ((value - lowY) / (highY - lowY)) * (place.bottom - place.top),
  };
}

function frame(scale) {
  const step = scale.narrow ? 50 : 20;
  const made = [];
  for (let value = Math.ceil(scale.lowY / 10) * 10; value <= Math.min(100, scale.highY); value += scale.narrow ? 20 : 10) {
    made.push(svg("line", { class: value === 100 ? "level" : "rule", x1: scale.left, x2: scale.right, y1: scale.y(value), y2: scale.y(value) }),
      svg("text", { class: "tick", x: scale.left - 8, y: scale.y(value) + 4, "text-anchor": "end" }, minus(value)));
  }
  for (let value = Math.ceil(scale.lowX / step) * step; value <= scale.highX; value += step)
    made.push(svg("line", { class: "notch", x1: scale.x(value), x2: scale.x(value), y1: scale.bottom, y2: scale.bottom + 5 }),
      svg("text", { class: "tick", x: scale.x(value), y: scale.bottom + 19, "text-anchor": "middle" }, minus(value)));
  made.push(
    svg("line", { class: "axis", x1: scale.left, x2: scale.right, y1: scale.bottom, y2: scale.bottom }),
    svg("line", { class: "real", x1: scale.x(100), x2: scale.x(100), y1: scale.top - 6, y2: scale.bottom }),
    svg("text", { class: "real-name", x: scale.x(100) - 7, y: scale.bottom - 10, "text-anchor": "end" }, "real photographs"),
    svg("text", { class: "axis-name", x: scale.right, y: scale.bottom + 38, "text-anchor": "end" }, "Fidelity: like the photographs \u2192"),
    svg("text", { class: "axis-name", x: scale.left, y: 11 }, "\u2191 Flexibility: does what the prompt says"));
  return svg("g", { "aria-hidden": "true" }, ...made);
}

// Where the balance that is decided on is the same; the dial bends these lines.
function balanceLines(scale) {
  const lean = leanNow() ** 2, made = [];
  for (const level of [30, 50, 60, 70, 80, 90]) {
    const points = [];
    for (let f = Math.max(scale.lowX, level / (1 + lean) + 0.2); f <= Math.min(scale.highX, 100); f += 0.5) {
      const x = (level * lean * f) / ((1 + lean) * f - level);
      if (x > 0 && x <= 100 && x >= scale.lowY) points.push([scale.x(f), scale.y(x)]);
    }
    if (points.length < 8) continue;
    const end = points.at(-1);
    const named = end[0] > scale.x(Math.min(scale.highX, 100)) - 4;
    made.push(svg("path", { class: "contour", d: `M${points.map((p) => p.map((v) => v.toFixed(1)).join(" ")).join("L")}` }),
      named ? svg("text", { class: "contour-name", x: end[0] + 4, y: end[1] + 4 }, level) : svg("g", {}));
  }
  return svg("g", { "aria-hidden": "true" }, ...made);
}

function path(rows, scale) {
  const usual = rows.filter((row) => row.weight === usualWeight(row.checkpoint)).sort((a, b) => a.checkpoint - b.checkpoint);
  const steps = [[scale.x(0), scale.y(100)], ...usual.map((row) => [scale.x(row.fidelity), scale.y(row.flexibility)])];
  const order = report.run ? [svg("path", { class: "way", d: `M${steps.map((p) => p.join(" ")).join("L")}` })] : [];
  const strings = rows.filter((row) => row.weight !== usualWeight(row.checkpoint)).map((row) => {
    const whole = pointOf([row.checkpoint, usualWeight(row.checkpoint)]);
    return known(whole?.fidelity) && svg("line", { class: "string", x1: scale.x(row.fidelity), y1: scale.y(row.flexibility), x2: scale.x(whole.fidelity), y2: scale.y(whole.flexibility) });
  });
  return svg("g", { "aria-hidden": "true" }, ...order, ...strings.filter(Boolean));
}

function front(scale) {
  const held = (decision()?.front || []).map(pointOf).filter((row) => row && known(row.fidelity) && known(row.flexibility)).sort((a, b) => a.fidelity - b.fidelity);
  if (held.length < 2) return svg("g", {});
  return svg("path", { class: "front", "aria-hidden": "true", d: `M${held.map((row) => `${scale.x(row.fidelity)} ${scale.y(row.flexibility)}`).join("L")}` });
}

function ranges(rows, scale) {
  const lines = rows.filter((row) => row.weight === usualWeight(row.checkpoint)).flatMap((row) => {
    const kind = marksOf(atOf(row))[0]?.kind || "", x = scale.x(row.fidelity), y = scale.y(row.flexibility);
    const [left, right] = row.fidelity_range || [], [low, high] = row.flexibility_range || [];
    return [
      known(left) && known(right) && svg("line", { class: `range ${kind}`, x1: scale.x(left), x2: scale.x(right), y1: y, y2: y }),
      known(low) && known(high) && svg("line", { class: `range ${kind}`, x1: x, x2: x, y1: scale.y(Math.max(low, scale.lowY)), y2: scale.y(high) }),
    ].filter(Boolean);
  });
  return svg("g", { "aria-hidden": "true" }, ...lines);
}

function dot(row, scale, alone) {
  const at = atOf(row), marks = marksOf(at), kind = marks[0]?.kind || "plain", now = decision();
  const x = scale.x(row.fidelity), y = scale.y(row.flexibility), small = row.weight !== usualWeight(row.checkpoint);
  const classes = ["dot", kind, among(at, now?.equals) && "equal", row.broken && "broken", row.ruled_out?.length && "out", small && "small"].filter(Boolean);
  const size = kind === "choice" ? 34 : small ? 15 : 24;
  const figure = SHAPES[kind] && kind !== "weight"
    ? svg("path", { d: SHAPES[kind], transform: `translate(${x - size / 2} ${y - size / 2 - (kind === "likest" ? 2 : 0)}) scale(${size / 24})` })
    : svg("circle", { cx: x, cy: y, r: small ? 7 : 11 });
  const name = [titleOf(at), figuresText(at), ...marks.map((mark) => mark.word)].join(", ");
  return svg("g", { class: classes.join(" "), tabindex: 0, role: "button", "aria-label": name, "data-at": keyOf(at),
    onpointerenter: () => showCard(at), onfocus: () => showCard(at),
    onpointerleave: () => showCard(state.picked || recommended() || at),
    onclick: () => { state.picked = at; showCard(at); },
    onkeydown: (event) => chartKey(event, at) },
    svg("circle", { class: "halo", cx: x, cy: y, r: size / 2 + 4 }), figure,
    svg("text", { x, y: y + (small ? 19 : kind === "likest" ? 7 : 4), "text-anchor": "middle" }, !small ? row.checkpoint : alone ? `\u00d7${row.weight}` : ""));
}

function chartKey(event, at) {
  const order = sorted(report.points.filter((row) => row.checkpoint > 0 && known(row.fidelity)).map(atOf));
  const here = order.findIndex((one) => same(one, at));
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step && order[here + step]) {
    event.preventDefault();
    $("chart").querySelector(`[data-at="${keyOf(order[here + step])}"]`)?.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    state.picked = at;
    const cell = cardSlots(at)[0];
    if (cell) openZoom(at, cell.prompt, cell.seed);
  }
}

// Words beside the points that matter, each where it covers nothing.
function labels(rows, scale) {
  const taken = rows.map((row) => box(scale.x(row.fidelity) - 11, scale.y(row.flexibility) - 11, 22, 22));
  // Below a small dot stands its weight.
  for (const row of rows) if (row.weight !== usualWeight(row.checkpoint)) taken.push(box(scale.x(row.fidelity) - 16, scale.y(row.flexibility) + 8, 32, 15));
  taken.push(box(scale.x(100) - 122, scale.bottom - 24, 122, 20));
  const wanted = rows.filter((row) => marksOf(atOf(row)).length).map((row) => ({ x: scale.x(row.fidelity), y: scale.y(row.flexibility),
    kind: marksOf(atOf(row))[0].kind, text: `${row.weight === usualWeight(row.checkpoint) ? "" : `weight ${row.weight}: `}${listed(marksOf(atOf(row)).map((mark) => mark.word))}${hiddenBy(row, rows, scale)}` }));
  wanted.unshift({ x: scale.x(0), y: scale.y(100), kind: "base", text: "untouched base" });
  const made = wanted.map((label) => {
    const wide = label.text.length * 7.4 + 12;
    const places = [0, 25, -27, 43, -45, 61, -63, 79, -81].flatMap((down) => {
      const y = label.y - 9 + down;
      return [[label.x + 22, y], [label.x - 22 - wide, y], ...(down ? [[label.x - wide / 2, y], [scale.right - wide, y]] : [])];
    });
    const inside = places.filter(([x, y]) => x > scale.left + 2 && x + wide < scale.right + 8 && y > 0 && y + 18 < scale.bottom);
    const [x, y] = inside.find(([px, py]) => !taken.some((one) => overlap(one, box(px, py, wide, 18)))) || inside[0] || places[0];
    taken.push(box(x, y, wide, 18));
    return svg("text", { class: `label ${label.kind}`, x: x + 2, y: y + 14 }, label.text);
  });
  return svg("g", { "aria-hidden": "true" }, ...made);
}
// The numbers that the choice covers on the chart.
function hiddenBy(row, rows, scale) {
  if (!same(atOf(row), decision()?.choice)) return "";
  const near = rows.filter((other) => other !== row && other.weight === usualWeight(other.checkpoint)
    && Math.hypot(scale.x(other.fidelity) - scale.x(row.fidelity), scale.y(other.flexibility) - scale.y(row.flexibility)) < 17);
  return near.length ? `, beside ${listed(near.map((other) => String(other.checkpoint)))}` : "";
}
const box = (x, y, width, height) => ({ x, y, width, height });
const overlap = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

function legend(rows) {
  const entries = [];
  const line = (kind) => svg("svg", { class: `key ${kind}`, viewBox: "0 0 26 10", "aria-hidden": "true" }, svg("line", { class: kind, x1: 0, x2: 26, y1: 5, y2: 5 }));
  if ((decision()?.front || []).length > 1) entries.push(el("span", {}, line("front"), "front: nothing beats these on both"));
  if (report.run && rows.length > 1) entries.push(el("span", {}, line("way"), "epoch after epoch"));
  entries.push(el("span", {}, line("range"), "68 % with other prompts"), el("span", {}, line("contour"), "equal balance (30 to 90)"));
  if ((decision()?.equals || []).length > 1) entries.push(el("span", {}, el("i", { class: "ring" }), "cannot be told from the best"));
  if (rows.some((row) => row.ruled_out?.length)) entries.push(el("span", {}, el("i", { class: "ring out" }), "ruled out"));
  if (rows.some((row) => row.weight !== usualWeight(row.checkpoint))) entries.push(el("span", {}, el("i", { class: "ring small" }), "at another weight"));
  return el("figcaption", { class: "legend" }, entries);
}

const cardSlots = (at) => {
  const own = slots.filter((slot) => fileOf(at, slot.prompt, slot.seed));
  const found = [];
  for (const family of ["identity", "context", "style", "action", "class"]) {
    const slot = own.find((one) => promptRows.get(one.prompt)?.family === family);
    if (slot) found.push(slot);
  }
  return [...new Set([...found, ...own])].slice(0, 4);
};

function showCard(at) {
  const row = pointOf(at);
  if (!row || $("card").dataset.at === `${keyOf(at)} ${state.lean}`) return;
  $("card").dataset.at = `${keyOf(at)} ${state.lean}`;
  const range = (pair, value) => (holds(pair, value) ? ` (${round(pair[0])} to ${round(pair[1])})` : "");
  const rows = [["Fidelity", `${round(row.fidelity)}${range(row.fidelity_range, row.fidelity)}`], ["Flexibility", `${round(row.flexibility)}${range(row.flexibility_range, row.flexibility)}`],
    ["Balance", round(balanceOf(at))], ["Chance of being best", leanNow() === report.lean && known(row.chance) ? `${round(100 * row.chance)} %` : "\u2013"]];
  $("card").replaceChildren(
    el("h3", {}, titleOf(at)), el("p", { class: "marks" }, markTags(at), statusTags(at)),
    el("table", { class: "mini" }, el("tbody", {}, rows.map(([term, value]) => el("tr", {}, el("th", { scope: "row" }, term), el("td", {}, value))))),
    el("div", { class: "bars" }, Object.keys(PART_NAMES).filter((part) => known(row.parts?.[part])).map((part) => el("div", {}, el("span", {}, PART_NAMES[part]), bar(row.parts[part])))),
    el("div", { class: "evidence" }, cardSlots(at).map((slot) => pictureButton(at, slot.prompt, slot.seed))));
}
