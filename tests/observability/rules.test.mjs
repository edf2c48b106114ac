// The rules, prometheus.yml, Alertmanager's configuration and the runbooks, held against the tools that read them, the
// server's own metrics and each other.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { files as ruleFiles } from '../../alerts/build.mjs';
import { files as burnTests } from '../../alerts/tests/burn.mjs';
import { startServer, until } from '../clients/server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const ANNOTATIONS = ['summary', 'impact', 'first_check', 'runbook_url', 'dashboard_url', 'flows_url'];
const at = (...parts) => path.join(root, ...parts);
const read = (...parts) => fs.readFileSync(at(...parts), 'utf8');
const list = (directory, ending) => fs.readdirSync(at(directory)).filter((name) => name.endsWith(ending));

const rules = list('alerts', '.rules.yml').flatMap((name) => parse(read('alerts', name)).groups.flatMap((group) => group.rules.map((rule) => ({ ...rule, file: name }))));
const alerts = rules.filter((rule) => rule.alert);
const names = [...new Set(alerts.map(({ alert }) => alert))];
const tests = list('alerts/tests', '.test.yml').map((name) => ({ name, ...parse(read('alerts/tests', name)) }));
const runbooks = list('docs/runbooks', '.md').map((name) => ({ name, text: read('docs/runbooks', name) }));
/** Every line of a runbook's promql blocks is an expression of its own. */
const runbookQueries = runbooks.flatMap(({ name, text }) => [...text.matchAll(/```promql\n([^]*?)```/g)].flatMap(([, block]) =>
  block.trim().split('\n').map((line) => ({ where: name, expr: line.trim() }))));
const steps = /^(On |Ask |grep )/;
const firstChecks = alerts.filter(({ annotations }) => !steps.test(annotations.first_check))
  .map(({ alert, annotations }) => ({ where: `${alert}, first_check`, expr: annotations.first_check.replace(/\{\{.*?\}\}/g, 'any') }));
const expressions = [...rules.map((rule) => ({ where: rule.alert ?? rule.record, expr: rule.expr })), ...runbookQueries, ...firstChecks];

/** Runs a tool that must be content. */
function run(program, ...args) {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: root });
  assert.equal(error, undefined, `${program} is needed: Debian packages prometheus and prometheus-alertmanager`);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-rules-'));
let exported;
before(async () => {
  const server = await startServer();
  exported = Object.keys(await server.metrics()).map((series) => {
    const [, name, labels = ''] = series.match(/^(\w+)(?:\{(.*)\})?$/);
    return { name, labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value])) };
  });
  await server.stop();
});
after(() => fs.rmSync(scratch, { recursive: true, force: true }));

it('promtool accepts prometheus.yml and the rules, and the tests of the rules pass', () => {
  run('promtool', 'check', 'config', 'prometheus.yml');
  run('promtool', 'check', 'rules', ...list('alerts', '.rules.yml').map((name) => `alerts/${name}`));
  run('promtool', 'test', 'rules', ...tests.map(({ name }) => `alerts/tests/${name}`));
});

it('what is built is what is committed', () => {
  for (const [name, text] of Object.entries(ruleFiles)) assert.equal(read('alerts', name), text, `alerts/${name}: run node alerts/build.mjs`);
  for (const [name, text] of Object.entries(burnTests)) assert.equal(read('alerts/tests', name), text, `alerts/tests/${name}: run node alerts/tests/burn.mjs`);
});

it('every query of a runbook and every first check is PromQL', () => {
  const groups = [{ name: 'queries', rules: [...runbookQueries, ...firstChecks].map(({ where, expr }, i) => ({ record: `query:${i}`, expr, labels: { where } })) }];
  fs.writeFileSync(path.join(scratch, 'queries.yml'), stringify({ groups }));
  run('promtool', 'check', 'rules', path.join(scratch, 'queries.yml'));
});

