// Charts over time: the axes that all of them share, drawn by ECharts.
import * as echarts from 'echarts';
import { colorOf, THEME } from './colors.mjs';
import { formatTick } from './format.mjs';
import { fit, FONT, textWidth } from './svg.mjs';

echarts.setPlatformAPI({ measureText: (text, font) => ({ width: textWidth(text, parseFloat(font?.match(/([\d.]+)px/)?.[1] ?? '12')) }) });

const SIZE = 11;
const TIME_STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
const two = (number) => String(number).padStart(2, '0');

function timeText(at, every) {
  const date = new Date(at);
  const [day, time] = [`${two(date.getMonth() + 1)}-${two(date.getDate())}`, `${two(date.getHours())}:${two(date.getMinutes())}`];
  if (every >= 86_400_000) return day;
  if (every >= 21_600_000) return `${day} ${time}`;
  return every < 60_000 ? `${time}:${two(date.getSeconds())}` : time;
}

export function timeAxis({ from, to }, width) {
  const room = (step) => (step < 60_000 || step >= 21_600_000 ? 75 : 50);
  const every = TIME_STEPS.map((seconds) => seconds * 1000).find((step) => ((to - from) / step) * room(step) <= width) ?? 2_592_000_000;
  const zone = new Date(from).getTimezoneOffset() * 60_000;
  const customValues = [];
  const edge = ((to - from) / width) * 20;
  for (let at = Math.ceil((from + edge - zone) / every) * every + zone; at <= to - edge / 2; at += every) customValues.push(at);
  return {
    type: 'value',
    min: from,
    max: to,
    axisLine: { lineStyle: { color: THEME.edge } },
    axisTick: { show: false, customValues },
    splitLine: { show: false },
    axisLabel: {
      customValues,
      color: THEME.faint,
      fontSize: SIZE,
      margin: 6,
      hideOverlap: true,
      showMinLabel: true,
      showMaxLabel: true,
      formatter: (at) => timeText(at, every),
    },
  };
}

const DECIMAL = [1, 2, 5, 10];
const SEXAGESIMAL = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** A round distance between ticks: decimal, a power of two for bytes, of the clock for long times. */
function tickStep(rough, { unit, decimals }) {
  if (unit === 's' && rough > 20) return SEXAGESIMAL.find((step) => step >= rough) ?? Math.ceil(rough / 86400) * 86400;
  if (unit === 'bytes') return Math.max(1, 2 ** Math.ceil(Math.log2(rough)));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * DECIMAL.find((factor) => factor * power >= rough * 0.999);
  return decimals === 0 && !unit?.startsWith('percent') && unit !== 's' ? Math.max(1, step) : step;
}

/** From where to where a value axis goes, as Grafana chooses it: 0 is on it when it is near, ends are round. */
export function valueScale(values, config, height) {
  const custom = config.custom ?? {};
  if (custom.scaleDistribution?.type === 'log') throw new Error('logarithmic axes are not drawn here');
  let low = values.reduce((a, b) => Math.min(a, b), custom.axisSoftMin ?? Infinity);
  let high = values.reduce((a, b) => Math.max(a, b), custom.axisSoftMax ?? -Infinity);
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  if (low === high) [low, high] = low === 0 ? [0, config.unit === 'percentunit' ? 0.01 : 1] : [Math.min(0, low * 2), Math.max(0, high * 2)];
  const flat = values.every((value) => value === 0);
  const margin = flat ? 0 : (high - low) * 0.08;
  low = low >= 0 && low - margin * 2 <= 0 ? 0 : low - (custom.axisSoftMin === low ? 0 : margin);
  if (custom.axisSoftMax !== high) high += margin;
  low = config.min ?? low;
  high = config.max ?? Math.max(high, low + Number.EPSILON);
  const interval = tickStep((high - low) / Math.max(2, Math.min(6, Math.floor(height / 34))), config);
  return {
    min: config.min ?? Math.floor(low / interval) * interval,
    max: config.max ?? Math.ceil(high / interval - 1e-9) * interval,
    interval,
  };
}

export function valueAxis(scale, config, more = {}) {
  return {
    ...scale,
    type: 'value',
    splitLine: { lineStyle: { color: THEME.grid } },
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: {
      color: THEME.faint,
      fontSize: SIZE,
      formatter: (value) => formatTick(Math.abs(value) < scale.interval * 1e-6 ? 0 : value, config),
    },
    ...more,
  };
}

/** Room that the labels of a value axis need. */
export function labelRoom(scale, config) {
  let room = 0;
  for (let at = scale.min; at <= scale.max * 1.0001; at += scale.interval) room = Math.max(room, textWidth(formatTick(at, config), SIZE));
  return Math.ceil(room) + 12;
}

export const nameAxis = (names, room) => ({
  type: 'category',
  data: names,
  inverse: true,
  axisLine: { show: false },
  axisTick: { show: false },
  splitLine: { show: false },
  axisLabel: { color: THEME.text, fontSize: SIZE, interval: 0, formatter: (name) => fit(name, SIZE, room - 10) },
});

/** Stretches of one colour that overlap as one, so that many alerts at once do not hide what is below. */
function joined(stretches) {
  const found = [];
  for (const one of stretches.toSorted((a, b) => a.from - b.from)) {
    const last = found.findLast(({ color }) => color === one.color);
    if (last && one.from <= last.to) last.to = Math.max(last.to, one.to);
    else found.push({ ...one });
  }
  return found;
}

/** What happened, as vertical lines where it began and a tint while it lasted. */
export function markSeries(marks, range) {
  const seen = marks.filter((mark) => mark.to >= range.from && mark.from <= range.to);
  const style = (color) => ({ color: colorOf(color), type: 'dashed', width: 1 });
  const areas = joined(seen.filter(({ from, to }) => to > from));
  return {
    type: 'line',
    data: [],
    silent: true,
    z: 0,
    markLine: {
      symbol: 'none',
      animation: false,
      label: { show: false },
      data: seen.filter(({ from }) => from > range.from).map(({ from, color }) => ({ xAxis: from, lineStyle: style(color) })),
    },
    markArea: {
      data: areas.map(({ from, to, color }) => [
        { xAxis: Math.max(from, range.from), itemStyle: { color: colorOf(color), opacity: 0.05 } },
        { xAxis: Math.min(to, range.to) },
      ]),
    },
  };
}

/** Of exemplars that lie close together in time (and by `group`) the slowest one, so that each can be seen. */
export function slowest(exemplars, { from, to }, group = () => '') {
  const kept = new Map();
  for (const one of exemplars) {
    const key = `${Math.floor(((one.at - from) / (to - from)) * 60)} ${group(one)}`;
    if (!(kept.get(key)?.value >= one.value)) kept.set(key, one);
  }
  return [...kept.values()];
}

/** The chart as SVG. */
export function chart(width, height, option) {
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, width: Math.round(width), height: Math.round(height) });
  drawing.setOption({ animation: false, backgroundColor: 'transparent', textStyle: { fontFamily: FONT }, ...option });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return svg;
}

export { echarts };
