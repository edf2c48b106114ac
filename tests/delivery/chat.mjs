// The chat drill: the server is killed while 50 clients chat, and a judge says whether nothing was lost, doubled or swapped.
//   node tests/delivery/chat.mjs --seconds 60 --database postgres
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UNLIMITED, client, freePort, nonce, startServer, token, until } from '../clients/server.mjs';
import { sleep } from './clients.mjs';
import { postgres } from './postgres.mjs';
import { scene } from './scene.mjs';

const ANSWER_MS = 2000;
const AGAIN_MS = 100;
/** One message in so many is sent again although it was acknowledged. */
const LATE = 10;
/** What all have to be told alike. */
const FIELDS = ['createdAt', 'userId', 'username', 'clientId', 'content'];

/**
 * What clients logged, each list in the order in which it happened:
 *   sends     { room, user, clientId, content }                  every attempt
 *   acks      { room, user, clientId, id, createdAt }
 *   refusals  { room, user, clientId?, code }                    answers that are no acknowledgement; without clientId of a join
 *   receipts  { room, user, live, message }                      what a client was sent
 *   rooms     { room, members, history }                         where each one ended: the whole history, oldest first
 *
 * Faults carry the rule that is broken:
 *   lost        acknowledged, and not in the history
 *   twice       said once, and more than once in the history
 *   order       the history does not rise, or a client was sent something after what came later
 *   missed      in the history, and a client of the room never got it
 *   phantom     nobody sent it, or not like this, or a client got what the history does not have
 *   acks        two answers for one message do not agree, or a good one was refused
 *   unanswered  a client was never told what became of it
 */
export function judge({ sends, acks, refusals, receipts, rooms }) {
  const faults = [];
  const fault = (rule, room, text) => faults.push({ rule, room, text });
  const keyOf = (room, user, clientId) => `${room} ${user} ${clientId}`;
  const sent = new Map(sends.map((send) => [keyOf(send.room, send.user, send.clientId), send]));
  const said = new Map();
  const places = new Map();

  for (const { room, history } of rooms) {
    const ids = new Map();
    places.set(room, ids);
    for (const [place, message] of history.entries()) {
      const { id, createdAt, userId, clientId, content } = message;
      const key = keyOf(room, userId, clientId);
      if (sent.get(key)?.content !== content) fault('phantom', room, `${id} is in the history, and nobody sent it so`);
      if (said.has(key) || ids.has(id)) fault('twice', room, `${clientId} of ${userId} is in the history again, as ${id}`);
      const before = history[place - 1]?.createdAt ?? -Infinity;
      if (createdAt <= before) fault('order', room, `${id} at ${createdAt} follows one at ${before}`);
      if (!said.has(key)) said.set(key, message);
      if (!ids.has(id)) ids.set(id, { place, message });
    }
  }

  const acked = new Map();
  for (const { room, user, clientId, id, createdAt } of acks) {
    const key = keyOf(room, user, clientId);
    const before = acked.get(key) ?? { id, createdAt };
    if (!sent.has(key)) fault('phantom', room, `${clientId} was acknowledged, and ${user} did not send it`);
    if (before.id !== id || before.createdAt !== createdAt) fault('acks', room, `${clientId} was acknowledged as ${before.id}, and as ${id}`);
    acked.set(key, before);
    const kept = said.get(key);
    if (!kept) {
      fault('lost', room, `${clientId} of ${user} was acknowledged as ${id}, and is not in the history`);
    } else if (kept.id !== id || kept.createdAt !== createdAt) {
      fault('acks', room, `${clientId} was acknowledged as ${id} at ${createdAt}, and is ${kept.id} at ${kept.createdAt}`);
    }
  }
  for (const { room, user, clientId, code } of refusals) {
    if (code !== 'UNAVAILABLE') fault('acks', room, `${clientId ?? 'a join'} of ${user} was refused with ${code}`);
  }
  for (const [key, { room, user, clientId }] of sent) {
    if (!acked.has(key)) fault('unanswered', room, `${clientId} of ${user} was never acknowledged`);
  }

  const got = new Map(rooms.flatMap(({ room, members }) => members.map((user) => [`${room} ${user}`, { ids: new Set(), last: -1 }])));
  let repeated = 0;
  for (const { room, user, message } of receipts) {
    const known = places.get(room)?.get(message.id);
    const state = got.get(`${room} ${user}`);
    if (!state || !known || FIELDS.some((field) => message[field] !== known.message[field])) {
      fault('phantom', room, `${user} was sent ${JSON.stringify(message)}, and the history has ${JSON.stringify(known?.message)}`);
    }
    if (!state || !known) continue;
    if (state.ids.has(message.id)) {
      repeated += 1;
      continue;
    }
    if (known.place < state.last) fault('order', room, `${user} was sent ${message.id} (place ${known.place}) after place ${state.last}`);
    state.ids.add(message.id);
    state.last = Math.max(state.last, known.place);
  }
  for (const { room, members, history } of rooms) {
    for (const user of members) {
      const { ids } = got.get(`${room} ${user}`);
      for (const { id } of history) if (!ids.has(id)) fault('missed', room, `${user} never got ${id}`);
    }
  }

  return {
    ok: faults.length === 0,
    faults,
    figures: {
      messages: sent.size, acked: acked.size, kept: said.size, again: acks.length - acked.size, retries: sends.length - acks.length,
      live: receipts.filter(({ live }) => live).length, caughtUp: receipts.filter(({ live }) => !live).length, repeated, faults: faults.length,
    },
  };
}

