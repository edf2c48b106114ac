// The dashboards: built from their tables, clean by the rules of Grafana's linter, and about metrics, labels, boards and runbooks that exist.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parser as logql } from '@grafana/lezer-logql';
import { parser as traceql } from '@grafana/lezer-traceql';
import { parser as promql } from '@prometheus-io/lezer-promql';
import { parse as yaml } from 'yaml';
import { startServer } from '../clients/server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = path.join(root, 'dashboards');
const read = (...names) => fs.readFileSync(path.join(root, ...names), 'utf8');
const boards = fs.readdirSync(folder).filter((f) => f.endsWith('.json')).map((f) => JSON.parse(read('dashboards', f)));

// Values that nobody writes by hand stand for Grafana's variables, so that they can be told from written ones.
const MAGIC = { $__rate_interval: '11227s', $__range: '11239s', $__interval: '11243s', $__auto: '11251s' };
const fill = (text) => Object.entries(MAGIC).reduce((t, [name, value]) => t.replaceAll(name, value).replaceAll(`\${${name.slice(1)}}`, value), text);

/** Parses for real: the syntax tree, or the place of the first error. */
function parse(parser, text) {
  const tree = parser.parse(text);
  let error = text.trim() ? undefined : 'it is empty';
  tree.iterate({ enter: (node) => { if (node.type.isError) error ??= `does not parse at "${text.slice(Math.max(0, node.from - 10), node.to + 10)}"`; } });
  return { tree, error };
}

