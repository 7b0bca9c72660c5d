// One prompt and seed, close: the base, the choice and this one side by side, and all of them in a strip.
let zoomed = null;

function openZoom(at, prompt, seed, hires = false) {
  zoomed = { at, prompt, seed, hires };
  $("tip").hidden = true;
  renderZoom();
  if (!$("zoom").open) {
    $("zoom").returnTo = document.activeElement;
    $("zoom").showModal();
  }
  $("zoom").querySelector(".this button, .close").focus();
}

function zoomColumns() {
  const { at, prompt, seed } = zoomed, now = decision();
  const wanted = [BASE, now?.choice && recommended(), at, now?.last, now?.likest].filter((one) => one && fileOf(one, prompt, seed));
  const found = [];
  for (const one of wanted) if (!among(one, found) && found.length < 3) found.push(one);
  if (!among(at, found)) found.splice(2, 1, at);
  return found;
}

function renderZoom() {
  const { at, prompt, seed, hires } = zoomed, about = promptRows.get(prompt);
  const fixed = zoomColumns().some((one) => fileOf(one, prompt, seed, true));
  const pictures = zoomColumns().map((one) => {
    const big = hires && fileOf(one, prompt, seed, true), file = big || fileOf(one, prompt, seed), full = images[file]?.full;
    return el("figure", { class: same(one, at) ? "this" : null },
      picture(file, `${describe(one, prompt, Boolean(big))}, seed ${seed}`, { full: true, eager: true }),
      el("figcaption", {}, el("b", {}, one[0] === 0 ? "Untouched base" : titleOf(one)), el("span", { class: "marks" }, one[0] ? markTags(one) : [], statusTags(one)),
        el("span", { class: "soft" }, one[0] ? figuresText(one) : "fidelity 0, flexibility 100"),
        big ? el("span", { class: "soft" }, "with the high-res fix") : null,
        full ? el("a", { href: full, target: "_blank", rel: "noopener" }, "the full picture") : null));
  });
  const strip = allPoints.filter((one) => fileOf(one, prompt, seed)).map((one) => {
    const button = el("button", { type: "button", class: same(one, at) ? "here" : null, "aria-current": same(one, at) ? "true" : null, onclick: () => openZoom(one, prompt, seed, zoomed.hires) },
      picture(fileOf(one, prompt, seed), describe(one, prompt), { eager: true }), el("span", {}, one[0] === 0 ? "base" : one[1] === 1 ? one[0] : `${one[0]} \u00d7${one[1]}`));
    return button;
  });
  $("zoom").replaceChildren(
    el("header", {},
      el("div", {}, el("p", { class: "kicker" }, `${FAMILIES[about?.family] || about?.family || prompt} \u00b7 seed ${seed}`),
        el("h2", {}, el("q", {}, about?.drawn ?? prompt)),
        about && about.plain !== about.drawn ? el("p", { class: "soft" }, `The base was asked for \u201c${about.plain}\u201d.`) : null),
      el("div", { class: "zoom-tools" },
        fixed ? el("button", { type: "button", "aria-pressed": String(Boolean(hires)), onclick: toggleHires }, "High-res fix ", el("kbd", {}, "h")) : null,
        el("button", { type: "button", class: "close", onclick: () => $("zoom").close() }, "Close ", el("kbd", {}, "Esc")))),
    el("div", { class: "side-by-side" }, pictures),
    el("div", { class: "strip", role: "group", "aria-label": "The same prompt and seed of every LoRA" }, strip));
  $("zoom").querySelector(".strip .here")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function toggleHires() {
  zoomed.hires = !zoomed.hires;
  renderZoom();
  $("zoom").querySelector("[aria-pressed]")?.focus();
}

function zoomKey(event) {
  const across = { ArrowLeft: -1, ArrowRight: 1 }[event.key], down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const { at, prompt, seed } = zoomed;
  if (across) {
    const drawn = allPoints.filter((one) => fileOf(one, prompt, seed));
    const next = drawn[drawn.findIndex((one) => same(one, at)) + across];
    if (next) openZoom(next, prompt, seed, zoomed.hires);
  } else if (down) {
    const drawn = slots.filter((slot) => fileOf(at, slot.prompt, slot.seed));
    const next = drawn[drawn.findIndex((slot) => slot.prompt === prompt && slot.seed === seed) + down];
    if (next) openZoom(at, next.prompt, next.seed, zoomed.hires);
  } else if (event.key === "h" && $("zoom").querySelector("[aria-pressed]")) toggleHires();
  else return;
  event.preventDefault();
}

// Back where one was: to the same picture in the grid, if that is where the person went.
function zoomClosed() {
  const inGrid = zoomed && $("grid").contains($("zoom").returnTo);
  const cell = inGrid && [...$("grid").querySelectorAll("button.look")].find((one) => one.dataset.cell === pictureKey(zoomed.at, zoomed.prompt, zoomed.seed));
  if (cell) focusCell(cell);
  else $("zoom").returnTo?.focus?.({ preventScroll: true });
}
