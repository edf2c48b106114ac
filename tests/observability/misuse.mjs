// Clients that do wrong: each of the server's limits and checks is met at least once.
import net from 'node:net';
import { client, once, token, until } from '../clients/server.mjs';
import { chatter, member } from './load.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const POLL = '/socket.io/?EIO=4&transport=polling';

/** Bytes as they are; resolves when the server has answered or closed. */
function raw(url, bytes) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname, () => socket.write(bytes));
    const end = () => { socket.destroy(); resolve(); };
    socket.on('data', end).on('error', end).on('close', end).setTimeout(10_000, end);
  });
}
const get = (url, path, headers = '') => raw(url, `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}Connection: close\r\n\r\n`);

async function strangers(url) {
  const wrong = (auth) => client(url, 'x', 'mobile', { auth, transports: ['websocket'], reconnection: false });
  const sockets = [wrong({}), wrong({}), ...Array.from({ length: 14 }, () => wrong({ token: 'not.a.token' }))];
  await Promise.all(sockets.map((socket) => once(socket, 'connect_error')));
  sockets.forEach((socket) => socket.close());
}

async function forgers(url) {
  await get(url, POLL, 'Origin: https://evil.example.com\r\n');
  await get(url, `${POLL}&sid=AAAAAAAAAAAAAAAA`);
  await get(url, '/socket.io/?EIO=3&transport=polling');
  await raw(url, '\x16\x03\x01\x02\x00\r\n\r\n');
  await raw(url, `GET / HTTP/1.1\r\nX: ${'x'.repeat(64_000)}\r\n\r\n`);
  await raw(url, 'GET /health HTTP/1.1\r\nHost: x\r\nX-Slow');
}

/** More sockets than one address may have without a token. */
const loiterers = (url) => Promise.all(Array.from({ length: 30 }, () => get(url, POLL)));

/** More sockets than the node takes. */
async function crowd(url, sockets) {
  const all = [];
  for (let n = 0; n < sockets; n += 1) {
    const socket = client(url, `crowd-${n}`, 'mobile', { transports: ['websocket'], reconnection: false });
    all.push(socket);
    await new Promise((resolve) => socket.once('connect', resolve).once('connect_error', resolve));
  }
  await sleep(1500);
  all.forEach((socket) => socket.close());
}

async function mistaken(url) {
  const phone = member(url, 'mistaken', 'mobile', 'mistaken');
  await once(phone, 'joinedSession');
  const wrong = [
    ['scanOrder', {}], ['scanOrder', { sessionId: 'not mine', orderNo: 'A', ts: 1 }], ['scanOrder', { sessionId: 'x'.repeat(5000), orderNo: 'A', ts: 1 }],
    ['joinSession', { sessionId: '' }], ['registerClient', { role: 'admiral' }], ['open-sesame', {}], ['join', { roomId: '!' }],
    ['join-room', { roomId: 'never-made' }], ['offer', { to: 'nobody', offer: 1 }], ['answer', { to: 'A'.repeat(16), answer: 1 }],
    ['ice-candidate', { to: 'A'.repeat(16), candidate: 1 }], ['leaveSession', { sessionId: 'not mine' }], ['leave', { roomId: '' }],
    ['message', { type: 'shout' }], ['token:renew', { token: 'no' }], ['create-room', { roomId: '' }],
    ['join-event', {}], ['leave-event', { eventId: -1 }], ['join-queue', { eventId: '' }], ['leave-queue', {}],
    ['queue:heartbeat', { eventId: 'not let in' }], ['join-seat-selection', { eventId: [] }], ['select-seat', { eventId: 'e' }],
    ['release-seat', { eventId: 'e', seatId: "nobody's" }], ['seat-selection-changed', { eventId: 'e', seats: 'all' }],
    ['message', { roomID: 'not mine', content: 'hello' }], ['editMessage', { roomID: 'not mine', id: 1, content: 'hello' }],
    ['loadMoreMessages_for_room', { roomId: 'not mine' }], ['deleteroom', { roomID: 'not mine' }], ['syncRooms', {}],
  ];
  for (const [event, payload] of wrong) await phone.timeout(5000).emitWithAck(event, payload);
  phone.close();
}

/** Faster than allowed, then so much faster that it is cut off. */
async function hasty(url) {
  const phone = member(url, 'hasty', 'mobile', 'hasty', { reconnection: false });
  await once(phone, 'joinedSession');
  for (let n = 0; n < 100; n += 1) phone.emit('heartbeat');
  await sleep(1000);
  const gone = once(phone, 'disconnect');
  for (let n = 0; n < 5000; n += 1) phone.emit('heartbeat');
  await gone;
}

async function gibberish(url) {
  const phone = member(url, 'gibberish', 'mobile', 'gibberish', { reconnection: false });
  await once(phone, 'joinedSession');
  const gone = once(phone, 'disconnect');
  phone.io.engine.transport.ws.send('9');
  await gone;
}

