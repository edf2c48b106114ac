// Panels in short notation, turned into Grafana's JSON: title, unit, queries, what it means, and how it looks.
import { expand } from './promql.mjs';

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const HIDDEN_LEGEND = { showLegend: false, displayMode: 'list', placement: 'bottom', calcs: [] };

// Thresholds: the first colour holds from the bottom.
const steps = (base, rest) => [{ color: base, value: null }, ...rest.map(([value, color]) => ({ value, color }))];
/** More is worse. With one limit it is red from there, with two yellow and red. */
export const above = (...limits) => steps('green', limits.map((v, i) => [v, i === limits.length - 1 ? 'red' : 'yellow']));
/** Less is worse: red below the first limit, yellow below the second. */
export const below = (red, yellow = red) => steps('red', [...(yellow > red ? [[red, 'yellow']] : []), [yellow, 'green']]);
const NEUTRAL = steps('blue', []);

/** What a label's value always looks like. */
export const OUTCOMES = {
  sent: 'green', ok: 'green', queued: 'purple', duplicate: 'blue', refused: 'orange', failed: 'red', relay_failed: 'red', storage_failed: 'super-light-red', shed: 'dark-red', error: 'red', timeout: 'dark-red',
};

/** Text for values: 1 and 0 as words, or what has no traffic. */
export const words = (map, colors = {}) => [{
  type: 'value', options: Object.fromEntries(Object.entries(map).map(([value, text], index) => [value, { text, index, ...(colors[value] && { color: colors[value] }) }])),
}];
export const OK_BAD = words({ 0: 'look here', 1: 'fine' }, { 0: 'red', 1: 'green' });
const NAN = [{ type: 'special', options: { match: 'nan', result: { text: 'no traffic', index: 9 } } }];

/**
 * One panel. `queries` is an expression, or legend → expression.
 * `text` is [what it means, the normal range, the next click].
 */
function panel(type, title, unit, queries, text, {
  w, links = [], limits = NEUTRAL, colors = {}, color, mappings = [], overrides = [], custom = {}, options,
  instant = false, format = 'time_series', exemplar, ...defaults
}) {
  const named = typeof queries === 'string' ? { __auto: queries } : queries;
  const [means, normal, next] = text;
  return {
    w,
    json: {
      type, title,
      description: `${means}\n\nNormal: ${normal}\n\nNext: ${next}`,
      datasource: DATASOURCE,
      links,
      fieldConfig: {
        defaults: {
          unit, ...defaults, color: { mode: color }, mappings, thresholds: { mode: 'absolute', steps: limits }, links, custom,
        },
        overrides: [
          ...Object.entries(colors).map(([name, fixedColor]) => ({
            matcher: { id: 'byName', options: name }, properties: [{ id: 'color', value: { mode: 'fixed', fixedColor } }],
          })),
          ...overrides,
        ],
      },
      options,
      targets: Object.entries(named).map(([legendFormat, expr], i) => ({
        refId: String.fromCharCode(65 + i), datasource: DATASOURCE, expr: expand(expr), legendFormat, format,
        instant, range: !instant, ...(exemplar && { exemplar }),
      })),
    },
  };
}

const reduce = { calcs: ['lastNotNull'], fields: '', values: false };

/** One number; with `spark` its course as well. */
export const stat = (title, unit, queries, text, { spark = false, noValue = 'no data', ...o } = {}) => panel('stat', title, unit, queries, text, {
  ...o, noValue, instant: !spark, color: 'thresholds', mappings: [...(o.mappings ?? []), ...NAN],
  options: {
    reduceOptions: reduce, graphMode: spark ? 'area' : 'none', colorMode: o.limits ? 'background' : 'value',
    textMode: 'auto', justifyMode: 'center', orientation: 'auto',
  },
});

export const gauge = (title, unit, queries, text, o) => panel('gauge', title, unit, queries, text, {
  ...o, instant: true, color: 'thresholds', mappings: NAN, options: { reduceOptions: reduce, showThresholdLabels: false, showThresholdMarkers: true },
});

