// Draws every <canvas data-chart="kind"> from the JSON beside it, with Chart.js as Unfold ships it. Colours are
// Unfold's variables, read again when the theme changes.

const KINDS = { volume, channels, engagement, curve: engagementCurve };
const drawn = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--color-${name}`).trim();
}

function palette() {
  const dark = document.documentElement.classList.contains("dark");
  return {
    text: colour(dark ? "base-400" : "base-500"),
    grid: colour(dark ? "base-800" : "base-200"),
    surface: colour(dark ? "base-900" : "white") || (dark ? "#111827" : "#fff"),
    sent: colour(dark ? "primary-900" : "primary-200"),
    delivered: colour(dark ? "primary-500" : "primary-600"),
    opened: colour(dark ? "green-400" : "green-600"),
    clicked: colour(dark ? "orange-400" : "orange-500"),
    ring: ["primary-600", "primary-400", "primary-200", "green-500", "orange-400"].map(colour),
  };
}

const number = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function base(colours, { percent = false } = {}) {
  const write = (value) => (percent ? `${value} %` : number.format(value));
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: { duration: 300 },
    interaction: { mode: "index", intersect: false },
    layout: { padding: { top: 4 } },
    scales: {
      x: {
        border: { display: false },
        grid: { display: false },
        ticks: { color: colours.text, maxRotation: 0, autoSkipPadding: 16 },
      },
      y: {
        beginAtZero: true,
        border: { display: false },
        grid: { color: colours.grid, drawTicks: false },
        ticks: {
          color: colours.text,
          maxTicksLimit: 6,
          padding: 8,
          precision: percent ? undefined : 0,
          callback: (value) => (percent ? `${value} %` : short.format(value)),
        },
      },
    },
    plugins: {
      legend: { display: false }, // the page has one in HTML: readable by everybody, wraps on phones
      tooltip: {
        padding: 10,
        cornerRadius: 6,
        boxPadding: 4,
        usePointStyle: true,
        callbacks: { label: (item) => ` ${item.dataset.label}: ${write(item.parsed.y)}` },
      },
    },
  };
}

function line(series, colours, extra = {}) {
  return {
    type: "line",
    label: series.label,
    data: series.data,
    borderColor: colours[series.key],
    backgroundColor: colours[series.key],
    borderWidth: 2,
    // A day without a send has no rate; a lone day is still a dot.
    spanGaps: true,
    pointRadius: series.data.filter((value) => value !== null).length > 31 ? 0 : 2.5,
    pointHoverRadius: 5,
    cubicInterpolationMode: "monotone",
    ...extra,
  };
}

export function volume(data, colours) {
  const [sent, delivered, opened] = data.series;
  const bar = (series, share) => ({
    type: "bar",
    label: series.label,
    data: series.data,
    backgroundColor: colours[series.key],
    borderRadius: 5,
    grouped: false,
    maxBarThickness: 34 * share,
    categoryPercentage: 0.78,
    barPercentage: share,
  });
  const options = base(colours);
  options.plugins.tooltip.itemSort = (a, b) => b.datasetIndex - a.datasetIndex; // sent, delivered, opened
  return {
    type: "bar",
    data: {
      labels: data.labels,
      datasets: [line(opened, colours), { ...bar(delivered, 0.62), order: 1 }, { ...bar(sent, 1), order: 2 }],
    },
    options,
  };
}

export function engagement(data, colours) {
  return {
    type: "line",
    data: { labels: data.labels, datasets: data.series.map((series) => line(series, colours)) },
    options: base(colours, { percent: true }),
  };
}

function engagementCurve(data, colours) {
  return {
    type: "line",
    data: { labels: data.labels, datasets: data.series.map((series) => line(series, colours)) },
    options: base(colours),
  };
}

function channels(data, colours) {
  return {
    type: "doughnut",
    data: {
      labels: data.labels,
      datasets: [
        { data: data.series[0].data, backgroundColor: colours.ring, borderColor: colours.surface, borderWidth: 2 },
      ],
    },
    options: {
      responsive: true,
      maintainAspectRatio: false,
      cutout: "72%",
      animation: { duration: 300 },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { label: (item) => ` ${item.label}: ${number.format(item.parsed)}` } },
      },
    },
  };
}

function draw(canvas) {
  const source = canvas.parentElement.querySelector('script[type="application/json"]');
  const kind = KINDS[canvas.dataset.chart];
  if (!source || !kind || !window.Chart) return;
  drawn.get(canvas)?.destroy();
  const config = kind(JSON.parse(source.textContent), palette());
  drawn.set(canvas, new window.Chart(canvas, config));
}

// What another script puts into the page later: its charts are drawn, its htmx attributes bound.
function adopt(node) {
  if (!(node instanceof HTMLElement)) return;
  node.querySelectorAll("canvas[data-chart]").forEach(draw);
  if (node.querySelector("[hx-get]")) window.htmx?.process(node);
}

function drawAll() {
  window.Chart.defaults.font.family = "Inter, sans-serif";
  document.querySelectorAll("canvas[data-chart]").forEach(draw);
}

drawAll();
new MutationObserver((changes) => {
  for (const change of changes) change.addedNodes.forEach(adopt);
  for (const [canvas, chart] of drawn) {
    if (!canvas.isConnected) {
      chart.destroy();
      drawn.delete(canvas);
    }
  }
}).observe(document.body, { childList: true, subtree: true });
let theme = document.documentElement.classList.contains("dark");
new MutationObserver(() => {
  const now = document.documentElement.classList.contains("dark");
  if (now !== theme) {
    theme = now;
    drawAll();
  }
}).observe(document.documentElement, { attributeFilter: ["class"] });
