"use strict";
// Keeps the page up to date: panels come as HTML from the server, charts as figures for Plotly.
const EVERY = 10_000;
const NARROW = 600;
const main = document.querySelector("main");
const clock = document.querySelector("#clock");
const pause = document.querySelector("#pause");
const shown = new Map();
let figures = {};
let paused = false;
let asking = false;

function isFilled(field) {
  if (!field.options) { return field.value !== field.defaultValue; }
  // Of a list that names no choice of its own, the first is chosen.
  return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
}

function isBusy(panel) {
  // What somebody types, has filled in, or has opened to act, is not taken from under their hands.
  const form = panel.querySelector("details.deed[open]");
  return Boolean(form) || [...panel.querySelectorAll("input, select")].some(isFilled) || (panel.contains(document.activeElement) && document.activeElement.matches("input, select"));
}

function replacePanel(panel, html) {
  const open = [...panel.querySelectorAll("details[open]")].map((one) => one.id);
  const focused = panel.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  panel.innerHTML = html;
  open.forEach((id) => panel.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", ""));
  if (focused) { panel.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus(); }
}

function paint(figure) {
  const style = getComputedStyle(document.documentElement);
  const painted = JSON.stringify(figure).replace(/var\((--\w+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  return JSON.parse(painted);
}

function draw(name, figure) {
  const place = document.querySelector(`#figure-${name}`);
  if (!place || !window.Plotly) { return; }
  const empty = !figure || figure.empty;
  place.hidden = empty;
  place.nextElementSibling.hidden = !empty;
  if (empty) { return; }
  const { data, layout } = paint(figure);
  layout.dragmode = innerWidth < NARROW ? false : "zoom";
  Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
}

function drawAll() {
  Object.entries(figures).forEach(([name, figure]) => draw(name, figure));
}

function tell(text, stale) {
  clock.textContent = text;
  clock.dataset.stale = stale ? "yes" : "no";
}

function show(live) {
  for (const [name, html] of Object.entries(live.panels)) {
    const panel = main.querySelector(`[data-panel="${name}"]`);
    if (panel && shown.get(name) !== html && !isBusy(panel)) {
      replacePanel(panel, html);
      shown.set(name, html);
    }
  }
  if (JSON.stringify(live.figures) !== JSON.stringify(figures)) {
    figures = live.figures;
    drawAll();
  }
  tell(`${live.at.slice(11, 19)} UTC`, false);
}

async function refresh() {
  // A server that takes longer than the pause is not asked twice at once.
  if (paused || document.hidden || asking) { return; }
  asking = true;
  try {
    const answer = await fetch(main.dataset.live, { headers: { Accept: "application/json" } });
    const live = answer.ok ? await answer.json() : null;
    // Who has paused meanwhile is told nothing.
    if (paused) { return; }
    if (live) { show(live); return; }
    tell(answer.status === 401 ? "signed out; open Airflow anew" : `not up to date: the server answers ${answer.status}`, true);
  } catch {
    if (!paused) { tell("not up to date: the server does not answer", true); }
  } finally {
    asking = false;
  }
}

function leave(event) {
  // Airflow's frame lets no link out; the page around it, of the same origin, may follow one.
  const link = event.target.closest("a[href]");
  if (parent === window || !link || event.button > 1) { return; }
  const address = new URL(link.href);
  const ours = address.origin === location.origin;
  if (ours && address.pathname.startsWith("/windhover/overview")) { return; }
  event.preventDefault();
  const copy = parent.document.createElement("a");
  copy.href = link.href;
  const beside = event.ctrlKey || event.metaKey || event.button === 1 || !ours || address.pathname.startsWith("/windhover/");
  if (beside) { copy.target = "_blank"; copy.rel = "noopener"; }
  parent.document.body.append(copy);
  copy.click();
  copy.remove();
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  if (paused) { tell("paused", true); } else { refresh(); }
});
document.addEventListener("click", leave);
document.addEventListener("auxclick", leave);
document.addEventListener("visibilitychange", refresh);
document.addEventListener("themechange", drawAll);
document.addEventListener("submit", (event) => event.submitter?.setAttribute("aria-busy", "true"));
setInterval(refresh, EVERY);
refresh();