/** One bar for each series, longest last value at a glance. */
export const bars = (title, unit, queries, text, o = {}) => panel('bargauge', title, unit, queries, text, {
  min: 0, ...o, instant: true, color: o.limits ? 'thresholds' : 'palette-classic',
  options: { reduceOptions: reduce, orientation: 'horizontal', displayMode: 'gradient', showUnfilled: true },
});

/** Lines; `stack` piles them up, `limits` are drawn as dashed lines, the axis goes to `softMax` at least, `many` puts the legend beside with the highest value. */
export const series = (title, unit, queries, text, { stack = false, many = false, draw = 'line', softMax, ...o } = {}) => panel('timeseries', title, unit, queries, text, {
  min: 0, ...o, color: 'palette-classic',
  custom: {
    drawStyle: draw, lineWidth: 1, fillOpacity: stack || draw === 'bars' ? 60 : 10, showPoints: 'never', spanNulls: false,
    stacking: { mode: stack ? 'normal' : 'none', group: 'A' }, thresholdsStyle: { mode: o.limits ? 'dashed' : 'off' }, ...(softMax && { axisSoftMax: softMax }),
  },
  options: {
    legend: many
      ? { showLegend: true, displayMode: 'table', placement: 'right', calcs: ['max'], sortBy: 'Max', sortDesc: true }
      : { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
});

/** Where the observations of a histogram lie over time; the query is by le. */
export const heatmap = (title, unit, query, text, o = {}) => panel('heatmap', title, unit, { '{{le}}': query }, text, {
  ...o, format: 'heatmap', exemplar: true, color: 'thresholds',
  options: {
    calculate: false, cellGap: 1, color: { mode: 'scheme', scheme: 'Oranges', exponent: 0.5, steps: 64, reverse: false },
    yAxis: { unit, axisPlacement: 'left' }, rowsFrame: { layout: 'auto' }, filterValues: { le: 1e-9 },
    exemplars: { color: 'rgba(31, 96, 196, 0.9)' }, legend: { show: true }, tooltip: { mode: 'single', yHistogram: true },
  },
});

/** One row for each series that says in colour how it was over time. */
export const states = (title, queries, text, o = {}) => panel('state-timeline', title, 'short', queries, text, {
  mappings: OK_BAD, ...o, color: 'thresholds', limits: o.limits ?? below(1), custom: { lineWidth: 0, fillOpacity: 80 },
  options: { mergeValues: true, showValue: 'never', rowHeight: 0.85, alignValue: 'left', legend: HIDDEN_LEGEND, tooltip: { mode: 'single', sort: 'none' } },
});

/** Rows of now. `columns` is column → overriding properties, for example { Value: { unit: 's' } }. */
export const table = (title, unit, query, text, { columns = {}, ...o } = {}) => panel('table', title, unit, query, text, {
  ...o, instant: true, format: 'table', color: 'thresholds', custom: { align: 'left', cellOptions: { type: 'auto' } },
  options: { showHeader: true, cellHeight: 'sm', footer: { show: false, reducer: ['sum'], countRows: false, fields: '' } },
  overrides: Object.entries({ Time: { 'custom.hidden': true }, ...columns }).map(([name, properties]) => ({
    matcher: { id: 'byName', options: name }, properties: Object.entries(properties).map(([id, value]) => ({ id, value })),
  })),
});

/** A few words in Markdown. */
export const text = (title, content, { w } = {}) => ({ w, json: { type: 'text', title, description: '', options: { mode: 'markdown', content: content.trim() } } });

/** Panels side by side; those without a width share what is left of 24 columns. */
export const line = (h, ...panels) => {
  let free = panels.filter((p) => !p.w).length;
  let left = 24 - panels.reduce((sum, p) => sum + (p.w ?? 0), 0);
  let x = 0;
  const share = () => {
    const w = Math.ceil(left / free);
    left -= w;
    free -= 1;
    return w;
  };
  return {
    h,
    panels: panels.map(({ w = share(), json }) => {
      const at = { ...json, gridPos: { h, w, x } };
      x += w;
      return at;
    }),
  };
};

/** A heading over lines; without a title there is none. */
export const section = (title, ...lines) => ({ title, lines });
