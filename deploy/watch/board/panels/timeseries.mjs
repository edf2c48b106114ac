// Lines, bars and stacks over time, with thresholds, exemplars and a legend.
import { chart, labelRoom, markSeries, slowest, timeAxis, valueAxis, valueScale } from '../axes.mjs';
import { colorOf } from '../colors.mjs';
import { configOf, seriesColor, thresholdSteps } from '../fields.mjs';
import { legend } from '../legend.mjs';
import { place } from '../svg.mjs';

function linesOf(result) {
  const lines = result.series.map((one) => ({ ...one, config: configOf(result.panel, one) }));
  for (const [i, line] of lines.entries()) {
    line.color = seriesColor(line.values, line.config, i);
    line.title = line.config.displayName ?? line.name;
    line.hidden = line.config.custom.hideFrom?.viz;
    if (line.config.custom.transform === 'negative-Y') line.values = line.values.map((value) => -value);
  }
  return lines;
}

/** Points with a hole where samples are missing or not a number. */
function pointsOf({ times, values, config }, step) {
  const points = [];
  times.forEach((at, i) => {
    if (i > 0 && at - times[i - 1] > step * 1.5 && !config.custom.spanNulls) points.push([at - step, null]);
    points.push([at, Number.isFinite(values[i]) ? values[i] : null]);
  });
  return points;
}

/** Every line of a stack at the same times, each on top of those before. */
function stack(lines) {
  const times = [...new Set(lines.flatMap((line) => line.times))].sort((a, b) => a - b);
  const base = new Map(times.map((at) => [at, 0]));
  const share = lines[0].config.custom.stacking.mode === 'percent';
  const values = lines.map((line) => new Map(line.times.map((at, i) => [at, Number.isFinite(line.values[i]) ? line.values[i] : 0])));
  const total = (at) => (share ? values.reduce((sum, one) => sum + (one.get(at) ?? 0), 0) || 1 : 1);
  lines.forEach((line, i) => {
    line.stacked = times.map((at) => {
      const low = base.get(at);
      base.set(at, low + (values[i].get(at) ?? 0) / total(at));
      return [at, low, base.get(at)];
    });
  });
}

const isAlone = (points, i) => (points[i - 1]?.[1] ?? null) === null && (points[i + 1]?.[1] ?? null) === null;

function drawn(line, step, yAxisIndex) {
  const { drawStyle = 'line', lineWidth = 1, fillOpacity = 0, lineInterpolation = 'linear', showPoints } = line.config.custom;
  const points = line.stacked ? line.stacked.map(([at, , top]) => [at, top]) : pointsOf(line, step);
  const shared = {
    data: points,
    yAxisIndex,
    silent: true,
    itemStyle: { color: line.color, opacity: 1 },
    animation: false,
    z: line.stacked ? 2 : 3,
  };
  if (drawStyle === 'bars')
    return {
      ...shared,
      type: 'custom',
      encode: { x: 0, y: 1 },
      clip: true,
      renderItem: (_, api) => bar(line, step, api),
      data: line.stacked ?? points.map(([at, value]) => [at, 0, value]),
    };
  return {
    ...shared,
    type: 'line',
    connectNulls: line.config.custom.spanNulls === true,
    step: { stepAfter: 'end', stepBefore: 'start' }[lineInterpolation] ?? false,
    symbol: 'circle',
    showAllSymbol: true,
    symbolSize: (_, { dataIndex }) => (drawStyle === 'points' || showPoints === 'always' ? 5 : isAlone(points, dataIndex) ? 4 : 0),
    lineStyle: { color: line.color, width: drawStyle === 'points' ? 0 : lineWidth },
    ...(!line.stacked && fillOpacity > 0 && { areaStyle: { color: line.color, opacity: fillOpacity / 100, origin: 'start' } }),
  };
}

/** From half a step before to half a step after, on whole pixels; with a gap where there is room for one. */
function bar(line, step, api) {
  if (!Number.isFinite(api.value(2)) || api.value(1) === api.value(2)) return null;
  const [left, low] = api.coord([api.value(0) - step / 2, api.value(1)]).map(Math.round);
  const [right, high] = api.coord([api.value(0) + step / 2, api.value(2)]).map(Math.round);
  const width = Math.max(1, right - left - (right - left > 4 ? 1 : 0));
  return {
    type: 'rect',
    shape: { x: left, y: high, width, height: low - high },
    style: { fill: line.color, opacity: Math.max(0.3, (line.config.custom.fillOpacity ?? 0) / 100) },
  };
}

