// The photographs, the high-res fix, and how every number was made.
function renderPhotographs() {
  $("photographs").replaceChildren(report.photographs.length
    ? el("div", { class: "photographs" }, report.photographs.map((file, at) => picture(file, `Photograph ${at + 1} of the subject`)))
    : el("p", { class: "lead" }, "There are none to compare with, so likeness could not be measured."));
}

function renderHires() {
  const found = report.hires;
  $("hires-section").hidden = !found;
  if (!found) return;
  const slot = slots.find((one) => fileOf(found.early, one.prompt, one.seed, true) && fileOf(found.late, one.prompt, one.seed));
  const row = (name, values) => el("tr", {}, el("th", { scope: "row" }, name), values.map((value) => el("td", {}, round(value))));
  const shown = slot && [[found.early, false, "as drawn"], [found.early, true, "with the high-res fix"], [found.late, false, "as drawn"]].map(([at, fixed, how]) =>
    el("figure", {}, pictureButton(at, slot.prompt, slot.seed, { hires: fixed }), el("figcaption", {}, `${titleOf(at)}, ${how}`)));
  $("hires").replaceChildren(el("p", { class: "lead" }, found.sentence),
    el("div", { class: "beside" },
      el("table", { class: "mini" }, el("thead", {}, el("tr", {}, el("td", {}), el("th", { scope: "col" }, `${titleOf(found.early)}, fixed`), el("th", { scope: "col" }, titleOf(found.late)))),
        el("tbody", {}, row("Fidelity", found.fidelity), row("Flexibility", found.flexibility))),
      shown ? el("div", { class: "evidence large" }, shown) : null));
}

const MEASURES = { likeness: "likeness to the photographs", following: "following the prompt", styles: "which medium a picture is in", looks: "variety and drift", copying: "copies of training pictures" };
const PART_WORDS = {
  prompt: "how much better a picture fits its own prompt than the other prompts, on prompts with a new place, action, property or company",
  style: "how surely a picture asked for as a watercolour, a sketch or a poster is one",
  diversity: "how different the pictures of one prompt are between seeds",
  copying: "the share of pictures of new prompts that repeat no training picture",
  bleed: "whether the class word without the trigger still draws what the base draws, and not the subject",
};

