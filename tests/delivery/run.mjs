// The delivery drill: the server is killed again and again under load, and a judge says whether its promise held.
//   node tests/delivery/run.mjs --kills 100 --database postgres --stop-postgres
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { UNLIMITED, freePort, startServer, until } from '../clients/server.mjs';
import { emptyHistory, monitor, phone, sleep } from './clients.mjs';
import { judge } from './judge.mjs';
import { postgres } from './postgres.mjs';
import { scene } from './scene.mjs';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    phones: { type: 'string', default: '20' },
    monitors: { type: 'string', default: '20' },
    database: { type: 'string', default: 'sqlite' },
    // PostgreSQL is killed too: once for five kills of the server, or --stops times.
    'stop-postgres': { type: 'boolean', default: false },
    stops: { type: 'string' },
    // Scans per second over all phones.
    rate: { type: 'string', default: '200' },
    fault: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    // Where history and logs go when there are faults.
    keep: { type: 'string' },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);
const stops = values['stop-postgres'] ? Number(values.stops ?? Math.max(1, Math.round(kills / 5))) : 0;
if (stops && values.database !== 'postgres') throw new Error('--stop-postgres needs --database postgres');

/** Random numbers that the seed decides, a series for each purpose (mulberry32). */
function series(purpose) {
  let state = [...purpose].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 16777619), seed ^ 2166136261);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

let server;
let database;
const dir = scene('signalbox-delivery-', () => {
  server?.kill('SIGKILL');
  database?.kill();
});

if (values.database === 'postgres') database = await postgres(dir, await freePort());
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const settings = {
  ...UNLIMITED, SIGNAL_RATE: '1000000', SIGNAL_BURST: '1000000', HANDSHAKE_FAILURES_PER_MIN: '1000000', SESSIONS_PER_SOCKET: '10000',
  PORT: String(port), DATA_DIR: path.join(dir, 'data'), LOG_DIR: path.join(dir, 'logs'), CANARY_INTERVAL: 'off',
  ...(database && { DATABASE_URL: database.url }), ...(values.fault && { FAULT_INJECTION: `ledger:${values.fault}` }),
};
const events = [];
const note = (what) => events.push({ at: Date.now(), what });

/** Until it serves: the same port and the same data every time. */
async function serve() {
  server = await startServer(settings);
  await until('/readyz', async () => (await fetch(`${url}/readyz`).catch(() => ({}))).status === 200);
  note('the server serves');
}

const began = performance.now();
await serve();
const history = emptyHistory();
const phoneCount = Number(values.phones);
const sessions = Array.from({ length: Math.max(1, Math.ceil(phoneCount / 2)) }, (_, i) => `packing-${i}`);
const monitors = Array.from({ length: Number(values.monitors) }, (_, i) => {
  const session = sessions[i % sessions.length];
  return monitor(url, { name: `monitor-${i}`, session, answers: i < Number(values.monitors) / 2, history });
});
await until('the monitors', () => monitors.every((one) => one.told() !== null));
const interval = (1000 * phoneCount) / Number(values.rate);
const phones = Array.from({ length: phoneCount }, (_, i) => {
  const name = `phone-${i}`;
  return phone(url, { name, session: sessions[i % sessions.length], interval, random: series(name), history });
});

const killing = series('kills');
const stopping = series('stops');
/** After which kills PostgreSQL goes as well: one in each equal part of the drill. */
const stopAfter = new Set(Array.from({ length: stops }, (_, i) => Math.floor(((i + stopping()) * kills) / stops)));
let databaseBack = Promise.resolve();
let stopped = 0;
async function stopDatabase(before) {
  await before;
  await sleep(stopping() * 900);
  note('PostgreSQL is killed');
  stopped += 1;
  await database.stop();
  await sleep(100 + stopping() * 1400);
  await database.start();
  note('PostgreSQL answers');
}
const backMs = [];
for (let i = 0; i < kills; i += 1) {
  await sleep(150 + killing() * 750);
  const from = performance.now();
  note(`kill ${i + 1}`);
  await server.stop();
  await serve();
  backMs.push(performance.now() - from);
  if (stopAfter.has(i)) databaseBack = stopDatabase(databaseBack);
}
await databaseBack;
// Without kills the server has to live through it.
for (let i = 0; kills === 0 && i < stops; i += 1) {
  const before = history.acks.length;
  await stopDatabase();
  await until('scans that are kept again', () => history.acks.slice(before).some(({ at, durable }) => durable && at > events.at(-1).at));
}

