// A field's settings (defaults and overrides), its colour, and what is left of it when it is reduced to one value.
import { colorOf, PALETTE, schemeColor } from './colors.mjs';
import { mapped } from './format.mjs';

const pattern = (text) => new RegExp(text.replace(/^\/(.*)\/\w*$/, '$1'));

const MATCHERS = {
  byName: (field, name) => field.name === name,
  byRegexp: (field, text) => pattern(text).test(field.name),
  byFrameRefID: (field, refId) => field.refId === refId,
  byType: (field, type) => (field.type ?? 'number') === type,
  byNames: (field, { names }) => names.includes(field.name),
};

function assign(config, id, value) {
  const keys = id.split('.');
  let at = config;
  for (const key of keys.slice(0, -1)) at = at[key] ??= {};
  at[keys.at(-1)] = value;
}

/** The settings of one field of a panel. */
export function configOf(panel, field) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const config = structuredClone(defaults);
  config.custom ??= {};
  for (const { matcher, properties } of overrides) {
    if (!MATCHERS[matcher.id]) throw new Error(`the override matcher ${matcher.id} is not known here`);
    if (MATCHERS[matcher.id](field, matcher.options)) for (const { id, value } of properties) assign(config, id, value);
  }
  return config;
}

const kept = (values) => values.filter((value) => value !== null && !Number.isNaN(value));
const sum = (values) => kept(values).reduce((total, value) => total + value, 0);
const quantile = (share) => (values) => kept(values).toSorted((a, b) => a - b)[Math.floor((kept(values).length - 1) * share)];

const CALCS = {
  lastNotNull: { title: 'Last *', of: (values) => kept(values).at(-1) },
  last: { title: 'Last', of: (values) => values.at(-1) },
  firstNotNull: { title: 'First *', of: (values) => kept(values)[0] },
  first: { title: 'First', of: (values) => values[0] },
  max: { title: 'Max', of: (values) => (kept(values).length ? kept(values).reduce((a, b) => Math.max(a, b)) : undefined) },
  min: { title: 'Min', of: (values) => (kept(values).length ? kept(values).reduce((a, b) => Math.min(a, b)) : undefined) },
  mean: { title: 'Mean', of: (values) => (kept(values).length ? sum(values) / kept(values).length : undefined) },
  sum: { title: 'Total', of: (values) => (kept(values).length ? sum(values) : undefined) },
  count: { title: 'Count', of: (values) => values.length },
  range: { title: 'Range', of: (values) => CALCS.max.of(values) - CALCS.min.of(values) },
  diff: { title: 'Difference', of: (values) => kept(values).at(-1) - kept(values)[0] },
  delta: {
    title: 'Delta',
    of: (values) =>
      kept(values).reduce((total, value, i, all) => total + (i === 0 ? 0 : value >= all[i - 1] ? value - all[i - 1] : value), 0),
  },
  median: { title: 'Median', of: quantile(0.5) },
  p50: { title: '50th %', of: quantile(0.5) },
  p95: { title: '95th %', of: quantile(0.95) },
  p99: { title: '99th %', of: quantile(0.99) },
};

function calc(name) {
  return (
    CALCS[name] ??
    (() => {
      throw new Error(`the calculation ${name} is not known here`);
    })()
  );
}
export const calcTitle = (name) => calc(name).title;
export const reduce = (values, name = 'lastNotNull') => calc(name).of(values) ?? null;

/** Threshold steps with their place on the field's scale. */
export function thresholdSteps(config, range = {}) {
  const { mode, steps = [] } = config.thresholds ?? {
    steps: [
      { color: 'green', value: null },
      { color: 'red', value: 80 },
    ],
  };
  const min = config.min ?? range.min ?? 0;
  const max = config.max ?? range.max ?? 100;
  return steps.map(({ color, value }) => ({
    color: colorOf(color),
    value: value === null || value === undefined ? -Infinity : mode === 'percentage' ? min + (value / 100) * (max - min) : value,
  }));
}

const thresholdColor = (value, config, range) =>
  thresholdSteps(config, range).findLast((step) => value >= step.value)?.color ?? colorOf('text');

const SCHEME = {
  'continuous-GrYlRd': 'GrYlRd',
  'continuous-RdYlGr': 'RdYlGr',
  'continuous-blues': 'Blues',
  'continuous-reds': 'Reds',
  'continuous-greens': 'Greens',
  'continuous-purples': 'Purples',
};

/** The colour of one value: its mapping's, else by the field's colour mode. */
export function valueColor(value, config, { index = 0, range } = {}) {
  const own = mapped(value, config.mappings)?.color;
  if (own) return colorOf(own);
  const mode = config.color?.mode ?? 'thresholds';
  if (mode === 'fixed' || mode === 'shades') return colorOf(config.color.fixedColor ?? 'green');
  if (mode.startsWith('palette')) return PALETTE[index % PALETTE.length];
  if (mode.startsWith('continuous'))
    return schemeColor(SCHEME[mode], (value - (range?.min ?? 0)) / ((range?.max ?? 1) - (range?.min ?? 0) || 1));
  return thresholdColor(value, config, range);
}

/** The colour of a whole series. */
export function seriesColor(values, config, index) {
  if (!config.color) return PALETTE[index % PALETTE.length];
  return valueColor(
    reduce(values, config.color.seriesBy === 'max' ? 'max' : config.color.seriesBy === 'min' ? 'min' : 'lastNotNull'),
    config,
    { index },
  );
}
