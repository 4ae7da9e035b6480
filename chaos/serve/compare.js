"use strict";
// Two runs laid over each other: one plot for each signal.

const { runs, panels } = JSON.parse(document.getElementById("data").textContent);
if (runs) {
  const windows = runs.flatMap((run, lane) => run.windows.map(([, start_s, end_s]) => ({ start_s, end_s, lane })));
  const plots = new Plots(document.getElementById("plots"), () => windows, runs.length);
  plots.end = Math.max(...runs.map((run) => run.end_s));
  for (const panel of panels) {
    panel.curves.forEach((name, n) => {
      const points = runs.map((run) => run.curves[`${panel.key}.${n}`] ?? []);
      if (!points.some((each) => each.length)) return;
      const title = panel.curves.length > 1 ? `${panel.title}: ${name}` : panel.title;
      plots.add({ ...panel, title }, [
        { label: "A", colour: "line0" },
        { label: "B", colour: "line1", dash: [6, 3] },
      ])(points);
    });
  }
}
