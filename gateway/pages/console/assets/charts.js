/* Charts of tables, which also serve screen readers and browsers without scripts: <div class="plot" data-table="ID"> in
   a <figure hidden>, which is shown if there is such a table.

   The first column has the times, in <time datetime>; each other column whose heading has data-color is a series, drawn
   in the color --<data-color>. With two series, the part of the first below the second is shaded: the goal was missed.
   The tables are in #chart-data. When its content changes, the charts are drawn again.

   data-column: only the series with this heading is drawn.
   data-bars: bars of this width in seconds. data-zoom: dragging selects a range, which becomes ?from=&to= of the page.
   data-unit: shown after each value. */

function readTable(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const isSeries = (heading) => heading.dataset.color && (!column || heading.textContent === column);
  const columns = headings.flatMap((heading, index) => (isSeries(heading) ? [index] : []));
  const rows = [...table.tBodies[0].rows];
  const numberIn = (cell) => {
    const number = parseFloat(cell.textContent.replaceAll(',', ''));
    return Number.isNaN(number) ? null : number;
  };
  return {
    series: columns.map((index) => ({ label: headings[index].textContent, color: headings[index].dataset.color })),
    data: [
      rows.map((row) => Date.parse(row.querySelector('time').dateTime) / 1000),
      ...columns.map((index) => rows.map((row) => numberIn(row.cells[index]))),
    ],
  };
}

const isoTime = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19);

// In UTC; the date is shown where it changes.
function timeLabels(_chart, times, _axis, _space, step) {
  let lastDate = '';
  return times.map((seconds) => {
    const [date, time] = isoTime(seconds).split('T');
    const isNewDate = date !== lastDate;
    lastDate = date;
    if (step >= 86400) return date;
    const clock = time.slice(0, step < 60 ? 8 : 5);
    return isNewDate ? `${clock}\n${date}` : clock;
  });
}

// Without the legend, which is below.
const size = (plot) => ({ width: plot.clientWidth, height: plot.dataset.bars ? 160 : 280 });

function createChart(plot, { series, data }) {
  const { bars, unit = '', zoom } = plot.dataset;
  // A canvas does not know the variables of the style sheet.
  const color = (value) => {
    plot.style.color = value;
    const resolved = getComputedStyle(plot).color;
    plot.style.color = '';
    return resolved;
  };
  const format = (value) => (value == null ? '–' : value.toLocaleString('en-US') + unit);
  const axis = {
    stroke: color('var(--quiet)'),
    grid: { stroke: color('var(--line)'), width: 1 },
    ticks: { stroke: color('var(--line)'), width: 1 },
  };
  const options = {
    ...size(plot),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'), // otherwise days would begin in local time
    cursor: { y: false, drag: { x: zoom !== undefined, y: false, setScale: false } },
    scales: {
      x: { time: true, ...(bars && { range: (_chart, min, max) => [min - 0.1 * bars, max + 1.1 * bars] }) },
      ...(bars && { y: { range: (_chart, min, max) => [Math.min(0, min), Math.max(0, max) * 1.1 || 1] } }),
    },
    axes: [
      { ...axis, space: 80, values: timeLabels, ...(bars && { incrs: [1, 2, 4, 7, 14, 28, 56].map((count) => count * bars) }) },
      {
        ...axis,
        values: (_chart, values) => values.map(format),
        size: (_chart, labels) => 20 + 7 * Math.max(3, ...(labels ?? []).map((label) => label.length)),
      },
    ],
    series: [
      { label: 'Time (UTC)', value: (_chart, seconds) => (seconds == null ? '–' : isoTime(seconds).replace('T', ' ')) },
      ...series.map((one) => ({
        label: one.label,
        stroke: color(`var(--${one.color})`),
        width: 1.5,
        points: { show: !bars && data[0].length < 2 },
        value: (_chart, value) => format(value),
        ...(bars && {
          fill: color(`var(--${one.color})`),
          paths: uPlot.paths.bars({ size: [0.8, 120], align: 1 }),
        }),
      })),
    ],
    hooks: {
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (!width) return;
          const from = isoTime(Math.floor(chart.posToVal(left, 'x')));
          const to = isoTime(Math.ceil(chart.posToVal(left + width, 'x')));
          window.location.search = new URLSearchParams({ from, to });
        },
      ],
    },
  };
  if (series.length === 2) {
    options.series.push({
      label: 'Missed by',
      width: 0,
      points: { show: false },
      value: (chart, value, _series, index) => (value == null ? '–' : format(chart.data[2][index] - value)),
    });
    options.bands = [{ series: [2, 3], fill: color('color-mix(in srgb, var(--bad) 35%, transparent)') }];
  }
  return new uPlot(options, drawn(data), plot);
}

// The third series is the lower of the two others: between it and the goal is what was missed.
function drawn(data) {
  const [times, actual, goal] = data;
  return goal ? [...data, times.map((_time, index) => Math.min(actual[index], goal[index]))] : data;
}

for (const plot of document.querySelectorAll('.plot')) {
  let chart = null;
  const read = () => document.getElementById(plot.dataset.table);
  const show = (isNew) => {
    const table = read();
    if (isNew || !table) {
      chart?.destroy();
      chart = null;
    }
    plot.closest('figure').hidden = !table;
    if (!table) return;
    const content = readTable(table, plot.dataset.column);
    if (chart) chart.setData(drawn(content.data));
    else chart = createChart(plot, content);
  };
  plot.setAttribute('aria-hidden', 'true'); // the table has the same data
  show(true);
  const changes = { childList: true, characterData: true, subtree: true };
  new MutationObserver(() => show(false)).observe(document.getElementById('chart-data'), changes);
  new ResizeObserver(() => chart?.setSize(size(plot))).observe(plot);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => show(true));
}
