// Blocked addresses with the official client: what is a strike, what a block closes and refuses, whom it spares, and how it ends.
import assert from 'node:assert/strict';
import os from 'node:os';
import { before, describe, it } from 'node:test';
import {
  USER_AGENT, account, ask, chatter, connected, createRoom, expired, from, http, join, profile, say, start, turnedAway,
} from './chatting.mjs';
import { token, until } from './server.mjs';
import { ADMIN, done, heard, hears, open, range } from './ticketing.mjs';

const PROXIED = { TRUSTED_PROXY_HOPS: '1' };
const BANNED = "you're banned";
const NAMESPACES = ['/', '/chat', '/scan', '/rtc', '/queue'];
const NOBODY = { accessToken: token('nobody'), refreshToken: 'x', user: { id: 'nobody', username: 'nobody' } };

let addresses = 0;
/** An address that nobody else comes from. */
function somewhere() {
  addresses += 1;
  return `203.0.113.${addresses}`;
}

/** Comes with a forged token: a strike. */
const strike = (server, options) => turnedAway(server, profile(NOBODY, { accessToken: 'forged' }), options);
async function strikes(server, count, address) {
  for (const i of range(count)) {
    const message = await strike(server, from(address));
    if (i < 4) assert.equal(message, 'Invalid authentication token', `strike ${i + 1}`);
  }
}
const isBlocked = async (server, options) => {
  const socket = open(server, 'somebody', { ...options, namespace: '/' });
  const message = await connected(socket).then(() => null, (error) => error.message);
  socket.close();
  if (message !== null) assert.equal(message, BANNED);
  return message !== null;
};
/** A socket in any namespace. */
const enters = (server, who, namespace, options) => (namespace === '/chat'
  ? chatter(server, who, options) : connected(open(server, who.user.id, { namespace, auth: { token: who.accessToken }, ...options })));

async function blocks(server, as) {
  const { status, data } = await http(server, 'GET', '/api/admin/blocks', { as });
  assert.equal(status, 200, JSON.stringify(data));
  assert.deepEqual(Object.keys(data), ['blocks']);
  return data.blocks;
}
const lift = (server, address, as) => http(server, 'DELETE', `/api/admin/blocks/${encodeURIComponent(address)}`, { as });