/** A phone that fell asleep: it connects, and never answers a ping. */
async function sleeper(url) {
  const opened = await (await fetch(`${url}${POLL}`)).text();
  const { sid } = JSON.parse(opened.slice(1));
  await fetch(`${url}${POLL}&sid=${sid}`, { method: 'POST', body: `40${JSON.stringify({ token: token('sleeper') })}` });
}

async function guesser(url) {
  const guess = { email: 'nobody@example.com', password: 'a wrong guess' };
  for (let n = 0; n < 6; n += 1) {
    await fetch(`${url}/api/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(guess) });
  }
  await Promise.all(Array.from({ length: 350 }, () => fetch(`${url}/api/rooms`).then((answer) => answer.arrayBuffer())));
}

/** Once through all of them. `sockets` is more than the node takes. */
export async function misuse(url, sockets) {
  const ways = { sleeper, mistaken, hasty, gibberish, strangers, crowd: (to) => crowd(to, sockets), forgers, guesser, loiterers };
  for (const [name, way] of Object.entries(ways)) {
    await way(url).catch((error) => { throw new Error(`misuse, ${name}: ${error.message}`); });
  }
}

/** Chat clients behind a proxy, with forged tokens or asking for new ones without end: their addresses are blocked, and whoever else is there. */
export async function banned(url) {
  const { user, auth } = await chatter(url);
  const from = (address) => ({ extraHeaders: { 'x-forwarded-for': address }, transports: ['websocket'], reconnection: false });
  const [forger, looping] = ['203.0.113.7', '203.0.113.8'];
  const inside = [];
  for (const address of [forger, looping]) {
    const socket = client(`${url}/chat`, user.id, undefined, { auth, ...from(address) });
    await once(socket, 'connect');
    inside.push(socket);
  }
  const turnedAway = async (more, address) => {
    const socket = client(`${url}/chat`, user.id, undefined, { auth: { ...auth, ...more }, ...from(address) });
    const { message } = await once(socket, 'connect_error');
    socket.close();
    return message;
  };
  const gone = Promise.all(inside.map((socket) => once(socket, 'disconnect')));
  for (let n = 0; n < 5; n += 1) await turnedAway({ accessToken: 'forged' }, forger);
  for (let n = 0; n < 130; n += 1) inside[1].emit('refreshToken');
  await gone;
  for (const address of [forger, looping]) {
    if (await turnedAway({}, address) !== "you're banned") throw new Error(`${address} is not blocked`);
    await fetch(`${url}/api/rooms`, { headers: { 'x-forwarded-for': address } });
  }
}

/** A peer that stops reading while it is sent much: the server lets go of it. */
export async function slowReader(url) {
  const [sender, reader] = ['sender', 'reader'].map((user) => client(url, user, undefined, { transports: ['websocket'], reconnection: false }));
  await Promise.all([once(sender, 'connect'), once(reader, 'connect')]);
  for (const socket of [sender, reader]) await socket.emitWithAck('join', { roomId: 'slow-reader' });
  reader.io.engine.transport.ws._socket.pause();
  const offer = { sdp: 'x'.repeat(50_000) };
  let left = false;
  sender.on('peer-left', () => { left = true; });
  await until('the slow reader to be let go', async () => {
    if (!left) await sender.timeout(5000).emitWithAck('offer', { to: reader.id, offer });
    return left;
  });
  [sender, reader].forEach((socket) => socket.close());
}

/** Events whose turn does not come, on a node that is slow at them. */
export function impatient(url) {
  const phone = member(url, 'impatient', 'mobile', 'impatient');
  phone.on('joinedSession', () => {
    for (let n = 0; n < 60; n += 1) phone.emit('scanOrder', { sessionId: 'impatient', orderNo: `A-${n}`, ts: 1 });
  });
  return () => phone.close();
}

/** So many names that nobody has heard of: of events on the wire, rooms, sessions, users, and of lines and seats. Each must be handled without a trace in the metrics. */
export async function invented(url, names) {
  const phone = member(url, 'inventor', 'mobile', 'invented');
  await once(phone, 'joinedSession');
  const each = Math.ceil(names / 6);
  const name = (n) => `invented-${Date.now().toString(36)}-${n}`;
  for (let n = 0; n < each; n += 20) {
    await Promise.all(Array.from({ length: 20 }, async (_, i) => {
      await phone.timeout(10_000).emitWithAck(name(n + i), {});
      const roomId = name(n + i);
      await phone.timeout(10_000).emitWithAck('join', { roomId });
      phone.emit('leave', { roomId });
      await phone.timeout(10_000).emitWithAck('joinSession', { sessionId: roomId });
      phone.emit('leaveSession', { sessionId: roomId });
      const eventId = name(n + i);
      await phone.timeout(10_000).emitWithAck('join-queue', { eventId });
      await phone.timeout(10_000).emitWithAck('select-seat', { eventId, seatId: name(n + i) });
      phone.emit('leave-queue', { eventId });
      const user = client(url, name(n + i), 'mobile', { transports: ['websocket'], reconnection: false });
      await once(user, 'connect');
      user.close();
    }));
  }
  phone.close();
}
