"use strict";
// Follows a run by server-sent events, until it has ended.

const { panels, planned, events } = JSON.parse(document.getElementById("data").textContent);
const POINTS_MAX = 2000; // of one curve
const dashes = [undefined, [6, 3], [2, 3]];
const at = (id) => document.getElementById(id);
let points = {}, windows = [], anchor = null;
const part = at("signals-part");
let plots = null;
const setters = new Map();

function text(id, value) {
  const element = at(id);
  if (element.textContent !== value) element.textContent = value;
}

function duration(seconds) { // as chaos.base.units.duration_text
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

function rows(state) {
  for (const name of ["fault", "requests", "work", "watcher", "llm"]) text(`row-${name}-text`, state[name] ?? "-");
  text("row-phase-text", [state.phase, state.left].filter(Boolean).join("; "));
  at("row-fault").classList.toggle("striking", Boolean(state.striking));
  at("share").value = state.share ?? 0;
}

function log(lines) {
  const list = at("event-list");
  if ([...list.children].map((item) => item.textContent).join("\n") === lines.join("\n")) return;
  list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}

// Phases that were and are to come, and the faults in them: planned ones dashed.
function strip(state) {
  const begun = Object.fromEntries(state.phases.map((phase) => [phase.name, phase.start_s]));
  const spans = state.phases.map((phase) => ({ ...phase, kind: phase.end_s === null ? "phase current" : "phase" }));
  let end = spans.length ? spans[spans.length - 1].start_s : 0;
  let from = end;
  for (const [name, length] of planned.phases) {
    from = begun[name] ?? Math.max(from, state.ended ? 0 : state.now_s * (name === "baseline"));
    if (begun[name] === undefined && !("halt" in begun)) spans.push({ name, start_s: from, end_s: from + length, kind: "phase" });
    if (name === "storm") begun.planned = from;
    from += length;
    end = Math.max(end, "halt" in begun ? 0 : from);
  }
  end = Math.max(end, state.now_s);
  const struck = new Set(state.windows.map((window) => window.id));
  for (const [id, name, start, hold] of planned.faults) {
    if (struck.has(id) || "halt" in begun) continue;
    spans.push({ name: `${id} ${name}`, start_s: begun.planned + start, end_s: begun.planned + start + hold, kind: "fault" });
  }
  const holds = new Map(planned.faults.map(([id, , , hold]) => [id, hold]));
  for (const window of state.windows) {
    const end_s = window.end_s ?? Math.max(state.now_s, window.start_s + (holds.get(window.id) ?? 0));
    spans.push({ ...window, end_s, name: `${window.id} ${window.name}`, kind: "fault struck" });
  }
  if (!state.ended) spans.push({ name: "", start_s: state.now_s, end_s: state.now_s, kind: "now" });
  at("strip").replaceChildren(...spans.map((span) => {
    const element = Object.assign(document.createElement("div"), { className: span.kind, textContent: span.name, title: span.name });
    const until = span.end_s ?? (span.kind === "phase current" ? Math.max(state.now_s, plannedEnd(span)) : state.now_s);
    element.style.left = `${(100 * span.start_s) / end}%`;
    if (span.kind !== "now") element.style.width = `${(100 * (until - span.start_s)) / end}%`;
    return element;
  }));
  at("strip").hidden = false;
  at("share").hidden = true;
}

function plannedEnd(span) {
  const found = planned.phases.find(([name]) => name === span.name);
  return found ? span.start_s + found[1] : 0;
}

function draw() {
  if (!Object.keys(points).length) return;
  if (plots === null) {
    part.hidden = false;
    plots = new Plots(at("plots"), () => windows);
  }
  plots.end = Math.max(anchor.now_s, 1);
  for (const panel of panels) {
    const curves = panel.curves.map((_, n) => points[`${panel.key}.${n}`] ?? []);
    if (!curves.some((curve) => curve.length)) continue;
    if (!setters.has(panel.key)) {
      setters.set(panel.key, plots.add(panel, panel.curves.map((label, n) => ({ label, colour: `line${n}`, dash: dashes[n] }))));
    }
    setters.get(panel.key)(curves);
  }
}

function update(state) {
  anchor = { now_s: state.now_s, at: performance.now(), ended: state.ended };
  windows = state.windows;
  rows(state.rows);
  log(state.events);
  strip(state);
  for (const [name, more] of Object.entries(state.points)) {
    points[name] = (points[name] ?? []).concat(more);
    while (points[name].length > POINTS_MAX) points[name] = thinned(points[name]);
  }
  if (document.visibilityState === "visible") draw();
}

function result({ word, href }) {
  at("head").className = `verdict ${word}`;
  text("word", word.toUpperCase());
  const link = Object.assign(document.createElement("a"), { href, textContent: "The verdict, with its evidence" });
  const judged = !["unjudged", "damaged", "gone"].includes(word);
  at("result").replaceChildren(...(judged ? [link] : ["The run ended without a verdict."]));
  at("result").hidden = false;
}

setInterval(() => { // the clock goes on between two updates
  if (anchor !== null) text("now", duration(anchor.now_s + (anchor.ended ? 0 : (performance.now() - anchor.at) / 1000)));
}, 500);
document.addEventListener("visibilitychange", () => { if (anchor !== null) draw(); });

const source = new EventSource(events);
source.addEventListener("open", () => { points = {}; at("lost").hidden = true; }); // all comes again
source.addEventListener("update", (event) => update(JSON.parse(event.data)));
source.addEventListener("end", (event) => { source.close(); draw(); result(JSON.parse(event.data)); });
source.addEventListener("problem", (event) => {
  source.close();
  at("lost").hidden = false;
  text("lost", JSON.parse(event.data).text);
});
source.addEventListener("error", () => {
  at("lost").hidden = false;
  text("lost", source.readyState === EventSource.CLOSED
    ? "No live view: the server refused it (too many are open?). Load the page again."
    : "The connection is lost; trying again.");
});