/** Chats at its pace until `stop()`, and comes back with the time of the last message that it has. */
function chatter(url, { name, room, number, interval, log }) {
  let going = true;
  /** Until it has one, it asks for everything. */
  let last = 0;
  let joined = false;
  const accessToken = token(name, { username: name });
  // Each second one as the chat's own clients do it, on their namespace; some come by polling first.
  const profile = { accessToken, refreshToken: 'good while the other is', userAgent: 'drill', username: name };
  const [namespace, auth] = number % 2 ? ['/chat', profile] : ['', { token: accessToken }];
  const socket = client(url + namespace, name, undefined, { auth, transports: number % 5 ? ['websocket'] : ['polling', 'websocket'] });
  const ask = (event, payload) => socket.timeout(ANSWER_MS).emitWithAck(event, payload).catch(() => undefined);

  async function join() {
    const answer = await ask('join', { roomID: room, createdAt: last });
    joined = answer?.success === true;
    if (joined || !socket.connected) return;
    if (answer) log.refusals.push({ room, user: name, code: answer.error?.code });
    setTimeout(join, AGAIN_MS);
  }
  socket.on('connect', join);
  socket.on('disconnect', () => { joined = false; });
  const receive = (message, live) => {
    log.receipts.push({ room, user: name, live, message });
    last = Math.max(last, message.createdAt);
  };
  socket.on('previousMessages', (messages) => messages.forEach((message) => receive(message, false)));
  socket.on('message', (message) => receive(message, true));

  /** The same clientId until there is an answer; while nothing serves, the official client keeps it. */
  async function deliver(message) {
    const { roomID, ...rest } = message;
    for (;;) {
      log.sends.push({ room: roomID, user: name, ...rest });
      const answer = await ask('message', message);
      if (answer?.success) {
        log.acks.push({ room, user: name, clientId: message.clientId, id: answer.id, createdAt: answer.createdAt });
        return;
      }
      if (!answer) continue;
      log.refusals.push({ room, user: name, clientId: message.clientId, code: answer.error?.code });
      await sleep(AGAIN_MS);
    }
  }
  let count = 0;
  async function say() {
    const message = { roomID: room, clientId: nonce(), content: `${(count += 1)}번째 from ${name}` };
    const late = count % LATE === 0;
    await deliver(message);
    if (late) await deliver(message);
  }
  async function work() {
    while (going) {
      await sleep(interval * (0.5 + Math.random()));
      await say();
    }
  }
  return {
    name,
    room,
    say,
    joined: () => joined,
    last: () => last,
    /** Read back to the beginning, a page at a time. */
    async history() {
      const all = [];
      for (;;) {
        const page = await ask('loadMoreMessages_for_room', { roomId: room, ...(all.length && { timestamp: all[0].createdAt }) });
        if (!Array.isArray(page)) throw new Error(`the history was not told: ${JSON.stringify(page)}`);
        if (page.length === 0) return all;
        all.unshift(...page);
      }
    },
    work,
    stop: () => { going = false; },
    close: () => socket.close(),
  };
}

