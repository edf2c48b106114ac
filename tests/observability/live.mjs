// The live test: two nodes under load and faults, watched by a real Prometheus and Alertmanager. Is every panel and
// every alert fed, does a fault reach the pager, do the right alerts stay silent? Takes four to five minutes.
//   node tests/observability/live.mjs
import path from 'node:path';
import { endpoint, refuses } from '../clients/openai.mjs';
import { until } from '../clients/server.mjs';
import { SHORT_LINES, assistant, burst, load } from './load.mjs';
import { banned, impatient, invented, misuse, slowReader } from './misuse.mjs';
import { Prometheus, interpolated, mark, panels, parts } from './queries.mjs';
import * as sinks from './sinks.mjs';
import { alertmanager, node, postgres, prometheus, root } from './stack.mjs';

/** These must fire in this run; every other alert must not. */
const FIRES = ['CanaryStale', 'CrashLoop', 'LogLinesDropped', 'Panicked', 'ScanDeliveryBurnFast', 'ScansStuck', 'Watchdog'];
/** These must notice, and wait: it is over before their time. */
const WAITS = ['GptBreakerOpen', 'NodeDown', 'RestoreBurnFast', 'SignalingBurnFast', 'StoreDown'];
const DRILL = 'ScanDeliveryBurnFast';
const ANNOTATIONS = ['summary', 'impact', 'first_check', 'runbook_url', 'dashboard_url', 'flows_url'];
const NAMES = 10_000;

/** What no fault of this run can make move, and why. */
const UNMOVED = [
  [/signalbox_store_changes_lost_total/, 'counts from 100,000 waiting changes on'],
  [/signalbox_handshakes_total\{[^}]*result="error"|sli_handshake/, 'no fault can be injected into a handshake'],
  [/signalbox_runtime_busy_ratio/, 'a load that keeps all workers busy would be a test of this machine'],
];