/** Waits for a condition as long as there is progress. */
async function settle(check, progress, ms = 6000) {
  let [seen, since] = [progress(), performance.now()];
  while (!(await check())) {
    if (progress() !== seen) [seen, since] = [progress(), performance.now()];
    if (performance.now() - since > ms) return;
    await sleep(20);
  }
}
const heard = () => history.applies.length;
phones.forEach((one) => one.stop());
const finished = Promise.all(phones.map((one) => one.done)).then(() => true);
await settle(() => Promise.race([finished, sleep(20)]), () => history.acks.length);
note('no more scans');
await settle(() => monitors.every((one) => one.told() !== null), heard);
monitors.forEach((one) => one.join());
await settle(async () => (await Promise.all(monitors.map((one) => one.settled()))).every(Boolean) && monitors.every((one) => one.last() === one.told()), heard);
note('all is quiet');
for (const session of sessions) {
  const own = monitors.filter((one) => one.session === session);
  // As the last one was told who joined.
  const { seq } = history.joins.findLast((join) => join.session === session && join.seq !== null);
  history.sessions.push({ session, seq, monitors: own.map((one) => one.name) });
}
[...phones, ...monitors].forEach((one) => one.close());

const { ok, faults, figures } = judge(history);
const sorted = backMs.toSorted((a, b) => a - b).map(Math.round);
const broken = {};
for (const { rule } of faults) broken[rule] = (broken[rule] ?? 0) + 1;
const { faults: found, ...counted } = figures;
console.log(JSON.stringify({
  database: values.database, seed, kills, stops: stopped, ...counted,
  restartMedianMs: sorted[Math.floor(sorted.length / 2)] ?? 0, restartMaxMs: sorted.at(-1) ?? 0, seconds: Math.round((performance.now() - began) / 1000),
  faults: found, ...(ok ? {} : { broken }),
}));
if (ok) {
  const each = monitors.length / sessions.length;
  const by = each === 2 ? 'both monitors' : `all ${each} monitors`;
  const killed = `${kills} kills${stopped ? ` and ${stopped} of PostgreSQL` : ''}`;
  const more = figures.ackedNotDurable ? ` (${figures.ackedNotDurable} more were relayed without being kept)` : '';
  console.log(`delivery: ${killed}, ${figures.ackedDurable} acknowledged scans applied once each by ${by} of their session${more}; back in ${sorted[Math.floor(sorted.length / 2)] ?? 0} ms (median)`);
} else {
  console.log(`delivery: BROKEN, ${faults.length} faults: ${Object.entries(broken).map(([rule, n]) => `${rule} ${n}`).join(', ')}`);
  // Of each kind the first, then the others.
  const firsts = Object.keys(broken).map((rule) => faults.find((fault) => fault.rule === rule));
  const shown = [...new Set([...firsts, ...faults])].slice(0, 10);
  for (const { rule, session, text } of shown) console.log(`  ${rule}: ${session ?? 'everywhere'}: ${text}`);
  if (values.keep) {
    fs.mkdirSync(values.keep, { recursive: true });
    fs.cpSync(settings.LOG_DIR, path.join(values.keep, 'logs'), { recursive: true });
    if (database) fs.copyFileSync(path.join(dir, 'postgres.log'), path.join(values.keep, 'postgres.log'));
    fs.writeFileSync(path.join(values.keep, 'history.json'), JSON.stringify({ seed, events, faults, ...history }));
    console.log(`  the history and the logs are in ${values.keep}`);
  }
}
await server.stop();
await database?.stop();
process.exit(ok ? 0 : 1);
