// Builds the dashboards from the tables in boards/: node dashboards/build.mjs
// What other tools call lint exceptions is written beside them, with the reason.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { allFlows, errorLogs } from './links.mjs';
import { expand } from './promql.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

const variable = (name, query) => ({
  type: 'query', name, label: name[0].toUpperCase() + name.slice(1), datasource: DATASOURCE, query: { qryType: 1, query, refId: 'PrometheusVariableQueryEditor-VariableQuery' }, definition: query,
  refresh: 2, sort: 1, regex: '', multi: true, includeAll: true, allValue: '.+', current: { selected: true, text: ['All'], value: ['$__all'] }, hide: 0, options: [],
});

const annotation = (name, iconColor, expr, titleFormat) => ({
  name, enable: true, hide: false, iconColor, datasource: DATASOURCE, expr: expand(expr), step: '60s', titleFormat, textFormat: '', useValueForTime: false,
});

function dashboard({ uid, title, description, from = 'now-1h', sections }) {
  let y = 0;
  const panels = [];
  const add = (panel) => panels.push({ id: panels.length + 1, ...panel });
  for (const { title: heading, lines } of sections) {
    if (heading) {
      add({ type: 'row', title: heading, collapsed: false, panels: [], gridPos: { h: 1, w: 24, x: 0, y } });
      y += 1;
    }
    for (const { h, panels: side } of lines) {
      side.forEach((panel) => add({ ...panel, gridPos: { ...panel.gridPos, y } }));
      y += h;
    }
  }
  return {
    uid, title, description, tags: ['signalbox'], schemaVersion: 39, version: 1, editable: false, graphTooltip: 1, refresh: '30s', timezone: 'browser',
    time: { from, to: 'now' }, timepicker: {}, fiscalYearStartMonth: 0, weekStart: '', liveNow: false,
    links: [
      { type: 'dashboards', title: 'Signalbox', tags: ['signalbox'], icon: 'external link', asDropdown: false, includeVars: true, keepTime: true, targetBlank: false, tooltip: '', url: '' },
      ...[allFlows, errorLogs].map(({ title: name, url }) => (
        { type: 'link', title: name, url, tags: [], icon: 'bolt', asDropdown: false, includeVars: false, keepTime: false, targetBlank: true, tooltip: '' })),
    ],
    templating: {
      list: [
        { type: 'datasource', name: 'datasource', label: 'Data source', query: 'prometheus', regex: '', refresh: 1, multi: false, includeAll: false, current: {}, hide: 0, options: [] },
        variable('job', 'label_values(signalbox_build_info, job)'),
        variable('instance', 'label_values(signalbox_build_info{job=~"$job"}, instance)'),
      ],
    },
    annotations: {
      list: [
        annotation('Pages', 'red', 'ALERTS{alertstate="firing", severity="page"}', '{{alertname}}'),
        annotation('Restarts', 'orange', 'changes(process_start_time_seconds{@}[@]) > 0', '{{instance}} restarted'),
        annotation('Deploys', 'blue', 'signalbox_build_info{@} unless signalbox_build_info{@} offset $__rate_interval', '{{instance}} runs {{version}}'),
      ],
    },
    panels,
  };
}

// What is about all nodes together cannot be selected by node.
const EXCEPTIONS = [
  ['target-job-rule', /\bALERTS\{/, 'Alerts about the whole fleet have no job.'],
  ['target-instance-rule', /\bALERTS\{|\bsignalbox:/, 'Alerts about the whole fleet and recorded objectives have no instance.'],
];

function lintExceptions(dashboards) {
  const rules = EXCEPTIONS.map(([rule, pattern, reason]) => {
    const entries = dashboards.flatMap(({ title, panels }) => panels
      .filter((p) => p.targets?.some((t) => pattern.test(t.expr)))
      .map((p) => `      - dashboard: ${JSON.stringify(title)}\n        panel: ${JSON.stringify(p.title)}\n`));
    return `  ${rule}:\n    reason: ${reason}\n    entries:\n${entries.join('')}`;
  });
  return `# Written by build.mjs; read by grafana/dashboard-linter.\nexclusions:\n${rules.join('')}`;
}

/** File name → content, for everything that is built. */
export async function build() {
  const names = fs.readdirSync(path.join(here, 'boards')).filter((f) => f.endsWith('.mjs')).sort();
  const boards = await Promise.all(names.map(async (f) => dashboard((await import(pathToFileURL(path.join(here, 'boards', f)))).default)));
  const files = names.map((f, i) => [f.replace('.mjs', '.json'), `${JSON.stringify(boards[i], null, 2)}\n`]);
  return Object.fromEntries([...files, ['.lint', lintExceptions(boards)]]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, content] of Object.entries(await build())) fs.writeFileSync(path.join(here, file), content);
}
