// Asks Prometheus everything a dashboard asks, and tells per panel what came back.
import { milliseconds, Prometheus } from './prometheus.mjs';
import { transform } from './transform.mjs';
import { builtIn, interpolate, resolve } from './variables.mjs';

const STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map(
  (seconds) => seconds * 1000,
);
const COLUMN_PIXELS = 60;

/** As Grafana: a point for every pixel or two, not more often than is scraped, at a round step. */
function stepOf(panel, { from, to }, scrape) {
  const points = panel.maxDataPoints ?? Math.max(100, panel.gridPos.w * COLUMN_PIXELS);
  const least = panel.interval ? milliseconds(panel.interval.replace(/^>/, '')) : scrape;
  return Math.max(least, STEPS.find((step) => step >= (to - from) / points) ?? STEPS.at(-1));
}

function rangeOf(panel, range) {
  return panel.timeFrom ? { from: range.to - milliseconds(panel.timeFrom.replace(/^now-/, '')), to: range.to } : range;
}

const written = ({ __name__: name = '', ...labels }) => {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name;
};

function nameOf(target, labels, expr) {
  const format = target.legendFormat;
  if (format && format !== '__auto') return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
  const values = Object.values(labels);
  if (values.length === 0) return expr;
  return values.length === 1 ? values[0] : written(labels);
}

async function ask(target, panel, { prometheus, scrape, variables, range }) {
  if ((target.datasource?.type ?? 'prometheus') !== 'prometheus')
    throw new Error(`a target of ${target.datasource.type} cannot be asked here`);
  const step = Math.max(stepOf(panel, range, scrape), target.interval ? milliseconds(target.interval) : 0);
  const known = { ...variables, ...builtIn(range, step, scrape) };
  const expr = interpolate(target.expr, known);
  const unknown = expr.match(/\$\{?[A-Za-z_]\w*/);
  if (unknown) throw new Error(`${unknown[0]} is not a variable of this dashboard`);
  const instant = target.instant && !target.range;
  const aligned = { from: Math.floor(range.from / step) * step, to: Math.floor(range.to / step) * step, step };
  const series = instant ? await prometheus.instant(expr, range.to) : await prometheus.range(expr, aligned);
  const exemplars = target.exemplar ? await prometheus.exemplars(expr, range) : [];
  return {
    refId: target.refId,
    expr,
    step,
    format: target.format ?? 'time_series',
    instant,
    exemplars,
    series: series.map((one) => ({ ...one, refId: target.refId, name: nameOf(target, one.labels, expr) })),
  };
}

async function evaluatePanel(panel, board) {
  const range = rangeOf(panel, board.range);
  const result = {
    panel,
    id: panel.id,
    title: panel.title ?? '',
    type: panel.type,
    range,
    queries: [],
    series: [],
    exemplars: [],
    error: null,
  };
  try {
    if (panel.repeat) throw new Error('repeated panels are not known here');
    for (const target of panel.targets ?? []) {
      if (target.hide) continue;
      const query = await ask(target, panel, { ...board, range });
      result.queries.push(query);
      result.series.push(...query.series);
      result.exemplars.push(...query.exemplars);
    }
    if (panel.type === 'table') result.table = transform(result.queries, panel.transformations);
    else if (panel.transformations?.length) throw new Error(`transformations are only known here for tables, not for ${panel.type}`);
  } catch (error) {
    result.error = error.message;
  }
  const values = result.series.flatMap((one) => one.values);
  result.points = values.length;
  result.nonFinite = values.filter((value) => !Number.isFinite(value)).length;
  result.empty = result.queries.length > 0 && values.length === 0 && !result.error;
  return result;
}

/** Annotations as stretches of time: from the first to the last sample without a gap. */
async function marks(board, prometheus, variables, range, scrape) {
  const found = [];
  for (const source of board.annotations?.list ?? []) {
    if (source.enable === false || !source.expr) continue;
    const step = stepOf({ gridPos: { w: 24 } }, range, scrape);
    const series = await prometheus.range(interpolate(source.expr, { ...variables, ...builtIn(range, step, scrape) }), { ...range, step });
    for (const { labels, times, values } of series) {
      const at = times.filter((_, i) => values[i]);
      const starts = at.filter((time, i) => i === 0 || time - at[i - 1] > step * 1.5);
      const text = (source.titleFormat ?? source.name).replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
      for (const [i, from] of starts.entries())
        found.push({ from, to: at.findLast((time) => time < (starts[i + 1] ?? Infinity)), text, color: source.iconColor ?? 'blue' });
    }
  }
  return found;
}

/**
 * Everything a dashboard shows, from a live Prometheus: { board, range, variables, marks, panels: [per panel] }.
 * A failing query does not throw; it is its panel's `error`.
 */
export async function evaluate(board, url, { from, to, variables: chosen, panel: only } = {}) {
  const prometheus = new Prometheus(url);
  const range = { to: to ?? Date.now(), from: from ?? (to ?? Date.now()) - 600_000 };
  const scrape = await prometheus.scrapeInterval();
  const variables = await resolve(board, prometheus, chosen);
  const asked = board.panels.filter((panel) => only === undefined || panel.id === only);
  if (asked.length === 0) throw new Error(`the dashboard has no panel ${only}`);
  const panels = [];
  for (const panel of asked) panels.push(await evaluatePanel(panel, { prometheus, scrape, variables, range }));
  return { board, range, variables, marks: await marks(board, prometheus, variables, range, scrape), panels };
}
