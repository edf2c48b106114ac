// What the live test runs: nodes, a PostgreSQL, Prometheus, Alertmanager. Everything is in one directory and ends
// with this process, however that ends.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { SECRET, freePort, until } from '../clients/server.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = process.env.SIGNALBOX_BIN ?? path.join(root, 'target/debug/signalbox');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-live-'));
fs.chmodSync(dir, 0o755); // PostgreSQL, a user of its own, has its directory in it.

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  fs.rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function start(program, args, options = {}) {
  const log = fs.openSync(path.join(dir, `${path.basename(program)}.log`), 'a');
  const child = spawn(program, args, { stdio: ['ignore', log, log], cwd: dir, ...options });
  fs.closeSync(log);
  running.add(child);
  child.exited = new Promise((resolve) => child.on('exit', (code) => {
    running.delete(child);
    resolve(code);
  }));
  return child;
}

const answers = async (url) => (await fetch(url).catch(() => ({}))).ok === true;

/** A node that keeps its port and directory from start to start. */
export async function node(name, settings) {
  const home = path.join(dir, name);
  fs.mkdirSync(home);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const logs = path.join(home, 'logs');
  let child;
  return {
    url, target: `127.0.0.1:${port}`,
    async start(more = {}) {
      child = start(binary, [], {
        cwd: home,
        env: {
          PATH: process.env.PATH, PORT: String(port), HOST: '127.0.0.1', NODE_NAME: name, SOCKET_JWT_SECRET: SECRET,
          LOG_CONSOLE: 'off', DRAIN_PERIOD: '1s', ...settings, ...more,
        },
      });
      await until(`${name} to listen`, () => {
        if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${fs.readFileSync(path.join(dir, 'signalbox.log'), 'utf8').slice(-500)}`);
        return answers(`${url}/livez`);
      });
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await child.exited;
    },
    async restart(more) {
      await this.stop();
      await this.start(more);
    },
    /** From the next start on, every log line meets a full disk. */
    loseLogs() {
      this.keepLogs();
      fs.mkdirSync(logs);
      for (const days of [0, 1]) {
        const day = new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
        for (const kind of ['combined', 'error']) fs.symlinkSync('/dev/full', path.join(logs, `${kind}.${day}.jsonl`));
      }
    },
    keepLogs: () => fs.rmSync(logs, { recursive: true, force: true }),
    async series() {
      const text = await (await fetch(`${url}/metrics`)).text();
      return text.split('\n').filter((line) => line && !line.startsWith('#')).length;
    },
  };
}

/** The newest PostgreSQL of this machine; it does not run as root. */
export async function postgres() {
  const installed = fs.readdirSync('/usr/lib/postgresql').sort((a, b) => a - b).at(-1);
  const program = (name) => `/usr/lib/postgresql/${installed}/bin/${name}`;
  const own = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
  const command = (name, args) => [...own, program(name), ...args];
  const home = path.join(dir, 'postgres');
  const port = await freePort();
  fs.mkdirSync(home);
  if (own.length) spawnSync('chown', ['postgres', home]);
  const [init, ...args] = command('initdb', ['-A', 'trust', '-U', 'signalbox', '-E', 'UTF8', '--no-sync', '-D', home]);
  const made = spawnSync(init, args, { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  let child;
  const psql = (statement) => command('psql', ['-XqAt', '-h', '127.0.0.1', '-p', String(port), '-U', 'signalbox', '-d', 'postgres', '-c', statement]);
  const server = {
    url: `postgres://signalbox@127.0.0.1:${port}/postgres`,
    async start() {
      const [run, ...with_] = command('postgres', ['-D', home, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off', '-k', home]);
      child = start(run, with_);
      const [ask, ...what] = psql('SELECT 1');
      await until('PostgreSQL', () => spawnSync(ask, what, { stdio: 'ignore' }).status === 0);
    },
    /** At once, as a crash would. */
    async crash() {
      child.kill('SIGQUIT');
      await child.exited;
    },
    /** Keeps everybody from the tables for so long. */
    async lock(seconds) {
      const tables = 'SELECT string_agg(quote_ident(tablename), \',\') FROM pg_tables WHERE schemaname = \'public\'';
      const [ask, ...what] = psql(tables);
      const names = spawnSync(ask, what, { encoding: 'utf8' }).stdout.trim();
      const [run, ...with_] = psql(`BEGIN; LOCK TABLE ${names}; SELECT pg_sleep(${seconds}); COMMIT`);
      await start(run, with_).exited;
    },
  };
  await server.start();
  return server;
}

/** Every second, and every rule as often: the rules' own windows and waits stay as they are. */
export async function prometheus(targets, alertmanager) {
  const config = parse(fs.readFileSync(path.join(root, 'prometheus.yml'), 'utf8'));
  const job = config.scrape_configs.find((one) => one.job_name === 'signalbox');
  const rules = fs.readdirSync(path.join(root, 'alerts')).filter((name) => name.endsWith('.rules.yml'));
  const groups = rules.flatMap((name) => {
    const file = parse(fs.readFileSync(path.join(root, 'alerts', name), 'utf8'));
    for (const group of file.groups) delete group.interval;
    fs.writeFileSync(path.join(dir, name), stringify(file));
    return file.groups;
  });
  fs.writeFileSync(path.join(dir, 'prometheus.yml'), stringify({
    ...config,
    global: { ...config.global, scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: rules,
    alerting: { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] },
    scrape_configs: [{ ...job, scrape_interval: '1s', scrape_timeout: '1s', static_configs: [{ targets }] }],
  }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  start('prometheus', [
    '--config.file=prometheus.yml', '--storage.tsdb.path=prometheus', `--web.listen-address=127.0.0.1:${port}`,
    '--enable-feature=exemplar-storage', '--log.level=warn',
  ]);
  await until('Prometheus', () => answers(`${url}/-/ready`));
  return { url, rules: groups.flatMap((group) => group.rules) };
}

/**
 * With its own routes and inhibitions. Every receiver is replaced by the webhook, and news of a known group, such as
 * that it is over, comes at once; the first call comes when it always does.
 */
export async function alertmanager(webhook) {
  const config = parse(fs.readFileSync(path.join(root, 'deploy/alertmanager/alertmanager.yml'), 'utf8'));
  const hurry = (route) => {
    route.group_interval = '2s';
    route.routes?.forEach(hurry);
  };
  hurry(config.route);
  config.receivers = config.receivers.map(({ name }) => ({ name, webhook_configs: [{ url: `${webhook}/${name}`, send_resolved: true }] }));
  delete config.global;
  delete config.templates;
  fs.writeFileSync(path.join(dir, 'alertmanager.yml'), stringify(config));
  const port = await freePort();
  start('prometheus-alertmanager', [
    '--config.file=alertmanager.yml', '--storage.path=alertmanager', `--web.listen-address=127.0.0.1:${port}`, '--cluster.listen-address=', '--log.level=warn',
  ]);
  await until('Alertmanager', () => answers(`http://127.0.0.1:${port}/-/ready`));
  return `127.0.0.1:${port}`;
}