describe('a strike', () => {
  let server;
  let who;
  let other;
  before(async () => {
    server = await start({ ...PROXIED, BLOCK_AFTER: '1', VISION_APP_INFO: 'VisionChat' });
    [who, other] = [await account(server), await account(server)];
  });

  for (const namespace of ['/', '/chat']) {
    it(`is a forged token, another application or name, and a refresh token that is not one's own, on ${namespace}`, async () => {
      const stale = expired(who);
      for (const [what, more] of Object.entries({
        garbage: { accessToken: 'x' },
        'a bad signature': { accessToken: `${who.accessToken.slice(0, -8)}AAAAAAAA` },
        'a bad signature and expired': { accessToken: `${stale.slice(0, -8)}AAAAAAAA` },
        'another application': { userAgent: 'Mozilla/5.0' },
        'another name': { username: other.user.username },
        'another name and expired': { accessToken: stale, username: 'x' },
        'an unknown refresh token': { accessToken: stale, refreshToken: 'f'.repeat(64) },
        'that of another': { accessToken: stale, refreshToken: other.refreshToken },
      })) {
        const at = from(somewhere());
        assert.equal(await isBlocked(server, at), false);
        assert.notEqual(await turnedAway(server, profile(who, more), { namespace, ...at }), BANNED, what);
        assert.equal(await isBlocked(server, at), true, what);
      }
    });

    it(`is nothing else, on ${namespace}`, async () => {
      const [used, out] = [await account(server), await account(server)];
      for (const [where, { refreshToken }] of [['refresh', used], ['logout', out]]) {
        assert.equal((await http(server, 'POST', `/api/auth/${where}`, { body: { refreshToken } })).status, 200);
      }
      const at = { namespace, ...from(somewhere()) };
      for (const field of ['refreshToken', 'userAgent', 'username']) {
        for (const value of [undefined, '', 7]) await turnedAway(server, profile(who, { [field]: value }), at);
      }
      for (const auth of [{}, { token: who.accessToken, username: 'another' }]) if (namespace === '/chat') await turnedAway(server, auth, at);
      for (const each of [used, out]) await turnedAway(server, profile(each, { accessToken: expired(each) }), at);
      for (const more of [{}, { username: who.user.username.toUpperCase() }, { accessToken: expired(who) }]) {
        await chatter(server, who, { auth: profile(who, more), ...at });
      }
      assert.equal(await isBlocked(server, at), false);
    });
  }

  it('is no failure of the database, nor a refresh token that has ended', async () => {
    const away = await start({ ...PROXIED, BLOCK_AFTER: '1', DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' });
    const at = from(somewhere());
    for (const namespace of ['/', '/chat']) await turnedAway(away, profile(NOBODY, { accessToken: expired(NOBODY) }), { namespace, ...at });
    assert.equal(await isBlocked(away, at), false);

    const short = await start({ ...PROXIED, BLOCK_AFTER: '1', REFRESH_TOKEN_TTL: '1s' });
    const late = await account(short);
    const since = Date.now();
    await until('the end of the refresh token', () => Date.now() - since > 1_500);
    await turnedAway(short, profile(late, { accessToken: expired(late) }), at);
    assert.equal(await isBlocked(short, at), false);
  });
});

describe('a block', () => {
  let server;
  let who;
  before(async () => {
    server = await start({ ...PROXIED, SIGNALING_AUTH: 'optional' });
    who = await account(server);
  });

  it('begins with the fifth strike of an address, and is of no other address', async () => {
    const [address, neighbour] = [somewhere(), somewhere()];
    const [here, there] = [await chatter(server, who, from(address)), await chatter(server, who, from(neighbour))];
    await strikes(server, 4, address);
    await strikes(server, 4, neighbour);
    assert.equal(await isBlocked(server, from(address)), false, 'four do not');
    assert.deepEqual(await done(here, 'syncRooms', { rooms: [] }), []);
    await strikes(server, 1, address);
    assert.equal(await isBlocked(server, from(address)), true);
    assert.equal(await isBlocked(server, from(neighbour)), false);
    await until('the end of the socket', () => !here.connected);
    assert.deepEqual(await done(there, 'syncRooms', { rooms: [] }), [], 'the same user elsewhere');
    assert.equal((await http(server, 'GET', '/api/chat/rooms', { as: who, from: neighbour })).status, 200);
    // What a client claims is not what the proxy saw.
    assert.equal(await isBlocked(server, from(`198.51.100.1, ${address}`)), true);
    assert.equal(await isBlocked(server, from(`${address}, 198.51.100.1`)), false);
  });

  it('closes every socket of the address, and says why first', async () => {
    const [address, neighbour] = [somewhere(), somewhere()];
    const all = (at) => Promise.all([
      ...NAMESPACES.map((namespace) => enters(server, who, namespace, from(at))),
      ...NAMESPACES.map((namespace) => enters(server, who, namespace, { transports: ['polling'], ...from(at) })),
      connected(open(server, 'a guest', { namespace: '/', auth: {}, ...from(at) })),
    ]);
    const [here, there] = [await all(address), await all(neighbour)];
    // Two namespaces of one connection.
    for (const namespace of ['/rtc', '/queue']) here.push(await enters(server, who, namespace, { forceNew: false, ...from(address) }));
    assert.equal(here.at(-1).io, here.at(-2).io);
    for (const socket of here) socket.on('disconnect', (reason) => socket.heard.push({ event: 'disconnect', data: reason }));
    await strikes(server, 5, address);
    for (const [i, socket] of here.entries()) {
      await until(`the end of socket ${i}`, () => !socket.connected);
      const [error, disconnect, ...more] = socket.heard;
      assert.deepEqual([error.event, disconnect, more], ['error', { event: 'disconnect', data: 'io server disconnect' }, []], `socket ${i}`);
      const { success, code, message, error: inner } = error.data;
      assert.deepEqual([success, code, message, inner.code, inner.message], [false, 'FORBIDDEN', BANNED, 'FORBIDDEN', BANNED]);
    }
    await done(await chatter(server, who, from(neighbour)), 'syncRooms', { rooms: [] });
    for (const socket of there) assert.deepEqual([socket.connected, heard(socket, 'error')], [true, []]);
  });

  it('refuses new sockets in every namespace, whatever they come with', async () => {
    const address = somewhere();
    await strikes(server, 5, address);
    for (const namespace of NAMESPACES) {
      for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
        for (const auth of [profile(who), { token: who.accessToken }, { token: ADMIN }, {}, { token: 'forged' }]) {
          assert.equal(await turnedAway(server, auth, { namespace, transports, ...from(address) }), BANNED, `${namespace} ${transports}`);
        }
      }
    }
  });

  it('refuses pages and the API, but neither probes nor admins', async () => {
    const address = somewhere();
    const pages = [
      '/', '/monitor', '/scan', '/call', '/login', '/console', '/nowhere', '/version',
      '/api/rooms', '/api/chat/rooms', '/api/auth/me', '/api/openapi.json', '/api/nowhere', '/api/admin/blocks',
    ];
    const statuses = new Map();
    for (const page of pages) statuses.set(page, (await http(server, 'GET', page, { as: ADMIN, from: address })).status);
    await strikes(server, 5, address);
    for (const as of [undefined, who, `${ADMIN.slice(0, -8)}AAAAAAAA`, token('x', { role: 'monitor' }), token('x', { role: 'admin', exp: 1 })]) {
      for (const page of pages) {
        const { status, data } = await http(server, 'GET', page, { as, from: address });
        assert.deepEqual([status, data], [403, { success: false, error: { code: 'FORBIDDEN', message: BANNED } }], page);
      }
    }
    for (const where of ['auth/login', 'auth/register', 'auth/refresh', 'pair', 'chat/rooms']) {
      const { status, data } = await http(server, 'POST', `/api/${where}`, { as: who, from: address, body: {} });
      assert.deepEqual([status, data.error.code], [403, 'FORBIDDEN'], where);
    }
    for (const probe of ['/livez', '/readyz', '/health', '/metrics']) {
      assert.equal((await http(server, 'GET', probe, { from: address })).status, 200, probe);
    }
    for (const page of pages) {
      assert.equal((await http(server, 'GET', page, { as: ADMIN, from: address })).status, statuses.get(page), `${page} for an admin`);
    }
    assert.equal((await http(server, 'GET', '/monitor', { from: somewhere() })).status, 200);
  });

  it('is never of this machine', async () => {
    const listed = await blocks(server);
    for (const options of [{}, ...['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', 'nonsense'].map(from)]) {
      for (let i = 0; i < 7; i += 1) assert.equal(await strike(server, options), 'Invalid authentication token');
      assert.equal(await isBlocked(server, options), false);
      const { extraHeaders } = options;
      assert.equal((await http(server, 'GET', '/monitor', { from: extraHeaders?.['x-forwarded-for'] })).status, 200);
    }
    assert.deepEqual(await blocks(server), listed);
  });

  const outside = Object.values(os.networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  const skip = outside ? false : 'this machine has no address but its own';
  it('is never of the proxy, which names its clients', { skip }, async () => {
    const proxied = await start({ ...PROXIED, HOST: '0.0.0.0' });
    const there = { ...proxied, url: `http://${outside}:${proxied.port}` };
    for (const options of [{}, from('nonsense'), from(outside)]) {
      for (let i = 0; i < 7; i += 1) await strike(there, options);
      assert.equal(await isBlocked(there, options), false);
    }
    const address = somewhere();
    await strikes(there, 5, address);
    assert.deepEqual([await isBlocked(there, from(address)), await isBlocked(there, {})], [true, false]);
  });

  it('is of the connection where no proxy is trusted', { skip }, async () => {
    const direct = await start({ HOST: '0.0.0.0' });
    const there = { ...direct, url: `http://${outside}:${direct.port}` };
    for (const i of range(5)) await strike(there, from(`198.51.100.${i}`));
    assert.deepEqual([await isBlocked(there, {}), await isBlocked(there, from('198.51.100.9'))], [true, true]);
    const here = { ...direct, url: `http://127.0.0.1:${direct.port}` };
    assert.equal(await isBlocked(here, from(outside)), false);
    assert.deepEqual((await blocks(here)).map(({ address }) => address), [outside]);
  });

  it('ends by itself', async () => {
    const short = await start({ ...PROXIED, BLOCK_DURATION: '1s' });
    const address = somewhere();
    await strikes(short, 5, address);
    const began = Date.now();
    assert.equal(await isBlocked(short, from(address)), true);
    assert.equal((await short.metrics()).signalbox_blocked_addresses, 1);
    const [block] = await blocks(short);
    assert.equal(block.until - block.since, 1_000);
    await until('the end of the block', async () => !(await isBlocked(short, from(address))), 5_000);
    const took = Date.now() - began;
    assert.ok(took > 500 && took < 3_000, `${took} ms`);
    assert.deepEqual(await blocks(short), []);
    assert.equal((await http(short, 'GET', '/monitor', { from: address })).status, 200);
    await until('the gauge', async () => (await short.metrics()).signalbox_blocked_addresses === 0);
    await strikes(short, 4, address);
    assert.equal(await isBlocked(short, from(address)), false, 'it begins anew');
  });

  it('is listed for admins, the one that ends first before the others, and lifted by them', async () => {
    const own = await start(PROXIED);
    const all = [somewhere(), '2001:db8::7', somewhere()];
    assert.deepEqual(await blocks(own), []);
    for (const address of all) await strikes(own, 5, address);
    const listed = await blocks(own);
    assert.deepEqual(listed.map(({ address, reason }) => [address, reason]), all.map((address) => [address, 'strikes']));
    for (const block of listed) {
      assert.deepEqual(Object.keys(block).sort(), ['address', 'reason', 'since', 'until']);
      assert.ok(Math.abs(block.since - Date.now()) < 60_000);
      assert.equal(block.until - block.since, 15 * 60_000);
    }
    const [first, second, third] = all;
    for (const address of [first, second]) {
      assert.deepEqual(await lift(own, address), { status: 200, data: { success: true, address } });
      assert.equal(await isBlocked(own, from(address)), false);
      const { status, data } = await lift(own, address);
      assert.deepEqual([status, data.success, data.error.code], [404, false, 'NOT_FOUND']);
    }
    assert.deepEqual((await blocks(own)).map(({ address }) => address), [third]);
    assert.equal(await isBlocked(own, from(third)), true);
    await strikes(own, 4, first);
    assert.equal(await isBlocked(own, from(first)), false, 'its strikes were forgotten');
    await strikes(own, 1, first);
    assert.equal(await isBlocked(own, from(first)), true);
    for (const wrong of ['nonsense', '203.0.113', '203.0.113.256', '203.0.113.0/24', '203.0.113.7:80', '2001:db8::7::', ' ', '*']) {
      const { status, data } = await lift(own, wrong);
      assert.deepEqual([status, data.success, data.error.code], [400, false, 'VALIDATION_ERROR'], wrong);
    }
  });

  it('is for admins alone in production, and where metrics ask for a token', async () => {
    const production = { NODE_ENV: 'production', CORS_ORIGINS: 'https://shop.example' };
    for (const settings of [production, { METRICS_TOKEN: 'metrics-token-0123456789-0123456789' }]) {
      const closed = await start({ ...PROXIED, ...settings });
      const address = somewhere();
      await strikes(closed, 5, address);
      for (const as of [undefined, 'x', token('x', { role: 'monitor' }), token('x', { role: 'admin', exp: 1 })]) {
        for (const [method, where] of [['GET', ''], ['DELETE', `/${address}`]]) {
          const { status, data } = await http(closed, method, `/api/admin/blocks${where}`, { as });
          assert.ok([401, 403].includes(status) && data.success === false, `${method}: ${status}`);
        }
      }
      assert.equal(await isBlocked(closed, from(address)), true);
      assert.equal((await blocks(closed, ADMIN)).length, 1);
      // An admin who sits behind the blocked address can help itself.
      const { status } = await http(closed, 'DELETE', `/api/admin/blocks/${address}`, { as: ADMIN, from: address });
      assert.equal(status, 200);
      assert.equal(await isBlocked(closed, from(address)), false);
    }
  });

  it('comes after as many strikes as the settings say', async () => {
    const strict = await start({ ...PROXIED, BLOCK_AFTER: '2' });
    const address = somewhere();
    await strikes(strict, 1, address);
    assert.equal(await isBlocked(strict, from(address)), false);
    await strikes(strict, 1, address);
    assert.equal(await isBlocked(strict, from(address)), true);
  });

  it('comes at once for more than 120 refreshToken a minute, over all sockets of the address', async () => {
    const busy = await start(PROXIED);
    const [each, other] = [await account(busy), await account(busy)];
    const [address, neighbour] = [somewhere(), somewhere()];
    const here = await Promise.all([each, other].map((one, i) => chatter(busy, one, { namespace: i ? '/' : '/chat', ...from(address) })));
    const there = await chatter(busy, each, from(neighbour));
    const answers = await Promise.all(range(120).map((i) => ask(here[i % 2], 'refreshToken')));
    for (const answer of answers) assert.equal(answer.expiresIn, 24 * 3600, JSON.stringify(answer));
    assert.ok((await ask(there, 'refreshToken')).accessToken);
    assert.ok(here.every((socket) => socket.connected), '120 are fine');
    here[0].emit('refreshToken');
    for (const socket of here) {
      await until('the end of the socket', () => !socket.connected);
      assert.equal(heard(socket, 'error').at(-1).message, BANNED);
    }
    assert.equal(heard(here[0], 'token:refresh').length, 60);
    assert.deepEqual((await blocks(busy)).map(({ address: where, reason }) => [where, reason]), [[address, 'refreshes']]);
    assert.equal(await isBlocked(busy, from(address)), true);
    assert.ok((await ask(there, 'refreshToken')).accessToken);
    const metrics = await busy.metrics();
    assert.deepEqual(['strikes', 'refreshes'].map((reason) => metrics[`signalbox_blocks_total{reason="${reason}"}`]), [0, 1]);
    assert.equal((await lift(busy, address)).status, 200);
    assert.equal(await isBlocked(busy, from(address)), false);

    const local = await chatter(busy, each);
    range(130).forEach(() => local.emit('refreshToken'));
    await done(local, 'syncRooms', { rooms: [] });
    assert.equal(local.connected, true, 'but never this machine');
    assert.deepEqual(await blocks(busy), []);
  });

  it('is counted: strikes, blocks, and what they refuse and close', async () => {
    const own = await start(PROXIED);
    const each = await account(own);
    const [address, neighbour] = [somewhere(), somewhere()];
    const count = async () => {
      const metrics = await own.metrics();
      const names = [
        'blocked_addresses', 'blocks_total{reason="strikes"}', 'blocks_total{reason="refreshes"}', 'strikes_total',
        'handshakes_total{result="blocked"}', 'disconnects_total{reason="blocked"}', 'rejected_total{reason="blocked"}',
      ];
      return names.map((name) => metrics[`signalbox_${name}`]);
    };
    assert.deepEqual(await count(), [0, 0, 0, 0, 0, 0, 0], 'all of them are there from the start');
    const sockets = await Promise.all(['/', '/chat', '/rtc'].map((namespace) => enters(own, each, namespace, from(address))));
    await strikes(own, 2, neighbour);
    await strikes(own, 5, address);
    await until('the end of the sockets', () => sockets.every((socket) => !socket.connected));
    for (const namespace of ['/', '/chat']) await turnedAway(own, profile(each), { namespace, ...from(address) });
    for (const page of ['/monitor', '/api/rooms', '/nowhere', '/livez', '/metrics']) await http(own, 'GET', page, { from: address });
    await http(own, 'GET', '/api/rooms', { as: ADMIN, from: address });
    await until('them to be counted', async () => (await count())[5] === 3);
    assert.deepEqual(await count(), [1, 1, 0, 7, 2, 3, 3]);
    await lift(own, address);
    assert.equal((await count())[0], 0);
  });

  it('is one line in the log, so is its lift; tokens, names, user agents and texts are in none', async () => {
    const own = await start({ ...PROXIED, LOG_LEVEL: 'trace' });
    const marked = await account(own, 'MARKER-name');
    const address = somewhere();
    const brought = (more) => profile(marked, { userAgent: 'MARKER-agent', ...more });
    const socket = await chatter(own, marked, { auth: brought(), ...from(address) });
    const renewed = await chatter(own, marked, { namespace: '/', auth: brought({ accessToken: expired(marked) }), ...from(address) });
    await hears(renewed, 'token:refresh');
    const { accessToken } = await ask(socket, 'refreshToken');
    const { roomID } = await createRoom(own, marked, 'MARKER-room', ['MARKER-other']);
    await join(socket, roomID, { lastmessage: 'MARKER-last' });
    const { id } = await say(socket, roomID, 'MARKER-text', { clientId: 'MARKER-client' });
    for (const [event, payload] of [
      ['editMessage', { roomID, id, content: 'MARKER-edit' }],
      ['message', { roomID: 'MARKER-nowhere', content: 'MARKER' }],
      ['message', { roomID, content: ['MARKER'] }],
      ['syncRooms', { platformId: 'MARKER-platform', rooms: [{ roomId: roomID }] }],
      ['loadMoreMessages_for_room', { roomId: roomID, timestamp: 'MARKER-time' }],
      ['leave', { username: 'MARKER-name', roomID }],
    ]) await ask(socket, event, payload);
    const stale = { accessToken: expired(marked), refreshToken: 'MARKER-refresh' };
    for (const more of [{ accessToken: 'MARKER-token' }, { username: 'MARKER-user' }, stale, { userAgent: '' }]) {
      await turnedAway(own, brought(more), from(address));
    }
    await strikes(own, 2, address);
    await until('the end of the sockets', () => !socket.connected && !renewed.connected);
    await turnedAway(own, profile(marked), from(address));
    await http(own, 'GET', '/api/chat/rooms?MARKER', { as: marked, from: address });
    assert.equal((await lift(own, address)).status, 200);
    assert.equal((await lift(own, address)).status, 404);
    own.kill('SIGTERM');
    await own.exited;

    const lines = own.log();
    const levels = (message) => lines.map((line) => JSON.parse(line)).filter((line) => line.message === message).map(({ level }) => level);
    assert.deepEqual([levels('An address was blocked.'), levels('A block was lifted.')], [['WARN'], ['INFO']]);
    const [first] = heard(renewed, 'token:refresh');
    const tokens = [marked.accessToken, accessToken, first.accessToken].flatMap((each) => [each, ...each.split('.').slice(1)]);
    for (const secret of [...tokens, marked.refreshToken, 'MARKER', USER_AGENT, 'Bearer']) {
      assert.deepEqual(lines.filter((line) => line.toLowerCase().includes(secret.toLowerCase())), [], secret);
    }
  });
});