async function drill({ seconds, kills, clients, rooms, rate, database: kind, keep }) {
  let server;
  let database;
  const dir = scene('signalbox-chat-', () => {
    server?.kill('SIGKILL');
    database?.kill();
  });
  if (kind === 'postgres') database = await postgres(dir, await freePort());
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const settings = {
    ...UNLIMITED, HANDSHAKE_FAILURES_PER_MIN: '1000000', HTTP_RATE_MAX: '1000000', CANARY_INTERVAL: 'off',
    PORT: String(port), DATA_DIR: path.join(dir, 'data'), LOG_DIR: path.join(dir, 'logs'), ...(database && { DATABASE_URL: database.url }),
  };
  /** Until it serves: the same port and the same data every time. */
  async function serve() {
    server = await startServer(settings);
    await until('/readyz', async () => (await fetch(`${url}/readyz`).catch(() => ({}))).status === 200);
  }
  await serve();

  const names = Array.from({ length: clients }, (_, i) => `chatter-${i}`);
  const roomIDs = await Promise.all(Array.from({ length: rooms }, async (_, i) => {
    const participants = names.filter((_, n) => n % rooms === i);
    const headers = { authorization: `Bearer ${token(participants[0])}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}/api/chat/rooms`, { method: 'POST', headers, body: JSON.stringify({ name: `Room ${i}`, participants }) });
    if (answer.status !== 201) throw new Error(`no room: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).roomID;
  }));
  const log = { sends: [], acks: [], refusals: [], receipts: [], rooms: [] };
  const interval = (1000 * clients) / rate;
  const chatters = names.map((name, number) => chatter(url, { name, room: roomIDs[number % rooms], number, interval, log }));
  await until('everybody', () => chatters.every((one) => one.joined()));

  const working = chatters.map((one) => one.work());
  for (let i = 0; i < kills; i += 1) {
    await sleep((1000 * seconds) / (kills + 1));
    // All at once, so that the kill meets messages at every step of their way.
    working.push(...chatters.map((one) => one.say()));
    await sleep(Math.random() * 20);
    await server.stop();
    await serve();
  }
  await sleep((1000 * seconds) / (kills + 1));
  chatters.forEach((one) => one.stop());
  // What is missing is found by the judge.
  await Promise.race([Promise.all(working), sleep(30_000)]);
  for (const room of roomIDs) {
    const members = chatters.filter((one) => one.room === room);
    const history = await members[0].history();
    log.rooms.push({ room, members: members.map((one) => one.name), history });
    await until('the last message', () => members.every((one) => one.last() === history.at(-1)?.createdAt)).catch(() => {});
  }
  chatters.forEach((one) => one.close());

  const { ok, faults, figures } = judge(log);
  const broken = {};
  for (const { rule } of faults) broken[rule] = (broken[rule] ?? 0) + 1;
  console.log(JSON.stringify({ database: kind, seconds, kills, clients, rooms, ...figures, ...(ok ? {} : { broken }) }));
  if (ok) {
    console.log(`chat: ${kills} kills, ${figures.acked} acknowledged messages of ${clients} clients, each in the history once, in one order for all`);
  } else {
    console.log(`chat: BROKEN, ${faults.length} faults: ${Object.entries(broken).map(([rule, n]) => `${rule} ${n}`).join(', ')}`);
    // Of each kind the first, then the others.
    const firsts = Object.keys(broken).map((rule) => faults.find((fault) => fault.rule === rule));
    for (const { rule, room, text } of [...new Set([...firsts, ...faults])].slice(0, 10)) console.log(`  ${rule}: ${room}: ${text}`);
    if (keep) {
      fs.mkdirSync(keep, { recursive: true });
      fs.cpSync(settings.LOG_DIR, path.join(keep, 'logs'), { recursive: true });
      fs.writeFileSync(path.join(keep, 'history.json'), JSON.stringify({ faults, ...log }));
      console.log(`  the history and the logs are in ${keep}`);
    }
  }
  await server.stop();
  await database?.stop();
  process.exit(ok ? 0 : 1);
}

// Its judge is imported by tests.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '20' },
      kills: { type: 'string', default: '2' },
      clients: { type: 'string', default: '50' },
      rooms: { type: 'string', default: '2' },
      // Messages per second over all clients.
      rate: { type: 'string', default: '60' },
      database: { type: 'string', default: 'sqlite' },
      // Where history and logs go when there are faults.
      keep: { type: 'string' },
    },
  });
  const [seconds, kills, clients, rooms, rate] = ['seconds', 'kills', 'clients', 'rooms', 'rate'].map((name) => Number(values[name]));
  await drill({ ...values, seconds, kills, clients, rooms, rate });
}
