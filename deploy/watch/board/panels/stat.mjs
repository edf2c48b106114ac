// One large number for each series, on its colour, with its course behind it.
import { inkOn, THEME } from '../colors.mjs';
import { configOf, reduce, valueColor } from '../fields.mjs';
import { formatValue, mapped } from '../format.mjs';
import { label, path, rect, textWidth } from '../svg.mjs';

/** What is shown of a panel: one entry for each series, or one that says that there is none. */
export function reduced(result) {
  const calc = result.panel.options?.reduceOptions?.calcs?.[0] ?? 'lastNotNull';
  const found = result.series.length ? result.series : [{ name: '', values: [], times: [], none: true }];
  const values = found.map((one) => reduce(one.values, calc));
  const range = { min: reduce(values, 'min') ?? 0, max: reduce(values, 'max') ?? 0 };
  return found.map((one, index) => {
    const config = configOf(result.panel, one);
    const value = values[index] ?? (one.values.some(Number.isNaN) ? NaN : null);
    const missing = value === null || Number.isNaN(value);
    const color = missing ? missingColor(value, config) : valueColor(value, config, { index, range });
    return { ...one, config, value, text: formatValue(value, config), color, title: config.displayName ?? one.name, none: value === null };
  });
}

/** Nothing where something should be is red; a text that the board has for it, like "no traffic", is not. */
function missingColor(value, config) {
  const text = formatValue(value, config);
  const own = mapped(value, config.mappings)?.color;
  return own ? valueColor(value, config) : /^no data$/i.test(text) ? THEME.bad : THEME.faint;
}

function course(one, x, y, width, height, color) {
  const points = one.times.map((at, i) => [at, one.values[i]]).filter(([, value]) => Number.isFinite(value));
  if (points.length < 2) return '';
  const values = points.map(([, value]) => value);
  const low = Math.min(one.config.min ?? Infinity, ...values);
  const high = Math.max(low + Number.EPSILON, ...values);
  const [start, end] = [points[0][0], points.at(-1)[0]];
  const line = points.map(([at, value]) => [
    x + ((at - start) / (end - start)) * width,
    y + height - ((value - low) / (high - low)) * height * 0.9 - 2,
  ]);
  return (
    path([[x, y + height], ...line, [x + width, y + height]], { fill: color, opacity: 0.25, closed: true }) +
    path(line, { stroke: color, width: 1.2 })
  );
}

/** As near to square cells as the space allows. */
function cells(count, width, height, orientation) {
  if (orientation === 'vertical') return { columns: count, rows: 1 };
  if (orientation === 'horizontal') return { columns: 1, rows: count };
  const columns = Array.from({ length: count }, (_, i) => i + 1).find((n) => width / n / (height / Math.ceil(count / n)) <= 3.2) ?? count;
  return { columns, rows: Math.ceil(count / columns) };
}

export function stat(result, { x, y, width, height }) {
  const {
    textMode = 'auto',
    colorMode = 'value',
    graphMode = 'area',
    orientation = 'auto',
    justifyMode = 'auto',
  } = result.panel.options ?? {};
  const values = reduced(result);
  const { columns, rows } = cells(values.length, width, height, orientation);
  const [w, h] = [width / columns, height / rows];
  const named = textMode === 'value_and_name' || textMode === 'name' || (textMode === 'auto' && values.length > 1);
  const drawn = graphMode === 'area' && values.some((one) => one.times.length > 1);
  const size = Math.min(
    h * (named ? 0.38 : drawn ? 0.45 : 0.55),
    44,
    ...values.map((one) => ((w - 24) / textWidth(textMode === 'name' ? one.title : one.text, 1)) * 0.98),
  );
  const centred = justifyMode === 'center' || (values.length === 1 && !named);
  return values
    .map((one, i) => {
      const [left, top] = [x + (i % columns) * w, y + Math.floor(i / columns) * h];
      const background = colorMode.startsWith('background') && !one.none && one.color !== THEME.faint;
      const ink = background ? inkOn(one.color) : colorMode === 'none' ? THEME.text : one.color;
      const graph = graphMode === 'area' ? course(one, left + 1, top + h * 0.64, w - 2, h * 0.35, background ? ink : one.color) : '';
      const place = centred ? { x: left + w / 2, anchor: 'middle' } : { x: left + 12, anchor: 'start' };
      const middle = top + h * (graph ? 0.36 : 0.5);
      const name =
        named && textMode !== 'name'
          ? label(place.x, middle - size * 0.45, one.title, {
              size: 12,
              weight: 500,
              color: background ? ink : THEME.text,
              anchor: place.anchor,
              width: w - 20,
            })
          : '';
      const text = label(place.x, middle + size * (name ? 0.62 : 0.36), textMode === 'name' ? one.title : one.text, {
        size,
        weight: 600,
        color: ink,
        anchor: place.anchor,
      });
      return (background ? rect(left + 1, top + 1, w - 2, h - 2, one.color, { radius: 2 }) : '') + graph + name + text;
    })
    .join('');
}