/** The area between a stacked line and the one below it. */
function filled(line, yAxisIndex) {
  const { fillOpacity = 0, drawStyle } = line.config.custom;
  if (!line.stacked || !fillOpacity || drawStyle === 'bars') return [];
  return [
    {
      type: 'custom',
      yAxisIndex,
      silent: true,
      clip: true,
      z: 1,
      data: [[line.stacked[0][0], 0]],
      renderItem: (_, api) => ({
        type: 'polygon',
        style: { fill: line.color, opacity: fillOpacity / 100 },
        shape: {
          points: [
            ...line.stacked.map(([at, , top]) => api.coord([at, top])),
            ...line.stacked.toReversed().map(([at, low]) => api.coord([at, low])),
          ],
        },
      }),
    },
  ];
}

function thresholds(panel, config, scale) {
  const mode = config.custom.thresholdsStyle?.mode ?? 'off';
  const steps = thresholdSteps(config, scale).filter(({ value }) => value > scale.min && value < scale.max);
  if (mode === 'off' || steps.length === 0) return [];
  const areas = steps.map(({ value, color }, i) => [
    { yAxis: value, itemStyle: { color, opacity: 0.1 } },
    { yAxis: steps[i + 1]?.value ?? scale.max },
  ]);
  return [
    {
      type: 'line',
      data: [],
      silent: true,
      ...(mode !== 'area' && {
        markLine: {
          symbol: 'none',
          animation: false,
          label: { show: false },
          data: steps.map(({ value, color }) => ({
            yAxis: value,
            lineStyle: { color, width: 1, type: mode.startsWith('dashed') ? 'dashed' : 'solid', opacity: 0.9 },
          })),
        },
      }),
      ...(mode.includes('area') && { markArea: { data: areas } }),
    },
  ];
}

export function timeseries(result, { x, y, width, height, marks }) {
  const { panel, range } = result;
  const lines = linesOf(result);
  const shown = lines.filter((line) => !line.hidden);
  const pile = ({ config: { custom } }) =>
    ['normal', 'percent'].includes(custom.stacking?.mode) ? `${custom.stacking.group ?? 'A'} ${custom.axisPlacement}` : '';
  for (const name of new Set(shown.map(pile).filter(Boolean))) stack(shown.filter((line) => pile(line) === name));
  const step = result.queries[0]?.step ?? 15_000;

  const sides = ['left', 'right'].map((side) => {
    const own = shown.filter(({ config }) => (config.custom.axisPlacement === 'right') === (side === 'right'));
    const percent = own.some(({ config }) => config.custom.stacking?.mode === 'percent');
    const config = { ...(own[0]?.config ?? configOf(panel, { name: '' })), ...(percent && { unit: 'percentunit', min: 0, max: 1 }) };
    return {
      side,
      own,
      config,
      values: own.flatMap((line) =>
        line.stacked ? line.stacked.flatMap(([, low, top]) => [low, top]) : line.values.filter(Number.isFinite),
      ),
    };
  });
  sides[0].values.push(...result.exemplars.filter(({ value }) => value <= Math.max(...sides[0].values)).map(({ value }) => value));
  const key = legend(
    lines.filter((line) => !line.config.custom.hideFrom?.legend),
    panel.options ?? {},
    width,
    height,
  );
  const [w, h] = [width - key.width, height - key.height];
  const grid = { top: 8, bottom: 22, left: 0, right: 10 };
  const yAxis = sides.map(({ side, own, config, values }) => {
    const scale = valueScale(values, config, h - 30);
    if (own.length || side === 'left') grid[side] = labelRoom(scale, config);
    return {
      scale,
      axis: valueAxis(scale, config, {
        position: side,
        show: side === 'left' || own.length > 0,
        ...(side === 'right' && { splitLine: { show: false } }),
      }),
    };
  });
  const seen = slowest(
    result.exemplars.filter(({ value }) => value <= yAxis[0].scale.max),
    range,
  );
  const svg = chart(w, h, {
    grid,
    xAxis: timeAxis(range, w - grid.left - grid.right),
    yAxis: yAxis.map(({ axis }) => axis),
    series: [
      markSeries(marks, range),
      ...thresholds(panel, sides[0].config, yAxis[0].scale),
      ...sides.flatMap(({ own }, i) => own.toReversed().flatMap((line) => [...filled(line, i), drawn(line, step, i)])),
      {
        type: 'scatter',
        symbol: 'diamond',
        symbolSize: 7,
        silent: true,
        z: 4,
        itemStyle: { color: colorOf('blue') },
        data: seen.map(({ at, value }) => [at, value]),
      },
    ],
  });
  return place(x, y, w, h, svg) + (key.width ? key.svg(x + w + 8, y + 4) : key.svg(x, y + h));
}
