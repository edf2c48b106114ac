// What the tests of chat share: accounts, sockets that come with the chat profile, and rooms.
import assert from 'node:assert/strict';
import { token } from './server.mjs';
import { done, fresh, heard, hears, open, range, start as startTicketing } from './ticketing.mjs';

export { ask } from './ticketing.mjs';

const FAR = '1000000';
export const USER_AGENT = 'VisionChat/4.2 (test)';

/** A server whose limits are far away; it ends with the tests of the file. */
export const start = (settings) => startTicketing({ LOGINS_PER_ADDRESS: FAR, HANDSHAKE_FAILURES_PER_MIN: FAR, ...settings });

/** Over HTTP: `as` is an account, a token, or nobody; `from` is the address that the proxy names. */
export async function http(server, method, where, { as, body, from: address } = {}) {
  const bearer = as?.accessToken ?? as;
  const headers = {
    ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(address ? { 'x-forwarded-for': address } : {}),
  };
  const sent = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(`${server.url}${where}`, { method, headers, body: sent, redirect: 'manual' });
  const text = await response.text();
  return { status: response.status, data: response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text };
}

/** A new account: `{ accessToken, refreshToken, user: { id, username, … } }`. */
export async function account(server, username = fresh('user'), options = {}) {
  const body = { username, email: `${fresh('mail')}@example.com`, password: 'correct horse battery staple' };
  const { status, data } = await http(server, 'POST', '/api/auth/register', { body, ...options });
  assert.equal(status, 201, JSON.stringify(data));
  return data;
}
export const accounts = (server, count) => Promise.all(range(count).map(() => account(server)));

/** An access token of an account that was over a minute ago: more than is forgiven. */
export function expired({ user }, claims) {
  return token(`${user.id}`, { userId: user.id, username: user.username, exp: Math.floor(Date.now() / 1000) - 60, ...claims });
}

/** What a chat client brings along. */
export function profile({ accessToken, refreshToken, user }, more) {
  return { accessToken, refreshToken, userAgent: USER_AGENT, username: user.username, ...more };
}

/** Where the proxy says that a socket comes from. */
export const from = (address) => ({ extraHeaders: { 'x-forwarded-for': address } });

/** Rejects with what the server said. */
export function connected(socket) {
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('connect_error', reject);
  });
}

/** A connected socket with the chat profile, which keeps what it hears in `heard`. `auth` is instead of the profile. */
export function chatter(server, who, { namespace = '/chat', userAgent = USER_AGENT, ...options } = {}) {
  return connected(open(server, who.user.id, { namespace, auth: profile(who, { userAgent }), ...options }));
}

/** The text that turns away whoever comes with this. */
export async function turnedAway(server, auth, { namespace = '/chat', ...options } = {}) {
  const socket = open(server, undefined, { namespace, auth, ...options });
  const { message } = await connected(socket).then(() => assert.fail(`let in with ${JSON.stringify(auth)}`), (error) => error);
  socket.close();
  return message;
}

/** A new room of an account; participants are names and ids. */
export async function createRoom(server, owner, name = 'Room', participants = []) {
  const { status, data } = await http(server, 'POST', '/api/chat/rooms', { as: owner, body: { name, participants } });
  assert.equal(status, 201, JSON.stringify(data));
  return data;
}

/** Joins, and gives what was said before. */
export async function join(socket, roomID, more) {
  const before = heard(socket, 'previousMessages').length;
  assert.deepEqual(await done(socket, 'join', { roomID, ...more }), { success: true, roomID });
  await hears(socket, 'previousMessages', before + 1);
  return heard(socket, 'previousMessages').slice(before).flat();
}

/** Says something that is to be kept, and gives the acknowledgement. */
export const say = (socket, roomID, content, more) => done(socket, 'message', { roomID, content, ...more });

/** Accounts, the room that they are in, of which the first is the owner, and a socket of each that has joined. */
export async function meeting(server, count, options) {
  const members = await accounts(server, count);
  const { roomID } = await createRoom(server, members[0], 'Meeting', members.slice(1).map(({ user }) => user.id));
  const sockets = [];
  for (const who of members) {
    const socket = await chatter(server, who, options);
    await join(socket, roomID);
    sockets.push(socket);
  }
  return { members, roomID, sockets };
}
