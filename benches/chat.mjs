#!/usr/bin/env node
// Measures chat: what a message to a room costs beside the bare relay, and what reading from a long history and from many rooms takes.
//   BARE_BIN=.../release/bare benches/chat.mjs     everything, three repeats: about 10 minutes, half a GB in the temporary directory
//   ONLY="history sync"                            only these parts (fanout history sync)
//   REPEATS=1 SECS=4 LOADS=50                      a quick look
//   SIGNALBOX_BIN=/path/to/signalbox               a release build (default: target/release/signalbox)
// As in benches/run, Signalbox has everything on: metrics, JSON logs, traces sampled at 10 % to a sink. BARE_BIN is what benches/run builds.
// Prints Markdown: the median of the repeats, the smallest and the largest in brackets.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SECRET, freePort, token, until } from '../tests/clients/server.mjs';

const root = path.dirname(import.meta.dirname);
const { WebSocket } = createRequire(path.join(root, 'tests/package.json'))('ws');

const num = (name, otherwise) => Number(process.env[name] ?? otherwise);
const REPEATS = num('REPEATS', 3);
const SECS = num('SECS', 8);
const LOADS = num('LOADS', 200);
const SYNCS = num('SYNCS', 20);
const HISTORY = num('HISTORY', 1_000_000);
const LONGEST = 20_000;
const RATE = 50;
const MEMBERS = 100;
const WARM_SECS = 3;
const ONLY = (process.env.ONLY ?? 'fanout history sync').split(/\s+/);
const SIGNALBOX = process.env.SIGNALBOX_BIN ?? path.join(root, 'target/release/signalbox');
const BARE = process.env.BARE_BIN;
const MEMORY = '/dev/shm';

// Limits are on (their code runs) but too far away to trip.
const FAR = '1000000000';
const SETTINGS = {
  HOST: '127.0.0.1', NODE_ENV: 'production', SOCKET_JWT_SECRET: SECRET, TRACE_SAMPLE_RATIO: '0.1', DRAIN_PERIOD: '100ms',
  EVENT_RATE: '1000000', EVENT_BURST: '1000000', HTTP_RATE_MAX: '1000000', SOCKETS_PER_USER: '1000000', SOCKETS_PENDING_PER_ADDRESS: '100000',
  HANDSHAKES_PER_USER_PER_MIN: FAR,
};

// --- servers

