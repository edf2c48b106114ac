// Writes slo.rules.yml and signalbox.rules.yml from slos.mjs and components.mjs:  node alerts/build.mjs
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { groups as components } from './components.mjs';
import { groups as slos } from './slos.mjs';

// Where the links in notifications lead. Change them here, or in the environment, and build again.
const GRAFANA = process.env.SIGNALBOX_GRAFANA_URL ?? 'http://localhost:3001';
const CONSOLE = process.env.SIGNALBOX_CONSOLE_URL ?? 'http://localhost:3000/console';
const RUNBOOKS = process.env.SIGNALBOX_RUNBOOKS_URL ?? 'https://signalbox.example/docs/runbooks';

const indent = (text, by) => text.replace(/^(?=.)/gm, ' '.repeat(by));
const comment = (text, by) => (text ? indent(text.replace(/^/gm, '# '), by) + '\n' : '');
const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
const scalar = (text, by) => (text.includes('\n') ? `|-\n${indent(text, by)}` : quoted(text));

const annotations = (rule) => ({
  summary: rule.summary,
  impact: rule.impact,
  first_check: rule.check,
  runbook_url: `${RUNBOOKS}/${rule.runbook ?? rule.alert}.md`,
  // At the node in question, if the alert is about one.
  dashboard_url: `${GRAFANA}/d/${rule.board}?var-job=signalbox&var-instance=${rule.node ? '{{ $labels.instance | urlquery }}' : '$__all'}`,
  flows_url: `${CONSOLE}#${rule.flows}`,
});

const map = (entries, by) =>
  Object.entries(entries).map(([key, value]) => `${' '.repeat(by)}${key}: ${quoted(value)}\n`).join('');

const rule = (one) =>
  one.record
    ? `      - record: ${one.record}\n        expr: ${scalar(one.expr, 10)}\n`
    : comment(one.why, 6) +
      `      - alert: ${one.alert}\n        expr: ${scalar(one.expr, 10)}\n` +
      (one.for ? `        for: ${one.for}\n` : '') +
      `        labels: { ${Object.entries(one.labels).map(([key, value]) => `${key}: ${value}`).join(', ')} }\n` +
      `        annotations:\n${map(annotations(one), 10)}`;

const group = (one) =>
  `\n${comment(one.why, 2)}  - name: ${one.name}\n${one.interval ? `    interval: ${one.interval}\n` : ''}    rules:\n${one.rules.map(rule).join('')}`;

const file = (source, groups) =>
  `# Made by alerts/build.mjs from alerts/${source}; change it there.\ngroups:${groups.map(group).join('')}`;

/** The two files by name. */
export const files = {
  'slo.rules.yml': file('slos.mjs', slos),
  'signalbox.rules.yml': file('components.mjs', components),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(new URL(name, import.meta.url), text);
}
