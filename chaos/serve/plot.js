"use strict";
// Plots of one page over the same time: one cursor, one zoom. Colours are those of the style sheet.
// Used by live.js and compare.js.

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// At most half of the points: of each four in a row the lowest and the highest (chaos/serve/live.py).
function thinned(points) {
  const kept = [];
  for (let start = 0; start < points.length; start += 4) {
    const four = points.slice(start, start + 4);
    const low = four.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = four.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

// The columns of a curve, with a null in each gap without measurements (chaos/report/series.py).
function columns(points) {
  const steps = points.slice(1).map((p, n) => p[0] - points[n][0]).sort((a, b) => a - b);
  const limit = Math.max(2, 8 * (steps[steps.length >> 1] || 0));
  const xs = [], ys = [];
  points.forEach((point, n) => {
    if (n && point[0] - points[n - 1][0] > limit) { xs.push(points[n - 1][0] + limit / 2); ys.push(null); }
    if (xs.length && point[0] <= xs[xs.length - 1]) return; // the time of a curve only grows
    xs.push(point[0]);
    ys.push(point[1]);
  });
  return [xs, ys];
}

class Plots {
  // `windows` returns the fault windows: {start_s, end_s or null, lane}; lanes: 0 for one run.
  constructor(host, windows, lanes = 1) {
    this.host = host;
    this.windows = windows;
    this.lanes = lanes;
    this.end = 1;
    this.zoom = null;
    this.plots = [];
    this.all = document.createElement("button");
    this.all.type = "button";
    this.all.textContent = "whole run";
    this.all.hidden = true;
    this.all.addEventListener("click", () => this.show(null));
    host.before(this.all);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") this.show(null); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.plots.forEach((plot) => plot.redraw(false)));
    new ResizeObserver(() => this.plots.forEach((plot) =>
      plot.setSize({ width: plot.root.parentNode.clientWidth - 16, height: 170 }))).observe(host);
  }

  // The part of the time that is shown; null: all of it.
  show(zoom) {
    this.zoom = zoom;
    this.all.hidden = zoom === null;
    const [min, max] = zoom || [0, this.end];
    this.plots.forEach((plot) => plot.setScale("x", { min, max }));
  }

  // Adds a plot with one curve for each of `curves`: {label, colour, dash}. Returns a function that
  // takes the points of the curves.
  add({ title, unit, steps, dots }, curves) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    if (unit !== "count") caption.append(Object.assign(document.createElement("small"), { textContent: ` ${unit}` }));
    figure.append(caption);
    this.host.append(figure);
    const axis = {
      stroke: () => colour("muted"), font: "11px system-ui, sans-serif",
      grid: { stroke: () => colour("grid"), width: 1 }, ticks: { stroke: () => colour("grid"), width: 1 },
    };
    const plot = new uPlot({
      width: figure.clientWidth - 16,
      height: 170,
      scales: {
        x: { time: false, range: () => this.zoom || [0, this.end] },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] },
      },
      axes: [{ ...axis, size: 26, values: (_, ticks) => ticks.map((t) => `${+t.toFixed(1)} s`) },
             { ...axis, size: 46 }],
      series: [{ label: "time", value: (_, t) => (t === null || t === undefined ? "-" : `${t.toFixed(1)} s`) },
        ...curves.map((curve) => ({
          label: curve.label,
          stroke: () => colour(curve.colour),
          width: 1.4,
          dash: curve.dash,
          points: { show: Boolean(dots), size: 5 },
          paths: dots ? () => null : steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
          value: (_, v) => (v === null || v === undefined ? "-" : String(+v.toPrecision(4))),
        }))],
      cursor: { y: false, sync: { key: "chaos", scales: ["x", null] }, drag: { setScale: false }, points: { size: 6 } },
      hooks: {
        drawClear: [(u) => this.shade(u)],
        setSelect: [(u) => {
          const { left, width } = u.select;
          if (width < 4) return;
          const zoom = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          this.show(zoom);
        }],
      },
    }, [[0], ...curves.map(() => [null])], figure);
    plot.over.addEventListener("dblclick", () => this.show(null));
    this.plots.push(plot);
    return (points) => {
      const seen = points.flat();
      figure.hidden = seen.length === 0;
      const values = seen.map((point) => point[1]);
      const range = values.length ? `, from ${+Math.min(...values).toPrecision(4)} to ${+Math.max(...values).toPrecision(4)}` : "";
      plot.root.setAttribute("role", "img");
      plot.root.setAttribute("aria-label", `${title}, ${unit}${range}`);
      plot.setData(uPlot.join(points.map((each) => (each.length ? columns(each) : [[0], [null]]))));
    };
  }

  shade(u) {
    const { ctx, bbox } = u;
    ctx.save();
    for (const window of this.windows()) {
      const from = Math.max(u.valToPos(window.start_s, "x", true), bbox.left);
      const to = Math.min(u.valToPos(window.end_s ?? this.end, "x", true), bbox.left + bbox.width);
      if (to <= from) continue;
      ctx.globalAlpha = 0.13;
      ctx.fillStyle = colour("shade");
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
      if (this.lanes === 1) continue;
      const height = 4 * devicePixelRatio;
      ctx.globalAlpha = 0.9;
      ctx.fillStyle = colour(`line${window.lane}`);
      ctx.fillRect(from, bbox.top + height * window.lane, to - from, height - 1);
    }
    ctx.restore();
  }
}