// A run that is cut short leaves nothing behind.
const children = new Set();
const directories = new Set();
process.on('exit', () => {
  children.forEach((child) => child.kill('SIGKILL'));
  directories.forEach((directory) => fs.rmSync(directory, { recursive: true, force: true }));
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** Takes every trace, so that exporting is part of what is measured. */
const sink = http.createServer((request, response) => request.resume().on('end', () => response.end()));
await new Promise((resolve) => sink.listen(0, '127.0.0.1', resolve).unref());

const listens = (port) => new Promise((resolve) => {
  const probe = net.connect({ port, host: '127.0.0.1' }, () => resolve(true) ?? probe.destroy());
  probe.on('error', () => resolve(false));
});

async function launch(program, settings = {}) {
  const port = await freePort();
  const child = spawn(program, { env: { ...settings, PORT: `${port}` }, stdio: ['ignore', 'ignore', 'inherit'] });
  children.add(child);
  const exited = new Promise((resolve) => child.on('exit', () => resolve(children.delete(child))));
  await until(`${program} to listen`, () => (children.has(child) ? listens(port) : assert.fail(`${program} ended`)));
  return {
    port,
    pid: child.pid,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Signalbox, its logs on disk and its database in a directory of its own under `under`; `fill` is SQL for that, once it has tables. */
async function signalbox({ under = os.tmpdir(), fill, ...settings } = {}) {
  const [logs, data] = [os.tmpdir(), under].map((dir) => fs.mkdtempSync(path.join(dir, 'signalbox-bench-')));
  directories.add(logs).add(data);
  const traces = `http://127.0.0.1:${sink.address().port}`;
  const begin = async () => {
    const server = await launch(SIGNALBOX, { ...SETTINGS, LOG_DIR: logs, DATA_DIR: data, OTEL_EXPORTER_OTLP_ENDPOINT: traces, ...settings });
    await until('the database', async () => (await fetch(`http://127.0.0.1:${server.port}/readyz`)).ok);
    return server;
  };
  const server = await begin();
  if (fill) {
    await server.stop();
    const python = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())';
    const sql = `PRAGMA synchronous = OFF; BEGIN; ${fill}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE);`;
    execFileSync('python3', ['-c', python, path.join(data, 'signalbox.db')], { input: sql });
    return begin();
  }
  return server;
}

/** The sum of the metrics whose line begins like this. */
async function metric(server, beginning) {
  const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(beginning));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** User and system time of a process, in µs (proc(5): utime and stime in hundredths of a second). */
function cpuOf(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(stat[11]) + Number(stat[12])) * 10_000;
}

function cpuOfAll() {
  const [user, nice, system, , , irq, softirq] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * 10_000;
}

/** Does something `times` times: the server's µs for each, and what others took of the machine meanwhile, in % of a core. */
async function costs(server, times, work) {
  const began = performance.now();
  const before = [cpuOf(server.pid), cpuOfAll(), cpuOf(process.pid)];
  await work();
  const [mine, all, client] = [cpuOf(server.pid), cpuOfAll(), cpuOf(process.pid)].map((now, i) => now - before[i]);
  return { cpu: mine / times, others: Math.max(0, all - mine - client) / (performance.now() - began) / 10 };
}

// --- clients

const [OPEN, PING, MESSAGE] = [...'024'].map((type) => type.charCodeAt());

/** A socket without a client library, so that a hundred of them take little; it hands every packet of Socket.IO on as bytes. */
async function connect(port, auth, heard = () => {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false, skipUTF8Validation: true });
  const waiting = new Map();
  await new Promise((resolve, reject) => {
    ws.on('error', reject).on('close', () => reject(new Error('closed')));
    ws.on('message', (data) => {
      if (data[0] === OPEN) ws.send(`40${JSON.stringify(auth)}`);
      else if (data[0] === PING) ws.send('3');
      else if (data[0] === MESSAGE) {
        const type = data[1] - 0x30;
        if (type === 0) resolve();
        else if (type === 4) reject(new Error(data.toString()));
        else if (type === 3) {
          const [, id, answer] = data.toString().match(/^43(\d+)(.*)$/s);
          waiting.get(Number(id))(JSON.parse(answer)[0]);
          waiting.delete(Number(id));
        } else heard(data);
      }
    });
  });
  let asked = 0;
  return {
    emit: (event, payload) => ws.send(`42${JSON.stringify([event, payload])}`),
    ask(event, payload) {
      const id = asked++;
      ws.send(`42${id}${JSON.stringify([event, payload])}`);
      return new Promise((resolve) => waiting.set(id, resolve));
    },
    close: () => ws.terminate(),
  };
}

const user = (id) => ({ token: token(id, { username: id }) });

// --- figures

function spread(values, digits = 0) {
  const sorted = [...values].sort((a, b) => a - b);
  const shown = (value) => value.toFixed(digits);
  return `${shown(quantile(sorted, 0.5))} (${shown(sorted[0])}–${shown(sorted.at(-1))})`;
}
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

/** The columns are `[title, of a row's results]`. */
function table(title, rows, columns) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const lines = [...rows].map(([name, results]) => line([name, ...columns.map(([, cell]) => cell(results, name))]));
  console.log(['', line([title, ...columns.map(([heading]) => heading)]), line(['---', ...columns.map(() => '---:')]), ...lines].join('\n'));
}

const column = (title, field, digits) => [title, (results) => spread(results.map((result) => result[field]), digits)];

const say = (...words) => console.error(new Date().toISOString().slice(11, 19), ...words);

// --- a message to everybody in a room

/** What is said, by whom and how, and what everybody hears then. */
const CHAT = {
  event: 'message',
  auth: (i) => user(`member-${`${i}`.padStart(3, '0')}`),
  async room(port, name, members) {
    const participants = members.map((_, i) => `member-${`${i}`.padStart(3, '0')}`);
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${user(participants[0]).token}` };
    const body = JSON.stringify({ name, participants });
    const { roomID } = await (await fetch(`http://127.0.0.1:${port}/api/chat/rooms`, { method: 'POST', headers, body })).json();
    for (const socket of members) assert.ok((await socket.ask('join', { roomID })).success);
    return (socket) => socket.ask('message', { roomID, content: 'The pallet at gate 7 has two boxes too few. '.repeat(3) });
  },
};

/** Nobody is asked who they are, and nothing is acknowledged. */
const relay = (bytes) => ({
  event: 'navigate',
  auth: () => undefined,
  async room(port, sessionId, members) {
    for (const socket of members) {
      socket.emit('registerClient', { role: 'mobile' });
      socket.emit('joinSession', { sessionId });
    }
    await sleep(500);
    const empty = JSON.stringify(['navigate', { orderNo: '', ts: Date.now(), from: 'mobile', fromSocketId: 'AAAAAAAAAAAAAAAA' }]);
    const orderNo = 'x'.repeat(bytes - '42'.length - empty.length);
    return (socket) => socket.emit('scanOrder', { sessionId, orderNo, ts: Date.now() });
  },
});

