// Blind votes: two LoRAs without their names, by several prompts; the result is a line to paste into the terminal.
let ballot = null;

// The pairs worth asking; where none is, the choice against what it was preferred to. Sides by lot.
function votePairs() {
  const open = report.ask.filter((pair) => sharedSlots(pair).length);
  const now = decision();
  if (open.length) return open;
  const rivals = [now?.best, now?.likest, now?.last, ...(now?.equals || [])].filter((at) => at && now.choice && !same(at, now.choice));
  const found = [];
  for (const at of rivals) if (!found.some((pair) => among(at, pair)) && sharedSlots([now.choice, at]).length) found.push(Math.random() < 0.5 ? [now.choice, at] : [at, now.choice]);
  return found.slice(0, 5);
}

function sharedSlots(pair) {
  const shared = slots.filter((slot) => pair.every((at) => fileOf(at, slot.prompt, slot.seed)));
  const found = [];
  for (const wanted of [["identity"], ["context", "action"], ["style"]]) {
    const own = shared.filter((slot) => wanted.includes(promptRows.get(slot.prompt)?.family));
    if (own.length) found.push(own[Math.floor(Math.random() * own.length)]);
  }
  return found.length ? found : shared.slice(0, 3);
}

function renderInvitation() {
  const pairs = votePairs();
  $("vote-section").hidden = !pairs.length;
  if (!pairs.length) return;
  const why = report.ask.length
    ? "The figures cannot settle it. Say which of two you would rather have, without knowing which is which: your votes enter the result like a measurement."
    : "Do you see it as the figures do? Compare the choice with its rivals without knowing which is which.";
  const cast = report.decision?.votes;
  const before = cast ? ` ${counted(cast, "vote is", "votes are")} counted in already.` : "";
  $("vote-invitation").replaceChildren(el("p", { class: "lead" }, why + before),
    el("button", { type: "button", class: "main", onclick: openVote }, `Vote on ${counted(pairs.length, "pair")} `, el("kbd", {}, "b")));
}

function openVote() {
  const pairs = votePairs();
  if (!pairs.length || $("vote").open) return;
  ballot = { pairs: pairs.map((pair) => ({ pair, slots: sharedSlots(pair), said: null })), at: 0 };
  $("tip").hidden = true;
  $("vote").showModal();
  renderBallot();
}

function renderBallot() {
  if (ballot.at >= ballot.pairs.length) return renderResult();
  const { pair, slots: shown } = ballot.pairs[ballot.at];
  const answer = (word, text, key) => el("button", { type: "button", class: "main", "data-vote": word, onclick: () => castVote(word) }, text, " ", el("kbd", {}, key));
  const side = (which, at) => el("div", { class: "candidate" }, el("h3", {}, which),
    shown.map((slot, row) => picture(fileOf(at, slot.prompt, slot.seed), `${which}, picture ${row + 1}: ${promptRows.get(slot.prompt)?.drawn ?? slot.prompt}`, { full: true, eager: true })));
  $("vote").replaceChildren(
    el("header", {}, el("div", {}, el("p", { class: "kicker" }, `Pair ${ballot.at + 1} of ${ballot.pairs.length}`), el("h2", {}, "Which would you rather have?"),
      el("p", { class: "soft" }, "Asked for: ", shown.map((slot, at) => [at ? " \u00b7 " : "", el("q", {}, promptRows.get(slot.prompt)?.drawn ?? slot.prompt)]))),
      el("button", { type: "button", class: "close", onclick: () => $("vote").close() }, "Close ", el("kbd", {}, "Esc"))),
    el("div", { class: "candidates" }, side("Left", pair[0]), side("Right", pair[1])),
    report.photographs.length ? el("div", { class: "reminder" }, el("span", { class: "soft" }, "The subject:"), report.photographs.slice(0, 4).map((file, at) => picture(file, `Photograph ${at + 1} of the subject`, { eager: true }))) : null,
    el("div", { class: "answers" }, answer("left", "Left", "\u2190"), answer("same", "No difference", "\u2193"), answer("right", "Right", "\u2192"), takeBackButton()));
  $("vote").querySelector("[data-vote=same]").focus();
}

const takeBackButton = () => ballot.at > 0 && el("button", { type: "button", "data-vote": "back", onclick: takeBack }, "Take the last back ", el("kbd", {}, "u"));

// Back to the pair before, as if nothing had been said of it: nothing is handed over until the line is pasted.
function takeBack() {
  if (!ballot?.at) return;
  ballot.at -= 1;
  ballot.pairs[ballot.at].said = null;
  renderBallot();
}

function castVote(word) {
  if (!ballot || ballot.at >= ballot.pairs.length) return;
  ballot.pairs[ballot.at].said = word;
  ballot.at += 1;
  renderBallot();
}

const written = (at) => (at[1] === 1 ? String(at[0]) : `${at[0]}@${at[1]}`);
const voteText = () => ballot.pairs.filter((one) => one.said).map(({ pair, said }) => `${written(pair[0])}${{ left: ">", right: "<", same: "=" }[said]}${written(pair[1])}`).join(" ");
const shellWord = (text) => (/^[\w.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

function renderResult() {
  const line = `lorasmith compare ${shellWord(report.name)} --votes '${voteText()}'`;
  const field = el("input", { type: "text", readonly: true, value: line, id: "vote-line", "aria-label": "Line to paste into the terminal", onfocus: (event) => event.target.select() });
  const copied = el("span", { class: "soft", role: "status" });
  const copy = async () => {
    field.select();
    try { await navigator.clipboard.writeText(line); } catch { document.execCommand("copy"); }
    copied.textContent = "Copied.";
  };
  const rows = ballot.pairs.map(({ pair, said }) => {
    const [better, other] = said === "right" ? [pair[1], pair[0]] : pair;
    return el("li", {}, said === "same" ? `${titleOf(pair[0])} and ${nameOf(pair[1])}: no difference` : `${titleOf(better)} rather than ${nameOf(other)}`);
  });
  $("vote").replaceChildren(
    el("header", {}, el("div", {}, el("p", { class: "kicker" }, "Your votes"), el("h2", {}, "What you preferred")), el("button", { type: "button", class: "close", onclick: () => $("vote").close() }, "Close ", el("kbd", {}, "Esc"))),
    el("ul", {}, rows), el("p", {}, "A page cannot write files. Paste this line where lorasmith runs, and the votes enter the result:"),
    el("div", { class: "paste" }, field, el("button", { type: "button", class: "main", onclick: copy }, "Copy"), copied),
    el("p", {}, el("button", { type: "button", onclick: () => { $("vote").close(); openVote(); } }, "Vote again"), " ", takeBackButton()));
  field.focus();
}

function voteKey(event) {
  if (event.key === "u" && ballot?.at) {
    event.preventDefault();
    return takeBack();
  }
  const word = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same", l: "left", r: "right", s: "same" }[event.key];
  if (!word || !ballot || ballot.at >= ballot.pairs.length) return;
  event.preventDefault();
  if (!event.repeat) castVote(word); // a key held down is one vote
}
