// Starts Prometheus and Alertmanager with this repository's rules against running servers, until Ctrl-C.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const USAGE = `usage: node deploy/watch/up.mjs HOST:PORT…

  WATCH_INTERVAL=1s             scrape and evaluate this often, instead of what prometheus.yml says
  WATCH_PROMETHEUS_PORT=9090    a fixed port; otherwise the first free one from 9090
  WATCH_ALERTMANAGER_PORT=9093  a fixed port; otherwise the first free one from 9093
  METRICS_TOKEN=…               the servers' token, if they ask for one`;

function fail(message) {
  console.error(`watch: ${message}`);
  process.exit(1);
}

function file(name, what) {
  const found = path.join(root, name);
  if (!fs.existsSync(found)) fail(`${name} is missing: ${what}`);
  return found;
}

function needBinary(name) {
  const there = process.env.PATH.split(':').some((dir) => fs.existsSync(path.join(dir, name)));
  if (!there) fail(`${name} is not installed: apt-get install prometheus prometheus-alertmanager (Debian, Ubuntu)`);
}

function isFree(port) {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

async function choosePort(setting, first) {
  const wanted = process.env[setting];
  if (wanted) return (await isFree(Number(wanted))) ? Number(wanted) : fail(`${setting}: port ${wanted} is in use`);
  for (let port = first; port < first + 100; port += 1) if (await isFree(port)) return port;
  return fail(`no port from ${first} to ${first + 99} is free; set ${setting}`);
}

/** A copy of prometheus.yml with these targets, rules by absolute path and, if wanted, another pace. */
function writeConfig(dir, targets, alertmanager) {
  const config = parse(fs.readFileSync(file('prometheus.yml', 'what to scrape'), 'utf8'));
  const rules = fs.existsSync(path.join(root, 'alerts'))
    ? fs.readdirSync(path.join(root, 'alerts')).filter((name) => name.endsWith('.rules.yml'))
    : [];
  if (rules.length === 0) fail('alerts/*.rules.yml is missing: without rules there is nothing to alert on');
  config.rule_files = rules.map((name) => path.join(root, 'alerts', name));
  config.alerting = { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] };
  const interval = process.env.WATCH_INTERVAL;
  if (interval) config.global = { ...config.global, scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval };
  const job = config.scrape_configs.find((one) => one.job_name === 'signalbox') ?? fail('prometheus.yml has no job signalbox');
  job.static_configs = [{ targets }];
  if (process.env.METRICS_TOKEN) job.authorization = { credentials: process.env.METRICS_TOKEN };
  config.scrape_configs = [job];
  const written = path.join(dir, 'prometheus.yml');
  fs.writeFileSync(written, stringify(config), { mode: 0o600 });
  return written;
}

const running = [];

function start(name, args) {
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const last = [];
  child.stderr.on('data', (data) => last.push(...String(data).trim().split('\n')) > 20 && last.splice(0, last.length - 20));
  child.ended = new Promise((resolve) => child.on('exit', resolve));
  child.ended.then((code) => !stopping && stop(1, `${name} ended with ${code}:\n${last.slice(-5).join('\n')}`));
  running.push(child);
}

async function ready(name, url) {
  for (let tries = 0; tries < 150; tries += 1) {
    const answer = await fetch(`${url}/-/ready`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop(1, `${name} is not ready after 15 s`);
}

let stopping = false;
async function stop(code, message) {
  if (stopping) return;
  stopping = true;
  if (message) console.error(`watch: ${message}`);
  for (const child of running) child.kill('SIGTERM');
  await Promise.all(running.map((child) => child.ended));
  process.exit(code);
}

const targets = process.argv.slice(2);
if (targets.length === 0 || targets.some((target) => !/^[^\s/]+:\d+$/.test(target))) {
  console.error(USAGE);
  process.exit(2);
}
needBinary('prometheus');
needBinary('prometheus-alertmanager');
const routes = file('deploy/alertmanager/alertmanager.yml', 'who is told of an alert');
const prometheus = `127.0.0.1:${await choosePort('WATCH_PROMETHEUS_PORT', 9090)}`;
const alertmanager = `127.0.0.1:${await choosePort('WATCH_ALERTMANAGER_PORT', 9093)}`;
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-watch-'));
process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(0));

const config = writeConfig(dir, targets, alertmanager);
start('prometheus-alertmanager', [
  `--config.file=${routes}`,
  `--storage.path=${path.join(dir, 'alertmanager')}`,
  `--web.listen-address=${alertmanager}`,
  '--cluster.listen-address=',
  '--log.level=warn',
]);
start('prometheus', [
  `--config.file=${config}`,
  `--storage.tsdb.path=${path.join(dir, 'prometheus')}`,
  `--web.listen-address=${prometheus}`,
  '--enable-feature=exemplar-storage',
  '--log.level=warn',
  // The first alerts fire before Alertmanager is discovered; they are sent again soon, not after a minute.
  '--rules.alert.resend-delay=10s',
]);
await ready('Alertmanager', `http://${alertmanager}`);
await ready('Prometheus', `http://${prometheus}`);

console.log(`Prometheus    http://${prometheus}  (http://${prometheus}/alerts)
Alertmanager  http://${alertmanager}
Watching      ${targets.join(', ')}
A board       node deploy/watch/render.mjs dashboards/1-on-call.json --prometheus http://${prometheus} --out board.png
Ctrl-C ends both.`);
