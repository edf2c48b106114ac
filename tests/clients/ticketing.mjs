// What the tests of events, queues, seats and restores share: servers and sockets that end by themselves, and what is asked of them.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { UNLIMITED, client, errorOf, once, startServer, token, until } from './server.mjs';

const closing = [];
after(() => Promise.all(closing.map((close) => close())));
/** Does it when all tests of the file are over. */
export const atEnd = (close) => closing.push(close);

export async function start(settings) {
  const server = await startServer({ ...UNLIMITED, HTTP_RATE_MAX: '1000000', ...settings });
  atEnd(() => server.stop());
  return server;
}

// Tests share servers, not events and users.
let names = 0;
export const fresh = (name) => `${name}-${(names += 1)}`;
export const range = (count, from = 0) => Array.from({ length: count }, (_, i) => from + i);
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A socket that keeps what it hears, from the start; with `auth: {}` a guest. */
export function open(server, user = fresh('user'), { namespace = '', ...options } = {}) {
  const socket = client(server.url + namespace, user, undefined, { reconnection: false, transports: ['websocket'], ...options });
  atEnd(() => socket.close());
  socket.user = user;
  socket.heard = [];
  socket.onAny((event, data) => socket.heard.push({ event, data, at: performance.now() }));
  return socket;
}
/** The same, connected. */
export async function connect(server, user, options) {
  const socket = open(server, user, options);
  await once(socket, 'connect');
  return socket;
}
/** Sockets of as many users. */
export const many = (server, count) => Promise.all(range(count).map(() => connect(server)));

export const heard = (socket, event) => socket.heard.filter((h) => h.event === event).map((h) => h.data);
export const hears = (socket, event, count = 1) => until(`${count} ${event}`, () => heard(socket, event).length >= count, 10_000);
export const allowed = (socket) => heard(socket, 'queue-entry-allowed');

// What a socket asks, whatever the answer is; what must be done; what must not.
export const ask = (socket, event, ...payload) => socket.timeout(10_000).emitWithAck(event, ...payload).catch((error) => assert.fail(`${event}: ${error.message}`));
export async function done(socket, event, payload) {
  const answer = await ask(socket, event, payload);
  assert.notEqual(answer.success, false, `${event} ${JSON.stringify(payload)}: ${JSON.stringify(answer)}`);
  return answer;
}
export async function refused(socket, event, payload, code, what = '') {
  const answer = await ask(socket, event, payload);
  assert.equal(answer.success, false, `${event}, ${what}: ${JSON.stringify(answer)}`);
  assert.equal(errorOf(answer).code, code, `${event}, ${what}: ${JSON.stringify(answer)}`);
}
export const joinQueue = (socket, eventId) => done(socket, 'join-queue', { eventId });
export const leaveQueue = (socket, eventId) => done(socket, 'leave-queue', { eventId });

/** Sockets that join one after the other; with a threshold of 1 the first is let in, the others wait. */
export async function line(server, eventId, count) {
  const sockets = await many(server, count);
  for (const socket of sockets) await joinQueue(socket, eventId);
  return sockets;
}

// The same over HTTP: `as` is a token, or nobody's.
export const ADMIN = token('admin', { role: 'admin' });
async function http(server, method, where, as, body) {
  const headers = { ...(as ? { authorization: `Bearer ${as}` } : {}), ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const response = await fetch(`${server.url}/api/${where}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return { status: response.status, data: await response.json() };
}
export async function ok(server, method, where, as, body) {
  const { status, data } = await http(server, method, where, as, body);
  assert.equal(status, 200, `${method} ${where}: ${JSON.stringify(data)}`);
  return data;
}
export async function no(server, method, where, as, status, code, body) {
  const answer = await http(server, method, where, as, body);
  assert.deepEqual([answer.status, answer.data.success, answer.data.error?.code], [status, false, code], `${method} ${where} ${JSON.stringify(body)}: ${JSON.stringify(answer.data)}`);
}
