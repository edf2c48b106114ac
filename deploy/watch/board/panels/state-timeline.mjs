// A row for each series that says in colour what it was over time.
import { chart, echarts, markSeries, nameAxis, timeAxis } from '../axes.mjs';
import { inkOn, THEME } from '../colors.mjs';
import { configOf, thresholdSteps, valueColor } from '../fields.mjs';
import { formatTick, formatValue } from '../format.mjs';
import { fit, label, place, rect, textWidth } from '../svg.mjs';

/** Samples as stretches of the same look. */
function stretches(one, config, row, step) {
  const found = [];
  one.times.forEach((at, i) => {
    const value = one.values[i];
    const [text, color] = [formatValue(value, config), Number.isFinite(value) ? valueColor(value, config) : THEME.dim];
    const last = found.at(-1);
    if (last && last.text === text && last.color === color && at - last.to <= step * 0.5) last.to = at + step;
    else found.push({ row, from: at, to: at + step, text, color });
  });
  return found;
}

/** What the colours mean: the mappings' texts, else the thresholds. */
function meanings(config) {
  const texts = (config.mappings ?? []).flatMap(({ type, options }) => (type === 'value' ? Object.keys(options).map(Number) : []));
  if (texts.length) return texts.map((value) => [formatValue(value, config), valueColor(value, config)]);
  return thresholdSteps(config).map(({ value, color }) => [
    Number.isFinite(value) ? `${formatTick(value, config)} and more` : 'less',
    color,
  ]);
}

export function stateTimeline(result, { x, y, width, height, marks }) {
  const { showValue = 'auto', rowHeight = 0.9, legend = {} } = result.panel.options ?? {};
  const step = result.queries[0].step;
  const rows = result.series.map((one) => ({ one, config: configOf(result.panel, one) }));
  const names = rows.map(({ one, config }) => config.displayName ?? one.name);
  const data = rows.flatMap(({ one, config }, row) => stretches(one, config, row, step));
  const room = Math.min(width * 0.35, Math.max(...names.map((name) => textWidth(name, 11))) + 14);
  const key = legend.showLegend === false && showValue !== 'never' ? 0 : 22;
  const svg = chart(width, height - key, {
    grid: { left: room, right: 10, top: 4, bottom: 22 },
    xAxis: timeAxis(result.range, width - room),
    yAxis: nameAxis(names, room),
    series: [
      {
        type: 'custom',
        clip: true,
        silent: true,
        encode: { x: [1, 2], y: 0 },
        data: data.map(({ row, from, to }) => [row, from, to]),
        renderItem(params, api) {
          const { text, color } = data[params.dataIndex];
          const [left, middle] = api.coord([api.value(1), api.value(0)]);
          const [right] = api.coord([api.value(2), api.value(0)]);
          const tall = api.size([0, 1])[1] * rowHeight;
          const shape = echarts.graphic.clipRectByRect(
            { x: left, y: middle - tall / 2, width: Math.max(1, right - left + 0.3), height: tall },
            params.coordSys,
          );
          if (!shape) return null;
          const shown = showValue !== 'never' && shape.width > 24 && tall > 12 ? fit(text, 11, shape.width - 8) : '';
          return {
            type: 'rect',
            shape,
            style: { fill: color, opacity: 0.85 },
            textContent: { style: { text: shown, fill: inkOn(color), fontSize: 11 } },
            textConfig: { position: 'insideLeft', distance: 4 },
          };
        },
      },
      markSeries(marks, result.range),
    ],
  });
  let at = x + room;
  const words = key
    ? meanings(rows[0].config)
        .map(([text, color]) => {
          const item = rect(at, y + height - 15, 10, 10, color, { radius: 2 }) + label(at + 15, y + height - 6, text, { size: 12 });
          at += textWidth(text, 12) + 34;
          return item;
        })
        .join('')
    : '';
  return place(x, y, width, height - key, svg) + words;
}
