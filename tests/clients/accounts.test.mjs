// Accounts: register, log in, refresh, log out, what their tokens open and for how long, and what is kept over a restart.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { TRANSPORTS, UNLIMITED, once, startServer, token, until } from './server.mjs';

const FAR = '1000000';
const SETTINGS = { ...UNLIMITED, HTTP_RATE_MAX: FAR, LOGINS_PER_ADDRESS: FAR, LOGINS_PER_ACCOUNT: FAR, HANDSHAKE_FAILURES_PER_MIN: FAR };
const PASSWORD = 'correct horse battery staple';
/** How soon a login that was ended is ended everywhere. */
const SOON = 5_000;

const servers = [];
const sockets = [];
const dirs = [];
async function start(settings) {
  const server = await startServer({ ...SETTINGS, ...settings });
  servers.push(server);
  return server;
}
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  dirs.forEach((dir) => fs.rmSync(dir, { recursive: true, force: true }));
});

function dataDir() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-accounts-'));
  dirs.push(dir);
  return dir;
}

async function ask(server, method, where, { body, as, headers } = {}) {
  const response = await fetch(`${server.url}/api/auth/${where}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(as ? { authorization: `Bearer ${as}` } : {}), ...headers },
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, data: await response.json() };
}
const post = (server, where, body, as) => ask(server, 'POST', where, { body, as });
const me = (server, as) => ask(server, 'GET', 'me', { as });

let count = 0;
/** An account that nobody has. */
function somebody(more) {
  count += 1;
  return { username: `User ${count}`, email: `user${count}@example.com`, password: PASSWORD, ...more };
}

async function registered(server, more) {
  const who = somebody(more);
  const { status, data } = await post(server, 'register', who);
  assert.equal(status, 201, JSON.stringify(data));
  return { ...data, ...who };
}

async function loggedIn(server, { email, password }) {
  const { status, data } = await post(server, 'login', { email, password });
  assert.equal(status, 200, JSON.stringify(data));
  return data;
}

const refresh = (server, { refreshToken }) => post(server, 'refresh', { refreshToken });
async function refreshed(server, login) {
  const { status, data } = await refresh(server, login);
  assert.equal(status, 200, JSON.stringify(data));
  return data;
}

/** A socket that returns by itself when it can. What happens to it is in `heard` and `seen`. */
async function open(server, login, { namespace = '', ...options } = {}) {
  const socket = io(`${server.url}${namespace}`, {
    auth: { token: login.token }, forceNew: true, transports: ['websocket'], reconnectionDelay: 50, reconnectionDelayMax: 200, ...options,
  });
  sockets.push(socket);
  Object.assign(socket, { heard: [], seen: [] });
  socket.on('error', ({ code }) => socket.heard.push(code));
  socket.on('connect', () => socket.seen.push('connect'));
  socket.on('disconnect', (reason) => socket.seen.push(reason));
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return socket;
}

async function turnedAway(server, given) {
  await assert.rejects(open(server, { token: given }, { reconnection: false }), { message: 'Invalid authentication token' });
}

/** Its tokens open nothing, its sockets are closed and stay away. */
async function assertEnded(server, login, its = []) {
  const since = Date.now();
  await until('the end of its sockets', () => its.every((socket) => !socket.connected), SOON);
  await until('the end of its access token', async () => (await me(server, login.token)).status === 401, SOON - (Date.now() - since));
  await until('the end of trying to come back', () => its.every((socket) => !socket.active));
  for (const socket of its) assert.equal(socket.seen.filter((what) => what === 'connect').length, 1, 'it never came back');
  assert.equal((await me(server, login.token)).data.error.code, 'AUTH_ERROR');
  await turnedAway(server, login.token);
  const { status, data } = await refresh(server, login);
  assert.deepEqual([status, data.error.code], [401, 'AUTH_ERROR']);
}

async function assertGood(server, login, its = []) {
  const { status, data } = await me(server, login.token);
  assert.deepEqual([status, data.id], [200, login.user.id]);
  for (const socket of its) {
    assert.equal(socket.connected, true);
    await socket.emitWithAck('heartbeat');
    assert.deepEqual(socket.heard, []);
  }
}

describe('accounts', () => {
  let server;
  before(async () => {
    server = await start();
  });

  it('registering answers as logging in does', async () => {
    const who = somebody({ username: ' 김철수 ', email: '  Kim.Chul-Su+1@Example.COM ' });
    const first = await post(server, 'register', who);
    assert.equal(first.status, 201);
    const second = await post(server, 'login', { email: 'kim.chul-su+1@example.com', password: PASSWORD });
    assert.equal(second.status, 200);
    for (const { data } of [first, second]) {
      assert.deepEqual(Object.keys(data).sort(), ['accessToken', 'expiresIn', 'refreshToken', 'token', 'user']);
      assert.equal(data.token, data.accessToken);
      assert.equal(data.token.split('.').length, 3);
      assert.match(data.refreshToken, /^[0-9a-f]{64}$/);
      assert.equal(data.expiresIn, 24 * 3600);
      assert.ok(Number.isInteger(data.user.id));
      assert.deepEqual([data.user.username, data.user.email], ['김철수', 'kim.chul-su+1@example.com']);
      assert.equal(new Date(data.user.createdAt).toISOString(), data.user.createdAt);
      assert.ok(Math.abs(Date.now() - new Date(data.user.createdAt)) < 60_000);
    }
    assert.equal(first.data.user.lastLogin, undefined);
    assert.equal(new Date(second.data.user.lastLogin).toISOString(), second.data.user.lastLogin);
    assert.notEqual(first.data.token, second.data.token);
    assert.notEqual(first.data.refreshToken, second.data.refreshToken);
  });

  it('an e-mail has one account, however it is written', async () => {
    const { email } = await registered(server);
    for (const same of [email, email.toUpperCase(), ` ${email}`, `${email}\t`, `\n ${email.replace('u', 'U')} `]) {
      const { status, data } = await post(server, 'register', somebody({ email: same }));
      assert.deepEqual([status, data], [409, { success: false, error: { code: 'CONFLICT', message: 'an account with these details cannot be created' } }]);
    }
    const at = somebody();
    const all = await Promise.all(Array.from({ length: 6 }, (_, i) => post(server, 'register', { ...at, username: `Racer ${i}` })));
    assert.deepEqual(all.map(({ status }) => status).sort(), [201, 409, 409, 409, 409, 409]);
  });

  it('refuses what is no registration', async () => {
    const good = somebody();
    const without = (field) => Object.fromEntries(Object.entries(good).filter(([name]) => name !== field));
    const bad = [
      without('username'), without('email'), without('password'), {}, [], null, 7, 'text', [good],
      ...['username', 'email', 'password'].flatMap((field) => [7, true, null, {}, [], ['text'], ''].map((value) => ({ ...good, [field]: value }))),
      ...['short 7', 'x'.repeat(129), '가'.repeat(129)].map((password) => ({ ...good, password })),
      ...['x', ' x ', 'x'.repeat(51), 'a\u0000b', 'a\nb', 'a\u001b[31mb', 'a\u007fb', 'a\u0085b'].map((username) => ({ ...good, username })),
      ...[
        'kim', '@example.com', 'kim@', 'a@b@c', 'a b@example.com', 'a@exa mple.com', 'a@.example.com', 'a@example.com.', 'a\u0000@example.com', 'a@exam\u0000ple.com',
        'a\n@example.com', 'a@example.com\r\nBcc: b@example.com', `${'a'.repeat(65)}@example.com`, `a@${'b'.repeat(254)}.com`, 'a\u00a0b@example.com', 'a\u2028b@example.com',
      ].map((email) => ({ ...good, email })),
    ].map((body) => JSON.stringify(body));
    bad.push('', '{', 'null', `${JSON.stringify(good)},`, JSON.stringify(good).replace('User', '\\ud800'), '{"username":"a","username":"b"}', '['.repeat(5_000));
    for (const body of bad) {
      const { status, data } = await post(server, 'register', body);
      assert.deepEqual([status, data.success, data.error?.code], [400, false, 'VALIDATION_ERROR'], body.slice(0, 200));
    }
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', '']) {
      const { status, data } = await ask(server, 'POST', 'register', { body: JSON.stringify(good), headers: { 'content-type': type } });
      assert.deepEqual([status, data.error.code], [400, 'VALIDATION_ERROR'], type);
    }
    const bytes = await fetch(`${server.url}/api/auth/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) });
    assert.equal(bytes.status, 400);
    assert.equal((await fetch(`${server.url}/api/auth/register`)).status, 405);
    // The account was never made, and what is at the bounds is good.
    assert.equal((await post(server, 'register', good)).status, 201);
    await registered(server, { username: 'xy', password: '8 chars.' });
    await registered(server, { username: '가'.repeat(50), email: `${'a'.repeat(64)}@example.com`, password: '가'.repeat(128) });
  });

  it('refuses what is no login', async () => {
    const { email, password } = await registered(server);
    for (const body of [{}, { email }, { password }, { email, password: 7 }, { email: [email], password }, { email: { $ne: null }, password }, { email: null, password: null }]) {
      const { status, data } = await post(server, 'login', body);
      assert.deepEqual([status, data.error.code], [400, 'VALIDATION_ERROR'], JSON.stringify(body));
    }
    for (const body of [{}, { refreshToken: 7 }, { refreshToken: null }, []]) {
      assert.equal((await post(server, 'refresh', body)).status, 400, JSON.stringify(body));
    }
    for (const refreshToken of ['', 'x', "' OR 1=1 --", '\u0000', 'f'.repeat(64), 'x'.repeat(10_000)]) {
      const { status, data } = await refresh(server, { refreshToken });
      assert.deepEqual([status, data.error], [401, { code: 'AUTH_ERROR', message: 'the refresh token is not valid' }]);
    }
  });

  it('a body over 16 KiB is too large, however it comes', async () => {
    const body = (length) => {
      const start = `${JSON.stringify(somebody()).slice(0, -1)},"more":"`;
      return `${start}${'x'.repeat(length - start.length - 2)}"}`;
    };
    for (const where of ['register', 'login', 'refresh', 'logout']) {
      const { status, data } = await post(server, where, body(16 * 1024 + 1));
      assert.deepEqual([status, data], [413, { success: false, error: { code: 'PAYLOAD_TOO_LARGE', message: 'the payload is too large' } }], where);
    }
    const chunks = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 17; i += 1) controller.enqueue(Buffer.alloc(1_000, ' '));
        controller.close();
      },
    });
    const chunked = await fetch(`${server.url}/api/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: chunks, duplex: 'half' });
    assert.equal(chunked.status, 413);
    assert.equal((await post(server, 'register', body(16 * 1024))).status, 201, 'a field more does not matter');
  });

  it('says the same of an unknown e-mail and of a wrong password, in both languages', async () => {
    const korean = await start({ MESSAGE_LANGUAGE: 'ko' });
    for (const [at, message] of [[server, 'e-mail or password is wrong'], [korean, '이메일 또는 비밀번호가 올바르지 않습니다']]) {
      const { email } = await registered(at);
      const answers = [];
      for (const credentials of [
        { email, password: 'wrong horse battery staple' }, { email, password: PASSWORD.toUpperCase() }, { email, password: `${PASSWORD} ` }, { email, password: '' },
        { email, password: 'x'.repeat(1_000) }, { email: 'nobody@example.com', password: PASSWORD }, { email: 'no e-mail', password: PASSWORD }, { email: '', password: '' },
        { email: `${email}\u0000`, password: PASSWORD }, { email: `x' OR '1'='1`, password: PASSWORD }, { email: '%@example.com', password: PASSWORD },
      ]) {
        const { status, data } = await post(at, 'login', credentials);
        answers.push([status, data]);
      }
      for (const answer of answers) assert.deepEqual(answer, [401, { success: false, error: { code: 'AUTH_ERROR', message } }]);
    }
    const { data } = await post(korean, 'register', { ...somebody(), email: 7 });
    assert.match(data.error.message, /^유효하지 않은 데이터: /);
  });

  it('finds the account however its e-mail is written', async () => {
    const { email, user } = await registered(server);
    for (const same of [email, email.toUpperCase(), `  ${email}\n`]) {
      assert.equal((await loggedIn(server, { email: same, password: PASSWORD })).user.id, user.id);
    }
  });

  it('tells who one is, and nobody else', async () => {
    const login = await registered(server);
    const { data } = await me(server, login.token);
    assert.deepEqual([data.id, data.username, data.email, data.createdAt], [login.user.id, login.username, login.email, login.user.createdAt]);
    assert.deepEqual(Object.keys(data).filter((key) => !['id', 'username', 'email', 'createdAt', 'lastLogin'].includes(key)), []);
    const past = Math.floor(Date.now() / 1000) - 60;
    for (const [as, status, code] of [
      [undefined, 401, 'AUTH_ERROR'], ['', 401, 'AUTH_ERROR'], ['x', 401, 'AUTH_ERROR'], [`${login.token}x`, 401, 'AUTH_ERROR'], [token('1', { exp: past }), 401, 'TOKEN_EXPIRED'],
      [token('somebody of another issuer'), 404, 'NOT_FOUND'], [token('999999'), 404, 'NOT_FOUND'], [token('1 OR 1=1'), 404, 'NOT_FOUND'],
    ]) {
      const answer = await me(server, as);
      assert.deepEqual([answer.status, answer.data.success, answer.data.error?.code], [status, false, code], as);
    }
    const query = await fetch(`${server.url}/api/auth/me?token=${login.token}&access_token=${login.token}`);
    assert.equal(query.status, 401, 'never from the query');
  });

  it('the access token opens a socket, and the others see the integer id', async () => {
    const [first, second] = [await registered(server), await registered(server)];
    const one = await open(server, first);
    const two = await open(server, second, { auth: { accessToken: second.accessToken } });
    await one.emitWithAck('join', { roomId: 'integers' });
    const [joined, existing] = [once(one, 'peer-joined'), once(two, 'existing-peers')];
    await two.emitWithAck('join', { roomId: 'integers', userId: 7 });
    assert.deepEqual(await joined, { peerId: two.id, userId: second.user.id });
    assert.deepEqual(await existing, [{ peerId: one.id, socketId: one.id, userId: first.user.id, username: first.username }]);
  });

  it('an admin token is not limited, everybody else is', async () => {
    const limited = await start({ HTTP_RATE_MAX: '3' });
    const statuses = async (as, path) => {
      const seen = [];
      for (let i = 0; i < 6; i += 1) {
        const response = await fetch(`${limited.url}${path}`, { headers: { authorization: `Bearer ${as}` } });
        seen.push(response.status);
        if (response.status === 429) {
          assert.ok(Number(response.headers.get('retry-after')) > 0);
          assert.equal((await response.json()).error.code, 'RATE_LIMIT');
        }
      }
      return seen;
    };
    const admin = token('x', { role: 'admin' });
    assert.deepEqual(await statuses(admin, '/api/rooms'), Array(6).fill(200));
    assert.deepEqual(await statuses(token('y', { role: 'mobile' }), '/api/rooms'), [200, 200, 200, 429, 429, 429]);
    assert.deepEqual(await statuses(`${admin}x`, '/api/rooms'), Array(6).fill(429), 'a forged one is none');
    assert.deepEqual(await statuses(token('x', { role: 'admin', type: 'refresh' }), '/api/rooms'), Array(6).fill(429));
    assert.deepEqual(await statuses(admin, '/api/auth/me'), Array(6).fill(404));
    assert.equal((await post(limited, 'register', somebody())).status, 429);
    assert.equal((await limited.metrics())['signalbox_rate_limited_total{layer="http"}'], 3 + 6 + 6 + 1);
  });
});

describe('limits of logging in', () => {
  it('an account has so many attempts, right ones or wrong ones, known or not', async () => {
    const server = await start({ LOGINS_PER_ACCOUNT: '3' });
    const [login, other] = [await registered(server), await registered(server)];
    const attempt = async (email, password) => post(server, 'login', { email, password });
    for (const email of [login.email, 'nobody@example.com']) {
      const statuses = [];
      for (const same of [email, email.toUpperCase(), ` ${email} `]) statuses.push((await attempt(same, 'wrong password')).status);
      assert.deepEqual(statuses, [401, 401, 401]);
      for (const same of [email, email.toUpperCase()]) {
        const { status, data, headers } = await attempt(same, PASSWORD);
        assert.deepEqual([status, data], [429, { success: false, error: { code: 'RATE_LIMIT', message: 'too many attempts to log in, try again later' } }]);
        const wait = Number(headers.get('retry-after'));
        assert.ok(Number.isInteger(wait) && wait > 0 && wait <= 300, `${wait}`);
      }
    }
    assert.equal((await server.metrics())['signalbox_rate_limited_total{layer="login"}'], 4);
    // Nobody else is locked out, and whoever is in stays in.
    await loggedIn(server, other);
    assert.equal((await me(server, login.token)).status, 200);
    await refreshed(server, login);
  });

  it('an address has so many attempts, to log in or to register', async () => {
    const server = await start({ LOGINS_PER_ADDRESS: '4', TRUSTED_PROXY_HOPS: '1', MESSAGE_LANGUAGE: 'ko' });
    const from = (address, where, body) => ask(server, 'POST', where, { body, headers: { 'x-forwarded-for': address } });
    const who = somebody();
    assert.equal((await from('203.0.113.1', 'register', who)).status, 201);
    assert.equal((await from('203.0.113.1', 'register', { ...somebody(), password: 'short' })).status, 400, 'what costs nothing is not counted');
    for (let i = 0; i < 3; i += 1) assert.equal((await from('203.0.113.1', 'login', { email: `guess${i}@example.com`, password: PASSWORD })).status, 401);
    for (const [where, body] of [['login', who], ['register', somebody()], ['login', { email: 'guess9@example.com', password: PASSWORD }]]) {
      const { status, data, headers } = await from('203.0.113.1', where, body);
      assert.deepEqual([status, data.error], [429, { code: 'RATE_LIMIT', message: '로그인 시도가 너무 많습니다. 잠시 후 다시 시도하세요.' }]);
      assert.ok(Number(headers.get('retry-after')) > 0);
    }
    assert.equal((await from('198.51.100.9, 203.0.113.1', 'login', who)).status, 429, 'what a client claims is not believed');
    assert.equal((await server.metrics())['signalbox_rate_limited_total{layer="login"}'], 4);
    assert.equal((await from('203.0.113.2', 'login', who)).status, 200);
  });
});

describe('logins', () => {
  let server;
  before(async () => {
    server = await start();
  });

  it('a refresh token is good once, for the next pair', async () => {
    let login = await registered(server);
    const seen = new Set([login.refreshToken]);
    const access = [login];
    for (let i = 0; i < 3; i += 1) {
      const next = await refreshed(server, login);
      assert.deepEqual(Object.keys(next).sort(), ['accessToken', 'expiresIn', 'refreshToken', 'token', 'user']);
      assert.deepEqual([next.token, next.user.id, next.user.email], [next.accessToken, login.user.id, login.user.email]);
      assert.ok(!seen.has(next.refreshToken));
      seen.add(next.refreshToken);
      login = next;
      access.push(next);
    }
    for (const each of access) await assertGood(server, each);
    await assertGood(server, login, [await open(server, login)]);
  });

  it('an old refresh token ends the login, and no other one of the user', async () => {
    const first = await registered(server);
    const other = await loggedIn(server, first);
    const stays = await open(server, other);
    const second = await refreshed(server, first);
    const third = await refreshed(server, second);
    const opened = [];
    for (const [login, options] of [
      [first, { transports: ['websocket'] }], [second, { transports: ['polling'] }], [third, {}],
      [third, { namespace: '/rtc' }], [third, { namespace: '/scan', transports: ['polling'] }],
    ]) opened.push(await open(server, login, options));

    const { status, data } = await refresh(server, first);
    assert.deepEqual([status, data.error.code], [401, 'AUTH_ERROR']);
    await assertEnded(server, third, opened);
    for (const login of [first, second]) await assertEnded(server, login);
    assert.equal((await server.metrics())['signalbox_disconnects_total{reason="token_revoked"}'], opened.length);
    await assertGood(server, other, [stays]);
    await assertGood(server, await refreshed(server, other));
    await assertGood(server, await loggedIn(server, first));
  });

  it('logging out ends the login of the access token', async () => {
    const login = await registered(server);
    const other = await loggedIn(server, login);
    const next = await refreshed(server, login);
    const [goes, goesToo, stays] = [await open(server, login), await open(server, next, { transports: ['polling'] }), await open(server, other)];
    const { status, data } = await post(server, 'logout', {}, login.token);
    assert.deepEqual([status, data], [200, { success: true }]);
    await assertEnded(server, next, [goes, goesToo]);
    await assertEnded(server, login);
    await assertGood(server, other, [stays]);
  });

  it('logging out ends the login of the refresh token', async () => {
    const login = await registered(server);
    const other = await loggedIn(server, login);
    const next = await refreshed(server, login);
    const [goes, stays] = [await open(server, next), await open(server, other)];
    const { status, data } = await post(server, 'logout', { refreshToken: next.refreshToken });
    assert.deepEqual([status, data], [200, { success: true }]);
    await assertEnded(server, next, [goes]);
    await assertEnded(server, login);
    await assertGood(server, other, [stays]);
    assert.equal((await post(server, 'logout', { refreshToken: next.refreshToken })).status, 200, 'once more is harmless');
  });

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    it(`the socket of an ended login hears why and is told to go, ${name}`, async () => {
      const who = await registered(server);
      const logins = await Promise.all(Array.from({ length: 40 }, () => loggedIn(server, who)));
      const all = await Promise.all(logins.map((login) => open(server, login, { transports })));
      await until('the transports', () => all.every((socket) => socket.io.engine.transport.name === transports.at(-1)));
      await Promise.all(all.map((socket) => socket.emitWithAck('heartbeat')));
      for (const [i, socket] of all.entries()) {
        await post(server, 'logout', {}, logins[i].token);
        await until('the end of the socket', () => !socket.connected, SOON);
      }
      const told = all.map(({ heard, seen }) => [...heard, ...seen].join(', '));
      assert.deepEqual(told.filter((all) => all !== 'AUTH_ERROR, connect, io server disconnect'), []);
    });
  }

  for (const [name, frames] of [['has not begun to probe', []], ['has probed', ['2probe']], ['has just moved', ['2probe', '5']]]) {
    it(`a login that ends takes a socket along that moves to a WebSocket and ${name}`, async () => {
      const login = await registered(server);
      const where = `${server.url}/socket.io/?EIO=4`;
      const { sid } = JSON.parse((await (await fetch(`${where}&transport=polling`)).text()).slice(1));
      const polling = `${where}&transport=polling&sid=${sid}`;
      await fetch(polling, { method: 'POST', body: `40${JSON.stringify({ token: login.token })}` });
      assert.match(await (await fetch(polling)).text(), /40{"sid"/);
      const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16, 7).toString('base64') };
      const connection = await new Promise((resolve, reject) => {
        const asking = http.get(`${where}&transport=websocket&sid=${sid}`, { headers });
        asking.on('upgrade', (_, socket, head) => resolve(Object.assign(socket, { got: head.toString('latin1') }))).on('error', reject);
      });
      sockets.push({ close: () => connection.destroy() });
      connection.on('data', (data) => { connection.got += data.toString('latin1'); });
      connection.on('end', () => { connection.over = true; }).on('error', () => { connection.over = true; });
      for (const text of frames) {
        connection.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]));
        await until('the answer to the probe', () => connection.got.includes('3probe'));
      }
      await post(server, 'logout', {}, login.token);
      await until('the end of its connection', () => connection.over, SOON);
      assert.equal((await fetch(polling)).status, 400, 'and of its session');
    });
  }

  it('logging out with the access token alone needs no body', async () => {
    const login = await registered(server);
    const { status, data } = await ask(server, 'POST', 'logout', { as: login.token });
    assert.deepEqual([status, data], [200, { success: true }]);
    await assertEnded(server, login);
  });

  it('logging out never says that it is done when the login goes on', async () => {
    const login = await registered(server);
    const { status } = await post(server, 'logout', { refreshToken: 'of nobody' }, login.token);
    if (status === 200) await assertEnded(server, login);
    else await assertGood(server, login);
  });

  it('only whoever has a token of a login can end it', async () => {
    const [login, other] = [await registered(server), await registered(server)];
    for (const [body, as] of [[{}, undefined], [{ refreshToken: 'x' }, undefined], [{ refreshToken: login.token }, undefined], [{}, 'x'], [{}, login.refreshToken]]) {
      const { status, data } = await post(server, 'logout', body, as);
      assert.deepEqual([status, data.error?.code], [401, 'AUTH_ERROR'], JSON.stringify(body));
    }
    assert.equal((await post(server, 'logout', { refreshToken: 7 }, login.token)).status, 400);
    // A token of the same secret without a login has none to end.
    assert.equal((await post(server, 'logout', {}, token(`${login.user.id}`))).status, 200);
    await post(server, 'logout', {}, other.token);
    await assertEnded(server, other);
    await assertGood(server, login, [await open(server, login)]);
  });

  it('a refresh token is no access token, and the other way round', async () => {
    const login = await registered(server);
    await turnedAway(server, login.refreshToken);
    assert.equal((await me(server, login.refreshToken)).status, 401);
    for (const type of ['refresh', 'pairing']) {
      await turnedAway(server, token(`${login.user.id}`, { type }));
      assert.equal((await me(server, token(`${login.user.id}`, { type }))).status, 401);
    }
    assert.equal((await refresh(server, { refreshToken: login.token })).status, 401);
    await assertGood(server, login);
  });

  it('a socket that renewed its token belongs to the login of the new one', async () => {
    const login = await registered(server);
    const other = await loggedIn(server, login);
    const [moves, arrives, stranger] = [await open(server, login), await open(server, { token: token(`${login.user.id}`) }), await open(server, await registered(server))];
    assert.equal((await moves.emitWithAck('token:renew', { token: other.token })).success, true);
    assert.equal((await arrives.emitWithAck('token:renew', { token: login.token })).success, true);
    assert.equal((await stranger.emitWithAck('token:renew', { token: login.token })).error.code, 'FORBIDDEN');
    await post(server, 'logout', {}, login.token);
    await assertEnded(server, login, [arrives]);
    await assertGood(server, other, [moves]);
    assert.equal((await moves.emitWithAck('token:renew', { token: login.token })).error.code, 'AUTH_ERROR');
    await post(server, 'logout', {}, other.token);
    await assertEnded(server, other, [moves]);
  });

  it('of those who race with one refresh token exactly one is served', async () => {
    for (let round = 0; round < 5; round += 1) {
      const login = await registered(server);
      const answers = await Promise.all(Array.from({ length: 2 + round * 2 }, () => refresh(server, login)));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [200, ...Array(statuses.length - 1).fill(401)]);
      // The others showed a used one: it may have been stolen.
      await assertEnded(server, answers.find(({ status }) => status === 200).data);
    }
  });

  it('a login whose refresh token has ended by itself can still be logged out', async () => {
    const short = await start({ REFRESH_TOKEN_TTL: '1s', ACCESS_TOKEN_TTL: '1h' });
    const login = await registered(short);
    const socket = await open(short, login);
    await until('the end of the refresh token', () => Date.now() - new Date(login.user.createdAt) > 1_500);
    await loggedIn(short, login);
    await assertGood(short, login, [socket]);
    assert.equal((await post(short, 'logout', {}, login.token)).status, 200);
    await assertEnded(short, login, [socket]);
  });
});

it('passwords, tokens and e-mails are in no log line and in no metric', async () => {
  const server = await start({ LOG_LEVEL: 'trace', LOGINS_PER_ACCOUNT: '6' });
  const marked = { username: 'MARKER-name', email: 'marker-mail@example.com', password: 'MARKER-password' };
  const first = await registered(server, marked);
  const login = await loggedIn(server, marked);
  await post(server, 'register', marked);
  await post(server, 'register', { ...marked, email: 'marker-mail' });
  await post(server, 'register', { ...marked, password: { 'MARKER-password': 'MARKER-password' } });
  await post(server, 'register', '{"password":"MARKER-password",');
  for (let i = 0; i < 6; i += 1) await post(server, 'login', { ...marked, password: 'MARKER-wrong-password' });
  const socket = await open(server, login);
  const next = await refreshed(server, login);
  assert.equal((await socket.emitWithAck('token:renew', { token: next.token })).success, true);
  assert.equal((await socket.emitWithAck('token:renew', { token: 'MARKER-token' })).error.code, 'AUTH_ERROR');
  await turnedAway(server, `${next.token}MARKER`);
  assert.equal((await me(server, `${next.token}MARKER`)).status, 401);
  await me(server, next.token);
  await refresh(server, { refreshToken: 'MARKER-refresh' });
  await refresh(server, login);
  await assertEnded(server, next, [socket]);
  await post(server, 'logout', { refreshToken: first.refreshToken });
  await fetch(`${server.url}/api/MARKER-path?password=MARKER-query`);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  server.kill('SIGTERM');
  await server.exited;

  const lines = server.log();
  assert.ok(lines.length > 5, `${lines.length} lines`);
  const secrets = [first, login, next].flatMap(({ token: access, refreshToken }) => [access, access.split('.')[1], access.split('.')[2], refreshToken]);
  for (const secret of [...secrets, 'MARKER', 'marker-mail', 'argon2', 'Bearer']) {
    assert.deepEqual(lines.filter((line) => line.toLowerCase().includes(secret.toLowerCase())), [], secret);
    assert.ok(!metrics.toLowerCase().includes(secret.toLowerCase()), secret);
  }
});

describe('after a restart', () => {
  it('accounts and logins are there, and what was ended stays ended', async () => {
    const DATA_DIR = dataDir();
    const before = await start({ DATA_DIR });
    const who = await registered(before);
    const [lives, loggedOut, stolen] = [await loggedIn(before, who), await loggedIn(before, who), await loggedIn(before, who)];
    const last = await refreshed(before, stolen);
    await refresh(before, stolen);
    await post(before, 'logout', { refreshToken: loggedOut.refreshToken });
    // At once: whether its memory knows it already is not the question.
    before.kill('SIGKILL');
    await before.exited;

    const now = await start({ DATA_DIR });
    for (const login of [loggedOut, stolen, last]) {
      assert.equal((await me(now, login.token)).status, 401, 'from the first moment on');
      await assertEnded(now, login);
    }
    await assertGood(now, lives, [await open(now, lives)]);
    await assertGood(now, await refreshed(now, lives));
    assert.equal((await loggedIn(now, who)).user.id, who.user.id);
    assert.equal((await post(now, 'register', somebody({ email: who.email }))).status, 409);
    assert.ok((await registered(now)).user.id > who.user.id);
    // Their hashes are all that is kept.
    const kept = fs.readdirSync(DATA_DIR).map((file) => fs.readFileSync(path.join(DATA_DIR, file)));
    for (const secret of [PASSWORD, lives.refreshToken, lives.token, loggedOut.refreshToken]) {
      assert.ok(!kept.some((bytes) => bytes.includes(secret)), 'a secret in the database');
    }
    assert.ok(kept.some((bytes) => bytes.includes('$argon2id$')));
  });

  it('a login that was ended stays ended when its refresh token has ended as well', async () => {
    const settings = { DATA_DIR: dataDir(), REFRESH_TOKEN_TTL: '1s', ACCESS_TOKEN_TTL: '1h' };
    const before = await start(settings);
    const login = await registered(before);
    await post(before, 'logout', {}, login.token);
    await assertEnded(before, login);
    await until('the end of the refresh token', () => Date.now() - new Date(login.user.createdAt) > 1_500);
    await loggedIn(before, login);
    await before.stop();
    const now = await start(settings);
    await assertEnded(now, login);
  });
});
