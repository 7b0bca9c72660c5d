// The choice in words, what it stands beside, and the dial.
const LEANS = ["Fidelity first", "More fidelity", "Balanced", "More flexibility", "Flexibility first"];

function headline() {
  const now = decision();
  if (!now) {
    if (report.state === "drawing") return "Still drawing";
    return report.state === "stopped" ? "Stopped before there was a choice" : "Not measured";
  }
  if (!now.choice) return "No number can choose here: look at the pictures";
  const name = nameOf(recommended());
  if (report.checkpoints.length === 1) return `${titleOf(recommended())} is the only one there is`;
  if (report.state !== "done") return `So far, ${name}`;
  if (now.sureness === "clear") return `Take ${name}`;
  return now.sureness === "leaning" ? `Probably ${name}` : `Too close to call. If in doubt, ${name}`;
}

function renderChoice() {
  const now = decision();
  const settings = report.settings;
  const kicker = [report.name, report.trigger && `\u201c${report.trigger}\u201d`, report.kind,
    counted(report.checkpoints.length, "checkpoint"), counted(report.prompts.length, "prompt"),
    counted(settings.seeds.length, "seed")].filter(Boolean);
  $("kicker").textContent = kicker.join(" \u00b7 ");
  $("headline").textContent = headline();
  $("standfirst").textContent = words()[0]?.text || unfinished();
  $("first-evidence").replaceChildren(...evidence(words()[0]));
  $("banner").replaceChildren(...banners());
  renderFacts(now);
  renderDial();
  renderAbreast(now);
  renderWords();
}

function unfinished() {
  if (report.state === "done") return "Nothing was measured, so there is nothing to say but what the pictures show.";
  return `${report.drawn} of ${report.planned} pictures are drawn. What is there can be looked at below.`;
}

function banners() {
  const made = [];
  if (report.state !== "done") {
    const stage = report.stage ? ` (${report.stage})` : "";
    const what = report.state === "drawing" ? "Drawing goes on" : "Drawing was stopped; the same command goes on";
    made.push(el("div", { class: "banner" },
      el("p", {}, `${what}: ${report.drawn} of ${report.planned} pictures${stage}. This page shows how it stood when it was written.`),
      el("progress", { max: Math.max(report.planned, 1), value: report.drawn, "aria-label": "Pictures drawn" })));
  }
  if (report.chosen) {
    const at = [report.chosen.checkpoint, usualWeight(report.chosen.checkpoint)];
    made.push(el("div", { class: "banner chosen" }, el("p", {},
      `You made ${nameOf([at[0], 1])} your LoRA, at weight ${report.chosen.weight}: `, el("code", {}, report.chosen.file))));
  }
  return made;
}

function renderFacts(now) {
  const at = now?.choice && recommended();
  const row = at && pointOf(at);
  const facts = [];
  if (row) {
    facts.push(["Fidelity", round(row.fidelity), "photographs: 100"]);
    facts.push(["Flexibility", round(row.flexibility), "untouched base: 100"]);
    if (report.checkpoints.length > 1) {
      const chance = `${round(100 * (now.chance ?? NaN))}\u00a0%`;
      facts.push(!now.best || same(now.best, now.choice) ? ["Chance it is best", chance, "by these measures"]
        : ["Chance of the best", chance, now.votes ? `${nameOf(now.best)}, highest with your votes` : `${nameOf(now.best)}, measured highest`]);
    }
    facts.push(["Use it at weight", String(at[1]), at[1] === 1 ? "the full weight" : "better than 1"]);
  }
  $("facts").replaceChildren(...facts.map(([term, value, more]) =>
    el("div", {}, el("dt", {}, term), el("dd", {}, el("b", {}, value), el("span", {}, more)))));
}

