// Puts the parts together; keys and colours.
const THEMES = { auto: "Auto", light: "Light", dark: "Dark" };

function keep(name, value) {
  // A page opened from a file may have no storage; then a choice of colours lasts as long as the page.
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch { /* see above */ }
  return null;
}

function setTheme(theme) {
  const now = THEMES[theme] ? theme : "auto";
  if (now === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
  $("theme").textContent = THEMES[now];
  $("theme").setAttribute("aria-label", `Colours: ${now === "auto" ? "as the system" : now}`);
  $("theme").dataset.now = now;
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf($("theme").dataset.now) + 1) % names.length];
  setTheme(next);
  keep("lorasmith-colours", next);
}

function renderAll() {
  renderChoice();
  renderChart();
  renderTable();
  renderGrid();
  renderInvitation();
  renderHires();
  renderPhotographs();
  renderHow();
}

function typing(target) {
  return target.closest?.("input:not([type=radio]):not([type=range]):not([type=checkbox]):not([readonly]), select, textarea");
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") $("tip").hidden = true;
  if (event.altKey || event.ctrlKey || event.metaKey || typing(event.target)) return;
  if ($("zoom").open) return zoomKey(event);
  if ($("vote").open) return voteKey(event);
  if ($("help").open) return;
  if (event.target.closest?.("#grid td")) gridKey(event);
  if (event.defaultPrevented) return;
  if (/^[1-9]$/.test(event.key) && report.dial[event.key - 1]) turnDial(Number(event.key) - 1);
  else if (event.key === "b") openVote();
  else if (event.key === "?") $("help").showModal();
  else if (event.key === "t") nextTheme();
  else if (event.key === "g") { const cell = $("grid").querySelector("button.look[tabindex='0']"); if (cell) { focusCell(cell); $("grid-section").scrollIntoView({ block: "start" }); } }
  else return;
  event.preventDefault();
});

for (const id of ["zoom", "vote", "help"]) $(id).addEventListener("click", (event) => { if (event.target === $(id)) $(id).close(); });
$("zoom").addEventListener("close", zoomClosed);
$("show-help").addEventListener("click", () => $("help").showModal());
$("theme").addEventListener("click", nextTheme);
addEventListener("scroll", () => { $("tip").hidden = true; }, { passive: true, capture: true });

setTheme(keep("lorasmith-colours") || "auto");
$("content").hidden = false;
renderGridTools();
renderAll();
let drawnWidth = $("chart").clientWidth;
new ResizeObserver(() => {
  if (Math.abs($("chart").clientWidth - drawnWidth) < 2) return;
  drawnWidth = $("chart").clientWidth;
  delete $("card").dataset.at;
  renderChart();
}).observe($("chart"));