/** Says something at a steady rate and waits until everybody has heard all of it and the speaker knows. */
async function talk(speak, speaker, secs, delivered) {
  const began = performance.now();
  const answers = [];
  for (let i = 0; i < secs * RATE; i++) {
    await sleep(Math.max(0, began + (i * 1000) / RATE - performance.now()));
    answers.push(speak(speaker));
  }
  for (const answer of await Promise.all(answers)) assert.ok(answer?.success ?? true, JSON.stringify(answer));
  await until('all deliveries', delivered);
}

/** CPU time for each message to a room of all, and to one of the speaker alone: the difference is what the others cost. */
async function fanout(server, kind) {
  const heard = { count: 0, bytes: 0 };
  const start = Buffer.from(`42["${kind.event}"`);
  const hears = (data) => {
    if (start.compare(data, 0, start.length) !== 0) return;
    heard.count += 1;
    heard.bytes += data.length;
  };
  const sockets = [];
  for (let i = 0; i < MEMBERS; i++) sockets.push(await connect(server.port, kind.auth(i), hears));
  const figures = {};
  for (const [name, members] of [['all', sockets], ['alone', sockets.slice(0, 1)]]) {
    const speak = await kind.room(server.port, name, members);
    const during = (secs) => {
      Object.assign(heard, { count: 0, bytes: 0 });
      return talk(speak, sockets[0], secs, () => heard.count >= secs * RATE * members.length);
    };
    await during(WARM_SECS);
    figures[name] = await costs(server, SECS * RATE, () => during(SECS));
    await sleep(200);
    assert.equal(heard.count, SECS * RATE * members.length, 'no delivery is missing, and none came twice');
    if (name === 'all') figures.bytes = heard.bytes / heard.count;
  }
  const silence = await costs(server, SECS * RATE, () => sleep(SECS * 1000));
  sockets.forEach((socket) => socket.close());
  const { all, alone, bytes } = figures;
  const each = (all.cpu - alone.cpu) / (MEMBERS - 1);
  return { all: all.cpu, silence: silence.cpu, alone: alone.cpu, each, others: Math.max(all.others, alone.others), bytes };
}

async function fanouts() {
  assert.ok(BARE, 'BARE_BIN is the bare relay that benches/run builds');
  const rows = new Map();
  let bytes;
  const SERVERS = [
    ['Signalbox', CHAT, () => signalbox()],
    ['its database on /dev/shm', CHAT, () => signalbox({ under: MEMORY })],
    ['`TELEMETRY=off`', CHAT, () => signalbox({ TELEMETRY: 'off' })],
    ['`TELEMETRY=off`, database on /dev/shm', CHAT, () => signalbox({ TELEMETRY: 'off', under: MEMORY })],
    ['bare', undefined, () => launch(BARE)],
  ];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const [name, kind, begin] of SERVERS) {
      const server = await begin();
      const result = await fanout(server, kind ?? relay(bytes));
      await server.stop();
      bytes ??= Math.round(result.bytes);
      assert.ok(Math.abs(result.bytes - bytes) < 1, `${name}: ${result.bytes} bytes, not ${bytes}`);
      say(name, JSON.stringify(result));
      rows.set(name, [...(rows.get(name) ?? []), result]);
    }
  }
  const bare = rows.get('bare').map(({ all }) => all);
  table(`${RATE} messages/s, ${SECS} s, ${bytes} bytes each`, rows, [
    column(`CPU µs per message, room of ${MEMBERS}`, 'all'),
    ['to bare', (results) => (quantile(results.map(({ all }) => all), 0.5) / quantile(bare, 0.5)).toFixed(2)],
    column('room of 1', 'alone'),
    column('while nobody speaks', 'silence'),
    column('each further member', 'each', 2),
    column('other work, % of a core', 'others'),
  ]);
}

// --- pages of a long history

const numbers = (count) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
/** A message for each number, `room` and `at` being SQL of it. */
const messages = (count, room, at) => `
  ${numbers(count)} INSERT INTO chat_messages (room_id, user_id, username, content, gpt, created_at)
  SELECT ${room}, 'member-' || (i % 10), 'member-' || (i % 10), printf('%100d', i), 0, ${at} FROM n`;

/**
 * One call after the other: each one's ms as the client sees it, with the answer parsed. A series that takes too long is cut, one that
 * is refused ends.
 */
