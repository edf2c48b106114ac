// Where the observations of a histogram lie over time, with exemplars.
import { chart, labelRoom, markSeries, slowest, timeAxis, valueAxis } from '../axes.mjs';
import { colorOf, schemeColor, THEME } from '../colors.mjs';
import { formatNumber, formatTick } from '../format.mjs';
import { label, place, rect } from '../svg.mjs';

/** Cumulative buckets by upper bound as what is in each bucket alone: [{ bound, counts: time → number }]. */
function buckets(series) {
  const sorted = series
    .map((one) => ({ ...one, bound: one.labels.le === '+Inf' ? Infinity : Number(one.labels.le) }))
    .sort((a, b) => a.bound - b.bound);
  return sorted.map(({ bound, times, values }, i) => {
    const below = i > 0 ? new Map(sorted[i - 1].times.map((at, k) => [at, sorted[i - 1].values[k]])) : new Map();
    return { bound, counts: new Map(times.map((at, k) => [at, Math.max(0, values[k] - (below.get(at) ?? 0))])) };
  });
}

/** Bounds above and below which nothing was ever seen are left out, but for one of each. */
function used(rows) {
  const busy = rows.map(({ counts }) => [...counts.values()].some((count) => count > 0));
  const [first, last] = [busy.indexOf(true), busy.lastIndexOf(true)];
  return first < 0 ? rows : rows.slice(Math.max(0, first - 1), last + 2);
}

export function heatmap(result, { x, y, width, height, marks }) {
  const { options = {}, fieldConfig } = result.panel;
  const config = { unit: options.yAxis?.unit ?? fieldConfig?.defaults?.unit, decimals: options.yAxis?.decimals };
  const { scheme = 'Oranges', exponent = 0.5 } = options.color ?? {};
  const all = buckets(result.series);
  const rows = used(all);
  const below = all[all.indexOf(rows[0]) - 1]?.bound ?? 0;
  const cells = rows.flatMap(({ counts }, row) => [...counts].filter(([, count]) => count > 1e-9).map(([at, count]) => [at, row, count]));
  const most = cells.reduce((max, [, , count]) => Math.max(max, count), 0) || 1;
  const step = result.queries[0].step;
  const bound = (at) => (at === 0 ? below : rows[at - 1].bound);
  const rowOf = (value) => rows.findIndex((row) => value <= row.bound);
  const points = slowest(result.exemplars, result.range, ({ value }) => rowOf(value))
    .filter(({ value }) => rowOf(value) >= 0)
    .map(({ at, value }) => {
      const row = rowOf(value);
      const low = bound(row);
      const high = Number.isFinite(bound(row + 1)) ? bound(row + 1) : 2 * low;
      return [at, row + Math.min(1, (value - low) / (high - low))];
    });
  const tick = (at) =>
    at >= 0 && at <= rows.length && Number.isInteger(at) ? (bound(at) === Infinity ? '+Inf' : formatTick(bound(at), config)) : '';
  const scale = { min: 0, max: rows.length, interval: Math.ceil(rows.length / Math.max(2, (height - 60) / 15)) };
  const left = Math.max(
    ...rows.map((row) => (row.bound === Infinity ? 0 : labelRoom({ min: row.bound, max: row.bound, interval: 1 }, config))),
    40,
  );
  const axis = valueAxis(scale, config, { splitLine: { show: false } });
  Object.assign(axis.axisLabel, { formatter: tick, showMaxLabel: scale.interval === 1 });
  const h = height - 22;
  const svg = chart(width, h, {
    grid: { left, right: 10, top: 8, bottom: 22 },
    xAxis: timeAxis(result.range, width - left),
    yAxis: axis,
    series: [
      {
        type: 'custom',
        clip: true,
        silent: true,
        encode: { x: 0, y: 1 },
        data: cells,
        renderItem(_, api) {
          const [right, top] = api.coord([api.value(0), api.value(1) + 1]);
          const [w, tall] = api.size([step, 1]);
          return {
            type: 'rect',
            shape: { x: right - w, y: top, width: w - (w > 3 ? 0.5 : -0.2), height: tall - 1 },
            style: { fill: schemeColor(scheme, Math.round((api.value(2) / most) ** exponent * 15) / 15) },
          };
        },
      },
      markSeries(marks, result.range),
      {
        type: 'scatter',
        symbol: 'diamond',
        symbolSize: 7,
        silent: true,
        z: 4,
        itemStyle: { color: colorOf('blue'), borderColor: '#ffffff', borderWidth: 0.5 },
        data: points,
      },
    ],
  });
  const ramp = Array.from({ length: 16 }, (_, i) => rect(x + left + 26 + i * 8, y + height - 16, 8, 8, schemeColor(scheme, i / 15))).join(
    '',
  );
  return (
    place(x, y, width, h, svg) +
    label(x + left + 20, y + height - 8, '0', { size: 11, color: THEME.faint, anchor: 'end' }) +
    ramp +
    label(
      x + left + 160,
      y + height - 8,
      `${formatNumber(most, { unit: 'short' })} a cell${points.length ? `,  ◆ ${points.length} exemplars` : ''}`,
      { size: 11, color: THEME.faint },
    )
  );
}