function renderDial() {
  const dial = $("dial");
  dial.hidden = report.dial.length < 2 || !report.dial.some((entry) => entry.decision.choice);
  if (dial.hidden) return;
  if (!$("positions").childElementCount) {
    $("positions").append(...report.dial.map((entry, at) => el("label", {},
      el("input", { type: "radio", name: "lean", value: at, onchange: () => turnDial(at) }),
      el("span", {}, report.dial.length === LEANS.length ? LEANS[at] : `\u00d7 ${entry.lean}`))));
  }
  $("positions").querySelectorAll("input").forEach((input, at) => { input.checked = at === state.lean; });
  const choices = report.dial.map((entry) => entry.decision.choice && keyOf(entry.decision.choice));
  const hint = new Set(choices).size === 1 ? "The choice is the same wherever you turn it." : "The choice depends on it: turn it and watch.";
  $("dial-hint").replaceChildren(...(leanNow() === report.lean ? [hint] : ["To keep this position: ", el("code", {}, `lorasmith compare ${shellWord(report.name)} --lean ${Number(leanNow().toFixed(2))}`)]));
}

function turnDial(at) {
  if (!report.dial[at]) return;
  state.lean = at;
  state.picked = null;
  renderAll();
}

// One prompt and seed of the base, the choice, and what the rule protects from, in a row.
function renderAbreast(now) {
  const columns = [BASE];
  if (now?.choice) columns.push(recommended());
  for (const at of [now?.likest, now?.last]) if (at && !among(at, columns) && !same(at, now.choice)) columns.push(at);
  if (!now?.choice) columns.push(...[allPoints.find((at) => at[0] > 0), allPoints.findLast((at) => at[0] > 0 && at[1] === 1)].filter((at) => at && !among(at, columns)));
  const rows = telling(columns).slice(0, 2);
  if (!rows.length || columns.length < 2) return $("abreast").replaceChildren();
  $("abreast").style.setProperty("--columns", columns.length);
  $("abreast").replaceChildren(
    ...columns.map((at) => el("div", { class: "column" },
      el("h3", {}, at[0] === 0 ? "Untouched base" : titleOf(at)),
      el("p", { class: "marks" }, at[0] === 0 ? [] : markTags(at)),
      el("p", { class: "soft" }, at[0] === 0 ? "fidelity 0, flexibility 100" : figuresText(at)),
      rows.map(({ prompt, seed }) => pictureButton(at, prompt, seed)))),
    el("p", { class: "caption" }, `Same prompt, same seed in each row: ${listed(rows.map(({ prompt }) => `\u201c${promptRows.get(prompt)?.drawn ?? prompt}\u201d`))}.`));
}

// Slots that all these points have: first those that the sentences point at, then one of each telling family.
function telling(columns) {
  const whole = (slot) => columns.every((at) => fileOf(at, slot.prompt, slot.seed));
  const cells = words().flatMap((sentence) => sentence.cells);
  const family = (slot) => promptRows.get(slot.prompt)?.family;
  const found = [];
  const add = (slot) => { if (slot && !found.some((one) => one.prompt === slot.prompt)) found.push({ prompt: slot.prompt, seed: slot.seed }); };
  add(cells.filter((cell) => ["identity", "context"].includes(family(cell))).find(whole) || slots.filter((slot) => family(slot) === "identity").find(whole));
  add(cells.filter((cell) => ["style", "action", "attribute", "composition"].includes(family(cell))).find(whole) || slots.filter((slot) => family(slot) === "style").find(whole));
  slots.filter(whole).forEach(add);
  return found;
}

function renderWords() {
  const all = words().slice(1); // the first stands under the headline
  $("why").hidden = !all.length && !report.notes.length;
  $("why-title").textContent = all.length ? "Why" : "Notes";
  const notes = report.notes.filter((note) => !all.some((sentence) => sentence.text === note));
  $("words").replaceChildren(
    ...all.map((sentence) => el("li", {},
      el("p", {}, sentence.text),
      sentence.cells.length ? el("div", { class: "evidence" }, evidence(sentence)) : null)),
    ...notes.map((note) => el("li", { class: "note" }, el("p", {}, note))));
}

// The pictures that a sentence rests on.
function evidence(sentence) {
  return (sentence?.cells || []).slice(0, 8).map((cell) => el("figure", {},
    pictureButton(atOf(cell), cell.prompt, cell.seed), el("figcaption", {}, shortName(atOf(cell)))));
}