const began = Date.now();
const seconds = () => (Date.now() - began) / 1000;
const say = (line) => console.log(`${seconds().toFixed(0).padStart(4)} s  ${line}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Waits for what Prometheus answers, without keeping it busy. */
const asked = (what, check, ms = 30_000) => until(what, async () => (await check()) || (await sleep(500)), ms);
const problems = [];
const problem = (line) => problems.push(line);

async function run() {
  const [store, reports, pager, database, gpt] = await Promise.all([sinks.otlp(), sinks.sentry(), sinks.pager(), postgres(), endpoint(assistant)]);
  const many = '1000000';
  const common = { OTEL_EXPORTER_OTLP_ENDPOINT: store.url, SENTRY_DSN: reports.dsn, TRACE_SAMPLE_RATIO: '1', GPT_BASE_URL: gpt.url, GPT_MODEL: 'fake', ...SHORT_LINES };
  // One node with tight limits, one without any.
  const n1 = await node('n1', {
    ...common, DATABASE_URL: database.url, CORS_ORIGINS: 'https://app.example.com', SOCKETS_MAX: '40', SOCKETS_PENDING_PER_ADDRESS: '20',
    INBOX_MAX: '32', LOGINS_PER_ACCOUNT: '3', HTTP_RATE_MAX: '300', HTTP_RATE_WINDOW: '1m', STORE_TIMEOUT: '1s', STORE_POOL_MAX: '2',
    PING_INTERVAL: '3s', PING_TIMEOUT: '5s',
  });
  const n2 = await node('n2', {
    ...common, EVENT_RATE: many, EVENT_BURST: many, SIGNAL_RATE: many, SIGNAL_BURST: many, HANDSHAKES_PER_USER_PER_MIN: many,
    HTTP_RATE_MAX: many, CREATE_ROOM_PER_MIN: many, LOGINS_PER_ACCOUNT: many, LOGINS_PER_ADDRESS: many, SEND_QUEUE_MAX: '64',
    TRUSTED_PROXY_HOPS: '1',
  });
  const nodes = [n1, n2];
  await Promise.all([n1.start({ FAULT_INJECTION: 'panic:offer' }), n2.start({ FAULT_INJECTION: 'fail:restore' })]);
  const watcher = await prometheus(nodes.map(({ target }) => target), await alertmanager(pager.url));
  const prom = new Prometheus(watcher.url);
  // A rate needs to have seen the 0.
  await asked('the first scrapes', async () => (await prom.values('sum(up)')).includes(nodes.length));
  say('two nodes, PostgreSQL, Prometheus and Alertmanager are up');

  const life = load(nodes.map(({ url }) => url));
  const mended = asked('RestoreBurnFast to notice', async () => (await prom.alerts('pending', 10)).includes('RestoreBurnFast')).then(() => n2.restart()).then(() => banned(n2.url));
  await Promise.all([misuse(n1.url, 60), mended]);
  await asked('a client that fell asleep to be given up', async () => (await prom.values('signalbox_disconnects_total{reason="ping_timeout"}')).some((n) => n > 0));
  await asked('SignalingBurnFast to notice', async () => (await prom.alerts('pending', 10)).includes('SignalingBurnFast'));
  const calm = Date.now() / 1000;
  say('everyday life, and clients that did everything wrong; at first one node could not restore what they had, then it blocked two addresses');

  await n1.restart({ FAULT_INJECTION: 'slow:scanOrder:300ms' });
  await slowReader(n2.url);
  await burst(n2.url, (relayed) => relayed > 500);
  // Some scans are not stored; too few for ScansNotStored.
  await database.lock(3);
  await sleep(3000);
  say('one node was slow at scans, and could not store some; the other let go of a slow reader, and relayed a burst');

  n1.loseLogs();
  store.broken = true;
  await Promise.all(nodes.map((one) => one.restart({ FAULT_INJECTION: 'fail:scanOrder' })));
  const fault = Date.now();
  say('from now on every scan fails, the traces have nowhere to go, the disk of the logs is full');
  await database.lock(3);
  await database.crash();
  await sleep(10_000);
  await database.start();
  store.broken = false;
  gpt.otherwise = refuses(401);
  say('the database was locked, then away; the traces can go again; the assistant does not know us any more');
  const before = await n2.series();
  await invented(n2.url, NAMES);
  const after = await n2.series();
  say(`${NAMES} invented names`);
  await asked('GptBreakerOpen to notice', async () => (await prom.alerts('pending', 10)).includes('GptBreakerOpen'), 90_000);
  gpt.otherwise = assistant;
  say('the breaker of the assistant was open; it answers again');
  await until(`${DRILL} on the pager`, () => pager.heard(DRILL, 'firing', fault), 200_000);
  const page = pager.heard(DRILL, 'firing', fault);
  const drill = Math.round((page.at - fault) / 1000);
  say(`${DRILL} is on the pager`);

  await n1.stop('SIGKILL');
  await n2.restart();
  n1.keepLogs();
  const resolved = burst(n2.url, () => pager.heard(DRILL, 'resolved', fault));
  // The restarts before it were over too soon to be seen by every panel.
  await asked('every panel to see a node down', async () => (await prom.values('min(up)')).includes(0));
  await asked('NodeDown to notice', async () => (await prom.alerts('pending', 10)).includes('NodeDown'));
  await n1.start({ FAULT_INJECTION: 'slow:scanOrder:80s' });
  const patience = impatient(n1.url);
  say('one node was killed; it is back, and its scans hang. The other one is well');
  await until(`${DRILL} resolved`, () => pager.heard(DRILL, 'resolved', fault), 120_000);
  say(`${DRILL} is resolved, after ${await resolved} good scans`);
  await until('ScansStuck on the pager', () => pager.heard('ScansStuck', 'firing', fault), 90_000);
  say('ScansStuck is on the pager');
  patience();

  await checkPanels(prom);
  await checkRules(prom, watcher.rules, pager);
  await checkExemplars(prom, store, calm);
  for (const name of ANNOTATIONS) {
    const text = page.annotations[name];
    if (!text || /\{\{|<no value>|<error/.test(text)) problem(`${DRILL}: the pager got ${name}: ${text}`);
  }
  for (const [name, receiver] of [[DRILL, 'pager'], ['ScansStuck', 'pager'], ['Watchdog', 'dead-mans-switch']]) {
    const call = pager.heard(name, 'firing');
    if (call?.receiver !== receiver) problem(`${name} went to ${call?.receiver}, not to ${receiver}`);
  }
  if (reports.count === 0) problem('Sentry got no report');
  const series = await Promise.all(nodes.map((one) => one.series()));
  if (before !== after) problem(`${before} series before ${NAMES} invented names, ${after} after`);
  if (Math.max(...series) > 1500) problem(`${Math.max(...series)} series of a node, more than 1500`);
  life.stop();
  console.log(`series per node: ${Math.max(...series)}, with ${NAMES} invented names and without`);
  console.log(`drill: ${drill} s from fault to webhook`);
}

/** All that an expression answered; nothing, or an error, is a problem of `whose`. */
async function answered(prom, whose, query) {
  const values = await prom.values(query).catch((error) => problem(`${whose}: ${error.message}`));
  if (values?.length === 0) problem(`${whose}: no data in the whole run: ${query}`);
  return values ?? [];
}

async function checkPanels(prom) {
  const targets = panels(path.join(root, 'dashboards'));
  for (const { board, panel, expr } of targets) {
    const whose = `${board}, "${panel}"`;
    const values = await answered(prom, whose, interpolated(expr, Math.ceil(seconds())));
    const unmoved = UNMOVED.some(([what]) => what.test(expr));
    if (values.length > 0 && !unmoved && mark(expr)?.(values) === false) problem(`${whose}: no fault shows in it: ${expr}`);
  }
  const titles = new Set(targets.map(({ board, panel }) => `${board} ${panel}`));
  console.log(`panels checked: ${titles.size} in ${new Set(targets.map(({ board }) => board)).size} boards (${targets.length} expressions, ${targets.filter(({ expr }) => mark(expr)).length} of faults)`);
}

async function checkRules(prom, rules, pager) {
  for (const rule of rules) {
    for (const part of rule.alert ? parts(rule.expr) : [rule.record]) {
      await answered(prom, rule.alert ?? rule.record, part);
    }
  }
  const { groups } = await prom.ask('rules');
  for (const rule of groups.flatMap((group) => group.rules)) {
    if (rule.health !== 'ok') problem(`${rule.name}: ${rule.lastError || rule.health}`);
  }
  const failures = await prom.ruleFailures();
  if (failures > 0) problem(`${failures} evaluations of rules failed`);

  const names = [...new Set(rules.filter((rule) => rule.alert).map((rule) => rule.alert))];
  const [fired, noticed] = [await prom.alerts('firing', seconds()), await prom.alerts('pending', seconds())];
  const expr = (name) => rules.find((rule) => rule.alert === name)?.expr.replace(/\s+/g, ' ');
  for (const name of FIRES) if (!fired.includes(name)) problem(`${name} did not fire: ${expr(name)}`);
  for (const name of names) if (!FIRES.includes(name) && fired.includes(name)) problem(`${name} fired: ${expr(name)}`);
  for (const name of WAITS) if (!noticed.includes(name)) problem(`${name} did not notice: ${expr(name)}`);

  const resolved = pager.resolved();
  console.log(`alerts: ${fired.length} fired, ${names.length - fired.length} stayed silent, ${resolved.length} resolved (${resolved.join(', ')})`);
}

/** From the time when all traces had somewhere to go. */
async function checkExemplars(prom, store, end) {
  const query = 'signalbox_scan_to_navigate_seconds_bucket';
  const found = await prom.ask('query_exemplars', { query, start: prom.start, end });
  const ids = found.flatMap((series) => series.exemplars).map(({ labels }) => labels.trace_id);
  if (ids.length === 0) problem(`no exemplars of ${query}`);
  const lost = ids.filter((id) => !store.has(id));
  if (lost.length > 0) problem(`${lost.length} of ${ids.length} exemplars lead to no trace in the store, ${lost[0]} is one`);
}

await run().catch((error) => problem(error.message));
if (problems.length > 0) {
  console.log(`\n${problems.length} problems:\n${problems.map((line) => `  ${line}`).join('\n')}`);
  process.exit(1);
}
console.log(`passed in ${seconds().toFixed(0)} s`);
process.exit(0);
