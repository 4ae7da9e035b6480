/* The signals: one uPlot a panel, with one cursor and one span of time for all. */
(() => {
const data = JSON.parse(document.getElementById("plot-data").textContent);
const zoom = document.getElementById("zoom");
const now = document.getElementById("now");
const plots = [];
let span = [0, data.end];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function runText(t) {
  if (data.end < 600) return `${t.toFixed(data.end < 60 ? 2 : 1)} s`;
  const s = Math.round(t), two = n => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)} h` : `${m}:${two(s % 60)} min`;
}
function wallText(t) {
  const moment = new Date((data.began + t) * 1000);
  return data.began && !isNaN(moment) ? `${moment.toISOString().slice(11, 21)} UTC` : "";
}
function numberText(v) {
  return v == null ? "" : Number.isInteger(v) ? String(v) : v.toPrecision(4).replace(/\.?0+$/, "");
}
/* The last value at or before a time: what a step shows, and what was measured last. */
function valueAt(series, t) {
  let low = 0, high = series.t.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (series.t[mid] <= t) low = mid + 1; else high = mid;
  }
  return low ? series.v[low - 1] : null;
}

function setSpan(from, to) {
  const least = Math.min(0.5, data.end), width = Math.min(Math.max(to - from, least), data.end);
  from = Math.min(Math.max(from, 0), data.end - width);
  span = [from, from + width];
  for (const plot of plots) plot.setScale("x", {min: span[0], max: span[1]});
}
function move(how) {
  const [a, b] = span, width = b - a, middle = (a + b) / 2;
  if (how === "in") setSpan(middle - width / 4, middle + width / 4);
  else if (how === "out") setSpan(middle - width, middle + width);
  else if (how === "left") setSpan(a - width / 4, b - width / 4);
  else if (how === "right") setSpan(a + width / 4, b + width / 4);
  else setSpan(0, data.end);
}

function backdrop(u) {
  const {ctx, bbox} = u, right = bbox.left + bbox.width;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.globalAlpha = 0.15;
  ctx.fillStyle = css("--shade");
  for (const [, from, to] of data.windows) {
    const a = Math.max(u.valToPos(from, "x", true), bbox.left);
    const b = Math.min(u.valToPos(to, "x", true), right);
    if (b > a) ctx.fillRect(a, bbox.top, b - a, bbox.height);
  }
  if (data.marks.length <= 12) {
    ctx.globalAlpha = 0.5;
    ctx.strokeStyle = css("--bad");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const [, t] of data.marks) {
      const x = u.valToPos(t, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
  }
  ctx.restore();
}

function hover(u, panel, figure) {
  const t = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null;
  panel.series.forEach((series, n) => {
    const place = figure.querySelector(`[data-value="${n}"]`);
    if (place) place.textContent = t === null ? "" : numberText(valueAt(series, t));
  });
  const inside = t === null ? [] : data.windows.filter(([, a, b]) => a <= t && t <= b);
  const faults = inside.map(([name]) => name).join(", ");
  const text = t === null ? "" : [runText(t), wallText(t), faults].filter(Boolean).join(" · ");
  if (now.textContent !== text) now.textContent = text;
}

function optionsOf(panel, box, figure) {
  const axis = {
    stroke: () => css("--muted"), grid: {stroke: () => css("--grid"), width: 1},
    ticks: {stroke: () => css("--grid"), width: 1, size: 4}, font: "11px system-ui, sans-serif",
  };
  const dashes = [[], [6, 3], [2, 3]];
  const series = panel.series.map(one => {
    const colour = `--${one.css}`;
    return {
      stroke: () => css(colour), width: 1.5, dash: dashes[{line1: 1, line2: 2}[one.css] || 0],
      paths: panel.dots ? () => null : panel.steps ? uPlot.paths.stepped({align: 1}) : undefined,
      points: panel.dots ? {show: true, size: 6, fill: () => css(colour)} : {show: false},
    };
  });
  return {
    width: box.clientWidth, height: box.clientHeight, legend: {show: false},
    padding: [6, 8, 0, 0],
    cursor: {
      sync: {key: "run", setSeries: false}, drag: {x: true, y: false, setScale: false},
      y: false, points: {show: false}, bind: {dblclick: () => () => { move("all"); return null; }},
    },
    scales: {
      x: {time: false, range: (u, min, max) => [min ?? 0, max ?? data.end]},
      y: {range: (u, min, max) => [0, max > 0 ? max * 1.1 : 1]},
    },
    axes: [
      {...axis, size: 26, space: 60, values: (u, ticks) => ticks.map(t => axisText(t)),
       incrs: [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400]},
      {...axis, size: 44, space: 28, values: (u, ticks) => ticks.map(numberText)},
    ],
    series: [{}, ...series],
    hooks: {
      drawClear: [backdrop],
      setCursor: [u => hover(u, panel, figure)],
      setSelect: [u => {
        if (u.select.width > 3) {
          setSpan(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        }
        u.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
      }],
    },
  };
}
function axisText(t) {
  if (data.end < 600) return `${numberText(t)} s`;
  const s = Math.round(t), two = n => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)} h`
    : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

function make(panel) {
  const figure = document.getElementById(`plot-${panel.key}`);
  const box = figure.querySelector(".plot");
  const joined = uPlot.join(panel.series.map(series => [series.t, series.v]));
  box.classList.add("drawn");
  box.tabIndex = 0;
  const plot = new uPlot(optionsOf(panel, box, figure), joined, box);
  plot.root.setAttribute("aria-hidden", "true");
  plots.push(plot);
  box.addEventListener("keydown", event => {
    const how = {"+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right",
      Escape: "all", "0": "all"}[event.key];
    if (how) { event.preventDefault(); move(how); }
  });
  new ResizeObserver(() => {
    if (box.clientWidth && box.clientWidth !== plot.width)
      plot.setSize({width: box.clientWidth, height: box.clientHeight});
  }).observe(box);
}

/* The page is painted before the plots are made. */
requestAnimationFrame(() => setTimeout(() => {
  data.panels.forEach(make);
  setSpan(0, data.end);
  zoom.hidden = false;
  for (const hint of document.querySelectorAll(".scripted")) hint.hidden = false;
  document.documentElement.dataset.plots = "drawn";
}));
zoom.addEventListener("click", event => {
  const {zoom: how, window: place} = event.target.dataset;
  if (how) move(how);
  if (place) {
    const [, from, to] = data.windows[Number(place)];
    setSpan(from - (to - from) / 4, to + (to - from) / 4);
  }
});
addEventListener("keydown", event => { if (event.key === "Escape") move("all"); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of plots) plot.redraw();
});
})();