it('every metric and label value that is asked for is exported', () => {
  const made = new Set([...rules.map((rule) => rule.record).filter(Boolean), 'up', 'ALERTS', 'scrape_samples_scraped', 'scrape_samples_post_metric_relabeling']);
  const KEYWORDS = new Set(['and', 'or', 'unless', 'offset', 'bool']);
  for (const { where, expr } of expressions) {
    const bare = expr.replace(/\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)/g, ' ').replace(/\[[^\]]*\]/g, ' ').replace(/offset \w+/g, ' ');
    const selectors = [...bare.matchAll(/([a-zA-Z_:][\w:]*)(\{[^}]*\})?(?!\s*\(|[\w:])/g)].filter(([, name]) => !KEYWORDS.has(name));
    const outside = selectors.filter(({ index }) => (bare.slice(0, index).match(/"/g) ?? []).length % 2 === 0);
    for (const [, name, matchers = ''] of outside) {
      if (made.has(name)) continue;
      const wanted = [...matchers.matchAll(/(\w+)(=~|=|!=)"([^"]*)"/g)].filter(([, label]) => !['job', 'instance'].includes(label));
      const candidates = exported.filter((series) => series.name === name);
      assert.ok(candidates.length, `${where}: the server exports no ${name}`);
      for (const [, label, how, value] of wanted) {
        // Every alternative of a regular expression must exist, not only one.
        for (const one of how === '=~' ? value.split('|') : [value]) {
          assert.ok(candidates.some(({ labels }) => labels[label] === one), `${where}: the server exports no ${name} with ${label}="${one}"`);
        }
      }
    }
  }
});

it('every alert says what it is, and every runbook belongs to one', () => {
  const linked = new Set();
  const boards = new Set(list('dashboards', '.json').map((name) => JSON.parse(read('dashboards', name)).uid));
  for (const { alert, labels, annotations } of alerts) {
    assert.match(labels.severity, /^(page|ticket|none)$/, alert);
    assert.ok(labels.component, `${alert}: component`);
    assert.deepEqual(Object.keys(annotations), ANNOTATIONS, alert);
    for (const [key, text] of Object.entries(annotations)) assert.ok(text.trim(), `${alert}: ${key}`);
    const runbook = annotations.runbook_url.split('/').at(-1);
    assert.ok(fs.existsSync(at('docs/runbooks', runbook)), `${alert}: docs/runbooks/${runbook}`);
    linked.add(runbook);
    const board = annotations.dashboard_url.match(/\/d\/([\w-]+)\?/)[1];
    assert.ok(boards.has(board), `${alert}: there is no board ${board}`);
  }
  assert.deepEqual(runbooks.map(({ name }) => name).sort(), [...linked].sort());
  for (const { name, text } of runbooks) {
    assert.deepEqual([...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title), ['Meaning', 'Impact', 'Diagnosis', 'Mitigation'], name);
    assert.match(text, /```promql/, `${name}: a query`);
    for (const [, link] of text.matchAll(/\]\(([\w.]+)\)/g)) assert.ok(fs.existsSync(at('docs/runbooks', link)), `${name}: ${link}`);
  }
});

it('every alert has a test in which it fires and one in which it does not', () => {
  const checks = tests.flatMap((test) => test.tests.flatMap((group) => group.promql_expr_test ?? []));
  for (const alert of names) {
    const own = checks.filter(({ expr }) => expr.includes(`alertname="${alert}"`));
    assert.ok(own.some(({ exp_samples }) => exp_samples.some(({ labels }) => labels.includes('alertstate="firing"'))), `${alert} fires in no test`);
    if (alert !== 'Watchdog') assert.ok(own.some(({ exp_samples }) => exp_samples.length === 0), `${alert} is silent in no test`);
  }
});

it('every annotation can be filled in', () => {
  // promtool shows what it got when nothing was expected.
  const seen = new Map();
  for (const test of tests) {
    const groups = [];
    for (const { promql_expr_test: checks = [], ...group } of test.tests) {
      const firing = checks.filter(({ exp_samples }) => exp_samples.some(({ labels }) => labels?.includes('firing')))
        .map((check) => ({ alertname: check.expr.match(/alertname="(\w+)"/)[1], eval_time: check.eval_time }))
        .filter(({ alertname }) => !seen.has(alertname) && seen.set(alertname));
      if (firing.length) groups.push({ ...group, alert_rule_test: firing.map((one) => ({ ...one, exp_alerts: [] })) });
    }
    if (groups.length === 0) continue;
    const file = path.join(scratch, test.name);
    fs.writeFileSync(file, stringify({ ...test, name: undefined, rule_files: test.rule_files.map((name) => at('alerts/tests', name)), tests: groups }));
    const { stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    for (const [, alertname, got] of stderr.matchAll(/alertname: (\w+), time: [^]*?got:\[([^]*?)\n\s*\]/g)) seen.set(alertname, got);
  }
  for (const alert of names) {
    const got = seen.get(alert) ?? '';
    assert.match(got, /runbook_url=/, `${alert}: its annotations were not seen`);
    assert.doesNotMatch(got, /error expanding|<no value>|var-instance="|instance=\\?"\\?"|\{\{/, alert);
  }
});

it('amtool accepts the configuration, and each severity has its receiver', () => {
  const config = 'deploy/alertmanager/alertmanager.yml';
  run('amtool', 'check-config', config);
  const receiver = (...labels) => run('amtool', 'config', 'routes', 'test', `--config.file=${config}`, ...labels).trim();
  for (const { alert, labels } of alerts) {
    const expected = { page: 'pager', ticket: 'tickets', none: 'dead-mans-switch' }[labels.severity];
    assert.equal(receiver(`alertname=${alert}`, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)), expected, alert);
  }
});

it('the text of a notification puts what matters first', () => {
  const filled = (name) => ({ status: 'firing', labels: { alertname: name }, annotations: Object.fromEntries(ANNOTATIONS.map((key) => [key, `the ${key}`])) });
  const data = path.join(scratch, 'data.json');
  fs.writeFileSync(data, JSON.stringify({ status: 'firing', commonLabels: { severity: 'page' }, alerts: [filled('NodeDown'), filled('StoreDown')] }));
  const text = run('amtool', 'template', 'render', '--template.glob=deploy/alertmanager/signalbox.tmpl', `--template.data=${data}`,
    '--template.text={{ template "signalbox.title" . }}\n{{ template "signalbox.text" . }}');
  const lines = (name) => [`*${name}*: the summary`, 'Impact: the impact', 'First check: `the first_check`', 'Runbook: the runbook_url', 'Dashboard: the dashboard_url', 'Flows: the flows_url', ''];
  assert.deepEqual(text.trim().split('\n'), ['PAGE · NodeDown and 1 more', ...lines('NodeDown'), ...lines('StoreDown')].slice(0, -1));
});

it('a real Alertmanager inhibits: all nodes, then burns, then components', async (t) => {
  const probe = net.createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${probe.address().port}`;
  await new Promise((resolve) => probe.close(resolve));
  const alertmanager = spawn('prometheus-alertmanager', [
    `--config.file=${at('deploy/alertmanager/alertmanager.yml')}`, `--storage.path=${scratch}`, `--web.listen-address=${address}`, '--cluster.listen-address=',
  ], { stdio: 'ignore' });
  t.after(() => alertmanager.kill('SIGKILL'));
  await until('Alertmanager', async () => (await fetch(`http://${address}/-/ready`).catch(() => ({}))).ok);
  const labels = (name, more = {}) => {
    const rule = alerts.find(({ alert, labels: l }) => alert === name && (!more.slo || l.slo === more.slo));
    return { alertname: name, job: 'signalbox', ...rule.labels, ...more };
  };
  /** Which of these are inhibited while all of them fire; each try has a job of its own. */
  let tries = 0;
  const inhibited = async (...firing) => {
    const job = `try-${(tries += 1)}`;
    const body = JSON.stringify(firing.map((one) => ({ labels: { ...one, job } })));
    const post = await fetch(`http://${address}/api/v2/alerts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    assert.equal(post.status, 200);
    const all = await (await fetch(`http://${address}/api/v2/alerts?filter=job%3D${job}`)).json();
    assert.equal(all.length, firing.length);
    return all.filter(({ status }) => status.inhibitedBy.length).map((one) => one.labels.alertname).sort();
  };
  const a = { instance: 'a' };
  const b = { instance: 'b' };
  assert.deepEqual(
    await inhibited(labels('AllNodesDown'), labels('ScanDeliveryBurnFast'), labels('CanaryStale', a), labels('NodeDown', a), labels('Watchdog')),
    ['CanaryStale', 'NodeDown', 'ScanDeliveryBurnFast'],
  );
  assert.deepEqual(
    await inhibited(labels('ScanDeliveryBurnFast'), labels('ScanDeliveryBurnCreeping'), labels('HandshakeBurnSlow'), labels('StoreDown', a), labels('ScansStuck', a)),
    ['ScanDeliveryBurnCreeping', 'ScansStuck', 'StoreDown'],
  );
  assert.deepEqual(await inhibited(labels('HandshakeBurnSteady'), labels('ScansStuck', a), labels('HandshakeRefusalsHigh')), ['HandshakeRefusalsHigh']);
  assert.deepEqual(
    await inhibited(labels('ScansNotStored', a), labels('StoreDown', a), labels('SlowStore', a), labels('StorePoolSaturated', a), labels('StoreDown', b), labels('RoomChangesLost', a)),
    ['SlowStore', 'StoreDown', 'StorePoolSaturated'],
  );
  assert.deepEqual(await inhibited(labels('ScanDeliveryBurnFast'), labels('ScansNotStored', a)), ['ScansNotStored']);
  assert.deepEqual(await inhibited(labels('HandshakeBurnCreeping'), labels('StoreDown', a)), [], 'a ticket inhibits nothing');
  assert.deepEqual(await inhibited(labels('NodeDown', a), labels('CrashLoop', a), labels('CrashLoop', b), labels('ReconnectStorm')), ['CrashLoop']);
});