/** The selectors of an expression: metric, matchers, range, and the function that takes the range. */
function selectors(expr) {
  const text = fill(expr);
  const found = [];
  const part = (node) => text.slice(node.from, node.to);
  parse(promql, text).tree.iterate({
    enter({ name, node }) {
      if (name !== 'VectorSelector') return;
      const matchers = (node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map((m) => ({
        label: part(m.getChild('LabelName')), op: part(m.getChild('MatchOp')), value: JSON.parse(part(m.getChild('StringLiteral'))),
      }));
      const ranged = node.parent.name === 'MatrixSelector';
      let call = ranged ? node.parent.parent : null;
      while (call && call.name !== 'FunctionCall' && ['FunctionCallBody', 'OffsetExpr', 'ParenExpr'].includes(call.name)) call = call.parent;
      found.push({
        metric: part(node.getChild('Identifier')), matchers,
        range: ranged ? part(node.parent.getChild('DurationExpr')) : null,
        call: call?.name === 'FunctionCall' ? part(call.getChild('FunctionIdentifier')) : null,
      });
    },
  });
  return found;
}

/** The labels that an expression groups, joins or is shown by. */
function groupings(expr) {
  const labels = [];
  const text = fill(expr);
  parse(promql, text).tree.iterate({ enter: ({ name, node }) => { if (name === 'GroupingLabels') labels.push(...node.getChildren('LabelName').map((l) => text.slice(l.from, l.to))); } });
  return labels;
}

const WITH_QUERIES = ['stat', 'timeseries', 'bargauge', 'gauge', 'heatmap', 'table', 'state-timeline'];
const UNITS = ['none', 'short', 'percentunit', 'bytes', 's', 'ops'];
const drawn = (d) => d.panels.filter((p) => WITH_QUERIES.includes(p.type));
const targets = (d) => drawn(d).flatMap((p) => (p.targets ?? []).map((t) => ({ ...t, at: `${d.title} / ${p.title} / ${t.refId}` })));
const ofPrometheus = (d) => targets(d).filter((t) => t.datasource?.type !== 'loki');
const ofLoki = (d) => targets(d).filter((t) => t.datasource?.type === 'loki');
const variable = (d, name) => d.templating.list.find((v) => v.name === name);
/** Problems of every item: `check` says what is wrong with it, or nothing. */
const problems = (items, check) => items.flatMap((item) => [check(item)].flat().filter(Boolean).map((p) => `${item.at ?? item.title}: ${p}`));

// What is about the whole fleet has no node to select; the linter is told so in dashboards/.lint.
const FLEET = { job: /^ALERTS$/, instance: /^(ALERTS|signalbox:.*)$/ };
const templated = (d, name, label) => {
  const v = variable(d, name);
  if (!v) return [`there is no variable ${name}`];
  return [
    v.type !== 'query' && 'it is no query', v.datasource?.uid !== '${datasource}' && 'it does not use the chosen data source',
    v.label !== label && `its label is not ${label}`, !v.multi && 'only one can be selected', v.allValue !== '.+' && 'All is not .+',
  ].filter(Boolean).map((p) => `${d.title}: variable ${name}: ${p}`);
};
const matched = (d, label) => problems(ofPrometheus(d), (t) => selectors(t.expr)
  .filter(({ metric, matchers }) => !FLEET[label].test(metric) && !matchers.some((m) => m.label === label && m.op === '=~' && m.value === `$${label}`))
  .map(({ metric }) => `${metric} does not select ${label}=~"$${label}"`));

/** The rules of grafana/dashboard-linter: dashboard → problems. */
const RULES = {
  'template-datasource': (d) => {
    const all = d.templating.list.filter((v) => v.type === 'datasource');
    return all.length === 1 && all[0].name === 'datasource' && all[0].label === 'Data source' && all[0].query === 'prometheus' ? [] : [`${d.title}: no variable "datasource" of Prometheus, labelled "Data source"`];
  },
  'template-job': (d) => templated(d, 'job', 'Job'),
  'template-instance': (d) => templated(d, 'instance', 'Instance'),
  'template-label-promql': (d) => problems(d.templating.list.filter((v) => v.type === 'query').map((v) => ({ ...v, at: `${d.title} / ${v.name}` })), (v) => {
    const [, selector, label] = v.query.query.match(/^label_values\((.+), ([a-z_]+)\)$/) ?? [];
    return label ? parse(promql, selector).error : `${v.query.query} is not label_values(selector, label)`;
  }),
  'template-on-time-change-reload': (d) => problems(d.templating.list.filter((v) => v.type === 'query').map((v) => ({ ...v, at: `${d.title} / ${v.name}` })), (v) => v.refresh !== 2 && 'does not reload when the time changes'),
  'panel-datasource': (d) => problems(drawn(d), (p) => [p, ...(p.targets ?? [])].some((x) => x.datasource?.uid !== '${datasource}') && 'does not use the chosen data source'),
  'panel-title-description': (d) => problems(drawn(d), (p) => (!p.title || !p.description) && `panel ${p.id} has no title or no description`),
  'panel-units': (d) => problems(drawn(d), (p) => [p.fieldConfig?.defaults?.unit, ...(p.fieldConfig?.overrides ?? []).flatMap((o) => o.properties.filter((x) => x.id === 'unit').map((x) => x.value))]
    .filter((unit) => !UNITS.includes(unit)).map((unit) => `the unit ${unit} is not one of ours`)),
  'panel-no-targets': (d) => problems(drawn(d), (p) => !p.targets?.length && 'has no queries'),
  'target-logql': (d) => problems(ofLoki(d), (t) => parse(logql, fill(t.expr)).error),
  'target-logql-auto': (d) => problems(ofLoki(d), (t) => [...fill(t.expr).matchAll(/\[(\w+)\]/g)].filter(([, range]) => range !== MAGIC.$__auto).map(([range]) => `${range} is not [$__auto]`)),
  'target-promql': (d) => problems(ofPrometheus(d), (t) => parse(promql, fill(t.expr)).error),
  'target-rate-interval': (d) => problems(ofPrometheus(d), (t) => selectors(t.expr).filter((s) => ['rate', 'irate'].includes(s.call) && s.range !== MAGIC.$__rate_interval).map((s) => `${s.call}(${s.metric}) does not use $__rate_interval`)),
  'target-job': (d) => matched(d, 'job'),
  'target-instance': (d) => matched(d, 'instance'),
  'target-counter-agg': (d) => problems(ofPrometheus(d), (t) => selectors(t.expr).filter((s) => s.metric.endsWith('_total') && !['rate', 'irate', 'increase'].includes(s.call)).map((s) => `the counter ${s.metric} is not in rate or increase`)),
  'uneditable-dashboard': (d) => (d.editable === false ? [] : [`${d.title}: it can be edited, and the change would be lost`]),
};

/** A small dashboard without a fault, and for every rule the change that breaks that rule. */
function sound() {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const query = (name, label, text) => ({ type: 'query', name, label, datasource, query: { query: text }, refresh: 2, multi: true, allValue: '.+' });
  return {
    title: 'Small', editable: false,
    templating: {
      list: [
        { type: 'datasource', name: 'datasource', label: 'Data source', query: 'prometheus' },
        query('job', 'Job', 'label_values(a_info, job)'), query('instance', 'Instance', 'label_values(a_info{job=~"$job"}, instance)'),
      ],
    },
    panels: [
      {
        id: 1, type: 'stat', title: 'A', description: 'A.', datasource, fieldConfig: { defaults: { unit: 's' }, overrides: [] },
        targets: [{ refId: 'A', datasource, expr: 'sum(rate(a_total{job=~"$job", instance=~"$instance"}[$__rate_interval]))' }],
      },
    ],
  };
}
const logPanel = (expr) => (d) => {
  d.panels[0].targets[0].expr = expr;
  d.panels[0].targets[0].datasource = { type: 'loki', uid: '${datasource}' };
};
const expression = (expr) => (d) => { d.panels[0].targets[0].expr = expr; };
const NODES = 'job=~"$job", instance=~"$instance"';
const BROKEN = {
  'template-datasource': [(d) => d.templating.list.shift(), (d) => { d.templating.list[0].label = 'Prometheus'; }],
  'template-job': [(d) => d.templating.list.splice(1, 1), (d) => { d.templating.list[1].multi = false; }],
  'template-instance': [(d) => d.templating.list.splice(2, 1), (d) => { d.templating.list[2].allValue = '.*'; }],
  'template-label-promql': [(d) => { d.templating.list[1].query.query = 'label_values(a_info{, job)'; }, (d) => { d.templating.list[1].query.query = 'labels(a_info, job)'; }],
  'template-on-time-change-reload': [(d) => { d.templating.list[1].refresh = 1; }],
  'panel-datasource': [(d) => { d.panels[0].datasource.uid = 'prometheus'; }, (d) => { d.panels[0].targets[0].datasource = { uid: 'mine' }; }],
  'panel-title-description': [(d) => { d.panels[0].title = ''; }, (d) => { delete d.panels[0].description; }],
  'panel-units': [(d) => { delete d.panels[0].fieldConfig.defaults.unit; }, (d) => { d.panels[0].fieldConfig.defaults.unit = 'seconds'; }],
  'panel-no-targets': [(d) => { d.panels[0].targets = []; }, (d) => { delete d.panels[0].targets; }],
  'target-logql': [logPanel('{a="b" | json')],
  'target-logql-auto': [logPanel('count_over_time({a="b"}[5m])')],
  'target-promql': [expression('sum(a'), expression(''), expression('sum by (x (a)')],
  'target-rate-interval': [expression(`sum(rate(a_total{${NODES}}[5m]))`), expression(`sum(rate(a_total{${NODES}}[5m] offset 1w))`), expression(`sum(irate(a_total{${NODES}}[$__range]))`)],
  'target-job': [expression('a{instance=~"$instance"}'), expression('a{job="$job", instance=~"$instance"}'), expression('signalbox:ratio')],
  'target-instance': [expression('a{job=~"$job"}'), expression(`a{${NODES}} / b{job=~"$job"}`)],
  'target-counter-agg': [expression(`sum(a_total{${NODES}})`), expression(`max_over_time(a_total{${NODES}}[5m])`)],
  'uneditable-dashboard': [(d) => { d.editable = true; }, (d) => { delete d.editable; }],
};

describe("the linter's rules", () => {
  it('are all 17', () => assert.deepEqual([Object.keys(RULES).length, Object.keys(BROKEN)], [17, Object.keys(RULES)]));
  for (const [name, rule] of Object.entries(RULES)) {
    it(`${name}: no board breaks it`, () => assert.deepEqual(boards.flatMap(rule), []));
    it(`${name}: a broken board does`, () => {
      assert.deepEqual(rule(sound()), []);
      for (const breakIt of BROKEN[name]) {
        const d = sound();
        breakIt(d);
        assert.notDeepEqual(rule(d), [], breakIt.toString());
      }
    });
  }
  it('know the exceptions that are written down for the linter, and no others', () => {
    const { exclusions } = yaml(read('dashboards/.lint'));
    for (const label of ['job', 'instance']) {
      const written = exclusions[`target-${label}-rule`].entries.map((e) => `${e.dashboard} / ${e.panel}`);
      const needed = boards.flatMap((d) => drawn(d).filter((p) => p.targets.some((t) => selectors(t.expr).some((s) => FLEET[label].test(s.metric)))).map((p) => `${d.title} / ${p.title}`));
      assert.deepEqual(written, needed);
    }
  });
});

describe('every board', () => {
  it('is what build.mjs builds', async () => {
    delete process.env.SIGNALBOX_CONSOLE_URL;
    delete process.env.SIGNALBOX_RUNBOOKS_URL;
    const { build } = await import('../../dashboards/build.mjs');
    const built = await build();
    assert.equal(Object.keys(built).length, 9);
    assert.deepEqual([...fs.readdirSync(folder).filter((f) => f.endsWith('.json')), '.lint'], Object.keys(built));
    for (const [file, content] of Object.entries(built)) assert.equal(read('dashboards', file), content, `${file}: run node dashboards/build.mjs`);
  });

  it('has the name by which the others and the alerts link to it', () => {
    assert.deepEqual(boards.map((d) => d.uid), ['on-call', 'scan-flow', 'objectives', 'connections', 'nodes', 'signaling', 'runtime', 'telemetry'].map((name) => `signalbox-${name}`));
    for (const d of boards) {
      assert.deepEqual([d.schemaVersion, d.tags, d.refresh], [39, ['signalbox'], '30s']);
      const [others] = d.links;
      assert.deepEqual([others.type, others.tags, others.keepTime, others.includeVars], ['dashboards', ['signalbox'], true, true]);
    }
  });

  it('gives every panel an id of its own and a place of its own', () => {
    for (const d of boards) {
      assert.equal(new Set(d.panels.map((p) => p.id)).size, d.panels.length, d.title);
      const taken = new Map();
      for (const { title, gridPos: { x, y, w, h } } of d.panels) {
        assert.ok([x, y, w, h].every(Number.isInteger) && w > 0 && h > 0 && x + w <= 24, `${d.title} / ${title}: ${JSON.stringify({ x, y, w, h })}`);
        for (let column = x; column < x + w; column += 1) {
          for (let row = y; row < y + h; row += 1) {
            assert.equal(taken.get(`${column},${row}`), undefined, `${d.title}: "${title}" covers another panel`);
            taken.set(`${column},${row}`, title);
          }
        }
      }
      assert.equal(new Set(drawn(d).map((p) => p.title)).size, drawn(d).length, `${d.title}: two panels have the same title`);
    }
  });

  it('says of every panel what it means, what is normal and what to do next, and where that leads', () => {
    for (const p of boards.flatMap(drawn)) {
      assert.match(p.description, /^[^\n]{15,}\.\n\nNormal: [^\n]+\.\n\nNext: [^\n]{15,}[.?]$/, p.title);
      assert.ok(p.links.length, `${p.title} leads nowhere`);
      assert.deepEqual(p.links, p.fieldConfig.defaults.links, p.title);
    }
  });

  it('begins with numbers that answer its question', () => {
    for (const d of boards) {
      const [first, ...rest] = drawn(d);
      assert.ok(['stat', 'gauge'].includes(first.type), d.title);
      assert.ok(rest.filter((p) => p.gridPos.y === first.gridPos.y).length >= 3, d.title);
    }
  });

  it('shows errors as they are, not filled up with zeros', () => {
    for (const t of boards.flatMap(targets)) assert.doesNotMatch(t.expr, /\bor\s+(on\s*\(\)\s*)?vector\b/, t.at);
  });

  it('has expressions that Prometheus itself accepts, in annotations too', () => {
    const all = boards.flatMap((d) => [...targets(d), ...d.annotations.list].map((t) => t.expr));
    const rules = all.map((expr, i) => ({ record: `board:expression:${i}`, expr: fill(expr) }));
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-boards-')), 'rules.json');
    fs.writeFileSync(file, JSON.stringify({ groups: [{ name: 'boards', rules }] }));
    const run = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    fs.rmSync(path.dirname(file), { recursive: true });
    assert.equal(run.error, undefined, 'promtool is needed: Debian package prometheus');
    assert.equal(run.status, 0, run.stdout + run.stderr);
    assert.match(run.stdout, new RegExp(`SUCCESS: ${all.length} rules found`));
  });
});

describe('every link', () => {
  const links = boards.flatMap((d) => [...d.links, ...d.panels.flatMap((p) => [
    ...(p.links ?? []), ...(p.fieldConfig?.overrides ?? []).flatMap((o) => o.properties.filter((x) => x.id === 'links').flatMap((x) => x.value)),
    ...[...(p.options?.content ?? '').matchAll(/\]\((\S+?)\)/g)].map(([, url]) => ({ url })),
  ])]).filter((l) => l.url).map((l) => l.url);
  const leading = (pattern) => links.filter((url) => pattern.test(url));
  const FILTERS = [...read('web/console/index.html').matchAll(/<(?:select|input) name="(\w+)"/g)].map(([, name]) => name);

  it('leads to a board, the flow explorer, a runbook, logs or traces', () => {
    assert.deepEqual(links.filter((url) => !/^(\/d\/|\/explore\?|http:\/\/localhost:3000\/console#|https:\/\/signalbox\.example\/docs\/runbooks\/)/.test(url)), []);
  });

  it('to a board keeps the time and the nodes, and the board is there', () => {
    const uids = new Set(leading(/^\/d\//).map((url) => url.match(/^\/d\/([\w-]+)\?\$\{__url_time_range\}&\$\{__all_variables\}$/)?.[1]));
    assert.deepEqual([...uids].sort(), boards.map((d) => d.uid).sort(), 'every board is linked, and none that is not there');
  });

  it('to the flow explorer sets filters that it has, and the time', () => {
    for (const url of leading(/console#/)) {
      const filters = new URLSearchParams(url.split('#')[1]);
      assert.deepEqual([...filters.keys()].filter((name) => !FILTERS.includes(name)), [], url);
      assert.equal(filters.get('since'), '${__from}', url);
    }
  });

  it('to a runbook names one that an alert has', () => {
    const alerts = rulesOf('alert');
    const known = new Set(alerts.map((a) => a.annotations.runbook_url));
    for (const url of leading(/runbooks/)) if (!url.includes('${')) assert.ok(known.has(url), url);
  });

  it('to logs or traces asks in a language that they understand, for the time shown', () => {
    const seen = { loki: 0, tempo: 0 };
    for (const url of new Set(leading(/^\/explore/))) {
      const { a: { datasource, queries: [query], range } } = JSON.parse(new URL(url.replaceAll('${__', '%24{__'), 'http://x').searchParams.get('panes'));
      seen[datasource] += 1;
      assert.deepEqual(range, { from: '${__from}', to: '${__to}' });
      assert.equal(datasource === 'loki' ? parse(logql, query.expr).error : parse(traceql, query.query).error, undefined, JSON.stringify(query));
    }
    assert.ok(seen.loki && seen.tempo, JSON.stringify(seen));
  });
});

/** All alerts, or all recording rules, of alerts/*.yml. */
function rulesOf(kind) {
  const files = fs.readdirSync(path.join(root, 'alerts')).filter((f) => f.endsWith('.yml'));
  return files.flatMap((f) => yaml(read('alerts', f)).groups ?? []).flatMap((g) => g.rules).filter((r) => r[kind]);
}

describe('what the boards show', () => {
  /** Metric → label → the values it has. */
  const catalogue = new Map();
  let server;
  before(async () => {
    server = await startServer();
    const add = (metric, labels) => {
      if (!catalogue.has(metric)) catalogue.set(metric, {});
      for (const [label, value] of labels) (catalogue.get(metric)[label] ??= new Set()).add(value);
    };
    for (const line of (await (await fetch(`${server.url}/metrics`)).text()).split('\n')) {
      const [, metric, labels = ''] = line.match(/^([a-zA-Z_]\w*)(?:\{(.*)\})? /) ?? [];
      if (metric) add(metric, [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, l, v]) => [l, v]));
    }
    for (const metric of ['up', 'scrape_duration_seconds', 'scrape_samples_scraped']) add(metric, []);
    for (const rule of rulesOf('record')) add(rule.record, []);
    for (const rule of rulesOf('alert')) {
      add('ALERTS', [['alertname', rule.alert], ['alertstate', 'firing'], ['alertstate', 'pending'], ...Object.entries(rule.labels)]);
    }
  });
  after(() => server.stop());
  const queries = boards.flatMap((d) => [...targets(d), ...d.annotations.list.map((a) => ({ ...a, at: `${d.title} / ${a.name}` }))]);
  const asked = queries.flatMap((t) => selectors(t.expr).map((s) => ({ ...s, at: t.at })));

  it('is a metric that the server, Prometheus or a recording rule has', () => {
    assert.deepEqual(problems(asked, (s) => !catalogue.has(s.metric) && `${s.metric} does not exist`), []);
  });

  it('selects labels and values that exist', () => {
    assert.deepEqual(problems(asked, ({ metric, matchers }) => matchers.filter((m) => !['job', 'instance'].includes(m.label)).flatMap(({ label, value }) => {
      const values = catalogue.get(metric)?.[label];
      if (!values) return `${metric} has no label ${label}`;
      return value.split('|').filter((v) => !values.has(v)).map((v) => `${metric} has no ${label}="${v}"`);
    })), []);
  });

  it('is grouped and named by labels that exist', () => {
    const GIVEN = ['job', 'instance', 'runbook'];
    assert.deepEqual(problems(queries, (t) => {
      const labels = new Set([...GIVEN, ...selectors(t.expr).flatMap((s) => Object.keys(catalogue.get(s.metric) ?? {}))]);
      const used = [...groupings(t.expr), ...[...(t.legendFormat ?? t.titleFormat ?? '').matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label)];
      return used.filter((label) => !labels.has(label)).map((label) => `there is no label ${label}`);
    }), []);
  });

  it('is every metric of the server that no alert looks at', () => {
    const shown = new Set([...asked, ...rulesOf('alert').flatMap((a) => selectors(a.expr))].map((s) => s.metric.replace(/_(bucket|sum|count)$/, '')));
    const missing = [...catalogue.keys()].map((m) => m.replace(/_(bucket|sum|count)$/, '')).filter((m) => !shown.has(m) && !m.startsWith('signalbox:'));
    assert.deepEqual([...new Set(missing)], []);
  });

  it('measures objectives just as the alerts do', async () => {
    const { expand, objectives, recorded } = await import('../../dashboards/promql.mjs');
    const plain = (s) => `${s.metric} ${s.matchers.filter((m) => !['job', 'instance'].includes(m.label)).map((m) => m.label + m.op + m.value).sort()}`;
    for (const [slo, { failed, total, objective }] of Object.entries(objectives)) {
      const over = (selector) => `sum(rate(${selector}[5m]))`;
      const name = recorded(slo, '5m').split('{')[0];
      const rule = rulesOf('record').find((r) => r.record === name);
      const ours = new Set(selectors(expand(`${failed(over)} / ${total(over)}`)).map(plain));
      assert.deepEqual([...ours].sort(), [...new Set(selectors(rule.expr).map(plain))].sort(), slo);
      const burn = rulesOf('alert').find((a) => a.labels.slo === slo && a.expr.includes('14.4 * '));
      assert.equal(Number(burn.expr.match(/14\.4 \* ([\d.]+)/)[1]), Number((1 - objective).toFixed(6)), slo);
    }
  });
});

describe('what Grafana is given', () => {
  const provisioning = path.join('deploy/grafana/provisioning');
  it('are data sources under the names by which boards and links know them', () => {
    const { datasources } = yaml(read(provisioning, 'datasources/signalbox.yml'));
    const [prometheus, tempo, loki] = ['prometheus', 'tempo', 'loki'].map((type) => datasources.find((d) => d.type === type));
    assert.deepEqual([tempo.uid, loki.uid], ['tempo', 'loki']);
    assert.deepEqual(prometheus.jsonData.exemplarTraceIdDestinations, [{ name: 'trace_id', datasourceUid: 'tempo' }]);
    assert.deepEqual(loki.jsonData.derivedFields.map((f) => [f.matcherRegex, f.matcherType, f.datasourceUid]), [['trace_id', 'label', 'tempo']]);
    assert.equal(tempo.jsonData.tracesToLogsV2.datasourceUid, 'loki');
  });
  it('are the boards of this folder', () => {
    const { providers: [provider] } = yaml(read(provisioning, 'dashboards/signalbox.yml'));
    assert.deepEqual([provider.type, provider.allowUiUpdates, provider.options.path], ['file', false, '/etc/grafana/dashboards/signalbox']);
    assert.ok(read('deploy/grafana/README.md').includes(`dashboards:${provider.options.path}:ro`));
  });
});