function renderHow() {
  const rules = report.rules, anchors = report.anchors, made = [];
  const part = (title, ...children) => made.push(el("section", {}, el("h3", {}, title), ...children));
  const p = (...children) => el("p", {}, ...children);
  part("Fidelity", p("How like the photographs are the pictures of the subject, alone and somewhere new? Each picture is compared with its nearest photographs (the mean of the nearest three). 0 is what the untouched base reaches with the same prompts and seeds, 100 what the photographs reach among themselves:"),
    p(el("code", {}, "fidelity = 100 \u00d7 (picture \u2212 base) / (photographs \u2212 base)")),
    anchors ? p(`Here the base lies at ${anchors.low.toFixed(3)} and the photographs at ${anchors.high.toFixed(3)} on the encoder\u2019s own scale, with a standard error of ${anchors.error.toFixed(3)} for their distance, from ${counted(anchors.photos, "photograph")}${anchors.held_out ? " that were kept out of training" : ", the training pictures themselves, so that copying counts as likeness too"}.`)
      : report.points.length ? p("Here the two could not be told apart, or there was nothing to compare with, so no number is given.") : null);
  part("Flexibility", p("What the base could do and the LoRA still can. Each part is 100 where the LoRA does as well as the untouched base; the parts are joined by a weighted harmonic mean, so that one collapse cannot be hidden by the rest."),
    el("ul", {}, Object.entries(report.part_weights).map(([name, weight]) => el("li", {}, el("b", {}, `${capital(PART_NAMES[name])} (${round(100 * weight)} %): `), `${PART_WORDS[name] || name}.`))));
  part("Balance and the dial", p(el("code", {}, "balance = (1 + b\u00b2) \u00d7 fidelity \u00d7 flexibility / (b\u00b2 \u00d7 fidelity + flexibility)")),
    p(`High only where both are. The dial sets b: below 1 fidelity counts more, above 1 flexibility. It stands at ${Number(leanNow().toFixed(2))}.`));
  part("What is ruled out", el("ul", {},
    el("li", {}, `not learnt: fidelity below ${rules.undertrained}`), el("li", {}, `copying: more than ${round(100 * rules.copies)} % of the pictures of new prompts are plain copies`),
    el("li", {}, `bleeding: the class word alone comes nearer to the subject than ${rules.bleed} of 100, while another that does not is trained nearly as far`),
    el("li", {}, `broken: blank or burnt pictures, weights that are not finite, fidelity below ${rules.undertrained} and flexibility below ${rules.ruined} at once, or pictures that are all the base\u2019s own`)),
    p("A rule that would leave nothing is not applied, and the words say so."));
  const doubt = report.decision?.doubt;
  const err = doubt ? ` The readers err, too, and on all pictures of a LoRA alike, so that more prompts do not help: each balance is taken to be off by ${counted(doubt, "point")} (standard deviation). Where the truth was known that was about right in fifty trainings and too sure in ten, so take the chance for an upper mark.` : "";
  part("Chance", p(`With other prompts the figures would be a little different. How much is estimated by drawing the prompts anew ${report.draws.toLocaleString("en")} times, the same ones for every LoRA (a paired bootstrap).${err} The chance of being best is the share of those in which a LoRA came first; \u201cclear\u201d is ${round(100 * rules.clear)} % and more and no equals, \u201cprobably\u201d ${round(100 * rules.leaning)} %. Equals are those that cannot be told from the best with ${round(100 * rules.confidence)} % confidence and have at least ${round(100 * rules.hopeless)} % of the likeliest one\u2019s chance. ${rules.within ? `Of the equals within ${counted(rules.within, "point")} of the best the earliest is taken: it is the freest for the same likeness.` : "The one that measured highest is taken: of LoRAs from anywhere none is the earlier."}`),
    report.decision?.votes ? p(`${counted(report.decision.votes, "blind vote")} of yours moved the balance, as comparisons of which 73 of 100 go to a LoRA that is 5 points better.`) : null);
  part("What this cannot do", p("The marks above are reasoned, not tuned on thousands of LoRAs. Encoders see backgrounds as well as subjects, and read drawings worse than photographs. Likeness to the training pictures rewards copying, so the copies are counted beside it. These figures do not replace your taste: the pictures are all here."));
  made.push(settingsTable());
  $("how-body").replaceChildren(...made);
}

function settingsTable() {
  const { settings, base } = report;
  const rows = [
    ["Base", [base.name, base.hash && `sha256 ${base.hash}`, base.licence && `licence ${base.licence}`].filter(Boolean).join(", ") || "not named"],
    ["Drawing", `${settings.sampler}, ${counted(settings.steps, "step")}, CFG ${settings.cfg}, ${settings.size.join(" \u00d7 ")} pixels (prompts may ask for another shape)`],
    ["Seeds", settings.seeds.join(", ")],
    ["Prompts", `${settings.prompts}, ${counted(report.prompts.length, "prompt")}, sha256 ${settings.prompts_hash}`],
    ["Encoders", Object.entries(report.encoders).map(([measure, encoder]) => el("div", {}, el("span", { class: "soft" }, `${MEASURES[measure] || measure}: `), encoder))],
    ["Time", Object.entries(report.seconds).map(([what, seconds]) => `${what} ${seconds < 90 ? `${round(seconds)} s` : `${round(seconds / 60)} min`}`).join(", ")],
    ["LoRAs", report.checkpoints.map((row) => `${row.name}${row.rank ? ` (rank ${row.rank}${known(row.norm) ? `, norm ${row.norm.toPrecision(3)}` : ""})` : ""}`).join(", ")],
    ["Made with", `lorasmith ${report.page_version}`],
  ];
  const told = rows.filter(([, value]) => value.length);
  return el("section", {}, el("h3", {}, "Settings"), el("table", { class: "settings" }, el("tbody", {}, told.map(([term, value]) => el("tr", {}, el("th", { scope: "row" }, term), el("td", {}, value))))));
}
