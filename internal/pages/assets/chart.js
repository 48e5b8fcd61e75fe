// The history of a schedule, drawn from the table below it.
(() => {
  "use strict";
  let at, plot;
  const color = name => {
    const probe = document.createElement("i");
    probe.className = name;
    at.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  function draw() {
    const place = document.getElementById("chart"); // it is there with the first run
    if (!place) return;
    if (place !== at) [at, plot] = [place, undefined];
    const runs = [...document.querySelectorAll("#runs tr[data-at]")].reverse();
    const number = (run, name) => { const n = Number(run.dataset[name]); return n < 0 ? null : n / 1000; };
    const seen = new Set(), kept = runs.filter(r => !seen.has(r.dataset.at) && seen.add(r.dataset.at));
    const data = [
      kept.map(r => Number(r.dataset.at)), kept.map(r => number(r, "took")), kept.map(r => number(r, "late")),
      kept.map(r => r.dataset.state === "failed" ? number(r, "took") ?? 0 : null),
    ];
    if (plot) return plot.setData(data);
    const ink = color("ink"), quiet = color("quiet"), trouble = color("trouble");
    // As the clocks of the pages: 24 hours, and the day where it begins.
    const two = n => String(n).padStart(2, "0");
    let day = "";
    const clock = s => {
      const t = new Date(s * 1000), date = two(t.getMonth() + 1) + "-" + two(t.getDate()), time = two(t.getHours()) + ":" + two(t.getMinutes());
      const said = date === day ? time : time === "00:00" ? date : time + "\n" + date;
      day = date;
      return said;
    };
    const axis = { stroke: quiet, grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "13px system-ui" };
    plot = new uPlot({
      width: at.clientWidth, height: 168, cursor: { y: false }, legend: { live: false },
      scales: { x: { time: true } },
      series: [
        {},
        { label: at.dataset.runtime, stroke: ink, width: 1, points: { size: 4 } },
        { label: at.dataset.lateness, stroke: quiet, width: 1, dash: [4, 4], points: { show: false } },
        { label: at.dataset.failed, stroke: trouble, width: 0, paths: () => null, points: { show: true, size: 8, width: 2, fill: "transparent" } },
      ],
      axes: [{ ...axis, space: 64, values: (_, all) => { day = ""; return all.map(clock); } }, { ...axis, size: 56, values: (_, all) => all.map(s => s < 1 && s > 0 ? Math.round(s * 1000) + " ms" : s + " s") }],
    }, data, at);
    sized.observe(at);
  }
  const sized = new ResizeObserver(() => { if (plot) plot.setSize({ width: at.clientWidth, height: 168 }); });
  draw();
  document.body.addEventListener("htmx:after:swap", draw);
})();