async function timed(server, most, call) {
  const times = [];
  let refused = 0;
  const began = performance.now();
  const { cpu, others } = await costs(server, 1, async () => {
    while (times.length < most && !refused && performance.now() - began < LONGEST) {
      const start = performance.now();
      const answer = await call(times.length);
      times.push(performance.now() - start);
      if (answer === false) refused = 1;
    }
  });
  const calls = times.length;
  return { calls, refused, cpu: cpu / calls, others, p50: quantile(times, 0.5), p99: quantile(times, 0.99), most: Math.max(...times) };
}

const TIMES = [
  column('calls', 'calls'), column('refused', 'refused'), column('p50, ms', 'p50', 2), column('p99, ms', 'p99', 2), column('slowest, ms', 'most', 2),
  column('server CPU, µs', 'cpu'), column('other work, % of a core', 'others'),
];

async function histories() {
  const start = Date.now() - HISTORY * 1000;
  const server = await signalbox({
    fill: `
      INSERT INTO chat_rooms VALUES ('long', 'Long', 'reader', ${start}, ${start + HISTORY * 1000});
      INSERT INTO chat_participants VALUES ('long', 'reader', 'reader', ${start});
      ${messages(HISTORY, "'long'", `${start} + i * 1000`)}`,
  });
  const socket = await connect(server.port, user('reader'));
  const load = (direction, from) => async (i) => {
    const [type, first] = direction === 'after' ? ['new', 1] : [undefined, -50];
    const timestamp = start + (from + 50 * i) * 1000;
    const page = await socket.ask('loadMoreMessages_for_room', { roomId: 'long', timestamp, type });
    if (page.success === false) return false;
    return assert.deepEqual(page.map(({ createdAt }) => createdAt), Array.from({ length: 50 }, (_, n) => timestamp + (first + n) * 1000));
  };
  const series = new Map();
  for (const direction of ['before', 'after']) {
    for (const [place, from] of Object.entries({ beginning: 100, middle: HISTORY / 2, end: HISTORY - 100 - 50 * LOADS })) {
      series.set(`${direction}, at the ${place}`, load(direction, from));
    }
  }
  // The last 50 as an event, then the answer.
  series.set('join', async () => (await socket.ask('join', { roomID: 'long' })).success);
  const rows = new Map();
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const [name, call] of series) {
      // What took too long has made the database count as away.
      await until('the database', async () => (await metric(server, 'signalbox_store_up ')) === 1);
      const result = await timed(server, LOADS, call);
      say(name, JSON.stringify(result));
      rows.set(name, [...(rows.get(name) ?? []), result]);
    }
  }
  socket.close();
  await server.stop();
  table(`50 of ${HISTORY} messages, ${LOADS} times`, rows, TIMES);
}

// --- coming back to many rooms

async function syncs() {
  const [ROOMS, EACH] = [200, 20];
  const start = Date.now() - 3_600_000;
  const server = await signalbox({
    fill: `
      ${numbers(ROOMS)} INSERT INTO chat_rooms SELECT 'room-' || (i - 1), 'Room', 'reader', ${start}, ${start + ROOMS * EACH} FROM n;
      INSERT INTO chat_participants SELECT id, 'reader', 'reader', created_at FROM chat_rooms;
      INSERT INTO chat_participants SELECT id, 'member-1', 'member-1', created_at FROM chat_rooms;
      ${messages(ROOMS * EACH, `'room-' || (i % ${ROOMS})`, `${start} + i`)}`,
  });
  let arrived;
  const socket = await connect(server.port, user('reader'), (data) => arrived(data));
  // Half of the rooms are asked for from their middle on.
  const rooms = Array.from({ length: ROOMS }, (_, i) => ({ roomId: `room-${i}`, ...(i % 2 ? { timestamp: start + (ROOMS * EACH) / 2 } : {}) }));
  const sync = async () => {
    const answer = new Promise((resolve) => {
      arrived = resolve;
    });
    socket.emit('syncRooms', { rooms });
    const [, synced] = JSON.parse((await answer).subarray(2));
    assert.deepEqual(synced.map(({ messages: page }) => page.length), rooms.map((_, i) => (i % 2 ? EACH / 2 : EACH)));
  };
  const operations = () => metric(server, 'signalbox_store_operations_total{op="chat"');
  await sync();
  const results = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const before = await operations();
    await sync();
    const result = { operations: (await operations()) - before, ...(await timed(server, SYNCS, sync)) };
    say('sync', JSON.stringify(result));
    results.push(result);
  }
  socket.close();
  await server.stop();
  const name = `${ROOMS} rooms of ${EACH} messages, half with a time`;
  table(`syncRooms, ${SYNCS} times`, [[name, results]], [column('database operations', 'operations'), ...TIMES]);
}

for (const [name, part] of Object.entries({ fanout: fanouts, history: histories, sync: syncs })) if (ONLY.includes(name)) await part();
