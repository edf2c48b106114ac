// Rooms over HTTP: lists, who was in them and for how long, what is there after a stop and a crash; ICE servers, and guests.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { UNLIMITED, errorOf, once, startServer, token, until } from './server.mjs';

const FAR = '1000000';
const SETTINGS = { ...UNLIMITED, HTTP_RATE_MAX: FAR, CREATE_ROOM_PER_MIN: FAR, HANDSHAKE_FAILURES_PER_MIN: FAR, ROOMS_PER_SOCKET: '1000', DRAIN_PERIOD: '100ms' };

const closing = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});
async function start(settings) {
  const server = await startServer({ ...SETTINGS, ...settings });
  closing.push(() => server.stop());
  return server;
}
function dataDir() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-rooms-'));
  closing.push(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A connected socket; without a user, one without a token. */
async function connect(server, user, options) {
  const socket = io(server.url, { auth: user === undefined ? {} : { token: token(user) }, forceNew: true, reconnection: false, transports: ['websocket'], ...options });
  closing.push(() => socket.close());
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return socket;
}

async function get(server, where, as = token('anybody')) {
  const response = await fetch(`${server.url}/api/${where}`, { headers: as === null ? {} : { authorization: `Bearer ${as}` } });
  return { status: response.status, data: await response.json() };
}
async function read(server, where, as) {
  const { status, data } = await get(server, where, as);
  assert.equal(status, 200, `${where}: ${JSON.stringify(data)}`);
  return data;
}
async function refused(server, where, status, code, as) {
  const answer = await get(server, where, as);
  assert.deepEqual([answer.status, answer.data.success, answer.data.error?.code], [status, false, code], where);
  assert.equal(typeof answer.data.error.message, 'string');
}
const ADMIN = token('x', { role: 'admin' });
/** Nothing until the room is written down: that is not waited for when somebody joins. */
async function stays(server, room) {
  const { status, data } = await get(server, `rooms/${room}/participants?limit=200`, ADMIN);
  assert.ok(status === 200 || status === 404, JSON.stringify(data));
  return data.participants ?? [];
}

async function done(socket, event, payload) {
  const answer = await socket.emitWithAck(event, payload);
  assert.equal(answer.success, true, JSON.stringify(answer));
  return answer;
}

function assertTime(text, around = Date.now()) {
  assert.equal(new Date(text).toISOString(), text);
  assert.ok(Math.abs(new Date(text) - around) < 60_000, text);
}
/** A stay that is over: its times fit its duration. */
function assertOver({ id, userId, joinedAt, leftAt, durationSeconds, ...rest }) {
  assert.ok(Number.isInteger(id));
  assert.equal(typeof userId, 'string');
  assertTime(joinedAt);
  assertTime(leftAt);
  assert.ok(new Date(leftAt) >= new Date(joinedAt), `${joinedAt} to ${leftAt}`);
  assert.ok(Number.isInteger(durationSeconds) && Math.abs((new Date(leftAt) - new Date(joinedAt)) / 1000 - durationSeconds) <= 1, `${durationSeconds} s`);
  assert.deepEqual(rest, {});
}
function assertOpen({ id, userId, joinedAt, ...rest }) {
  assert.ok(Number.isInteger(id));
  assert.equal(typeof userId, 'string');
  assertTime(joinedAt);
  assert.deepEqual(rest, {}, 'no leftAt, no durationSeconds');
}

/** All pages of a list. */
async function pages(server, where, list, limit, more = '', as = undefined) {
  const all = [];
  let after;
  do {
    const page = await read(server, `${where}?limit=${limit}${more}${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`, as);
    assert.deepEqual(Object.keys(page).filter((name) => ![list, 'next'].includes(name)), []);
    assert.ok(page[list].length <= limit);
    if (page.next !== undefined) assert.equal(page[list].length, limit, 'only the last page is short');
    all.push(...page[list]);
    after = page.next;
    assert.ok(all.length < 1_000);
  } while (after !== undefined);
  return all;
}

// A room takes half a minute to close; the others go on beside it.
describe('rooms over HTTP', { concurrency: true }, () => {
  it('a room closes half a minute after the last one left, and its id can be used again', async () => {
    const server = await start();
    const [owner, guest] = [await connect(server, 'owner'), await connect(server, 'guest')];
    await done(owner, 'create-room', { roomId: 'closing', name: 'The first', maxUsers: 3 });
    await done(guest, 'join-room', 'closing');
    await done(guest, 'create-room', { roomId: 'staying', name: 'It stays' });
    await done(owner, 'create-room', { roomId: 'returning', name: 'Somebody returns' });
    await done(owner, 'leave', { roomId: 'closing' });
    await done(owner, 'leave', { roomId: 'returning' });
    assert.equal((await read(server, 'rooms/closing')).status, 'active', 'somebody is there');
    const { createdAt } = await read(server, 'rooms/closing');
    const empty = Date.now();
    await done(guest, 'leave', { roomId: 'closing' });
    assert.equal((await read(server, 'rooms/closing')).status, 'active', 'somebody may return');
    await until('some time without anybody', () => Date.now() - empty > 5_000);
    await done(guest, 'join-room', 'returning');

    await until('the end of the room', async () => (await read(server, 'rooms/closing')).status !== 'active', 40_000);
    const took = Date.now() - empty;
    assert.ok(took > 29_000 && took < 36_000, `${took} ms`);
    const closed = await read(server, 'rooms/closing');
    assertTime(closed.endedAt);
    assert.deepEqual({ ...closed, endedAt: undefined }, { id: 'closing', name: 'The first', ownerId: 'owner', maxUsers: 3, status: 'closed', createdAt, endedAt: undefined });
    assert.deepEqual((await read(server, 'rooms?status=closed')).rooms, [closed]);
    assert.deepEqual((await read(server, 'rooms?status=active')).rooms.map(({ id, status }) => [id, status]), [['returning', 'active'], ['staying', 'active']]);
    assert.deepEqual((await read(server, 'rooms')).rooms.map(({ id }) => id), ['closing', 'returning', 'staying']);
    assert.equal((await guest.emitWithAck('join-room', 'closing')).error.code, 'NOT_FOUND');
    (await stays(server, 'closing')).forEach(assertOver);

    await done(guest, 'create-room', { roomId: 'closing', name: 'The second' });
    const again = await read(server, 'rooms/closing');
    assert.deepEqual([again.name, again.ownerId, again.status, again.maxUsers, again.endedAt], ['The second', 'guest', 'active', 10, undefined]);
    assert.ok(new Date(again.createdAt) > new Date(closed.endedAt));
    const last = (await stays(server, 'closing')).at(-1);
    assertOpen(last);
    assert.equal(last.userId, 'guest');
    assert.deepEqual((await read(server, 'rooms?status=closed')).rooms, []);
  });

  describe('the list', { concurrency: false }, () => {
    let server;
    const ids = ['Zebra', '_first', 'a-1', 'a-10', 'a-2', 'aaa', 'b_1', `z${'z'.repeat(99)}`, '000', '-ab', 'ABC', 'abc'];
    before(async () => {
      server = await start();
      const socket = await connect(server, 'owner');
      for (const [i, roomId] of ids.entries()) await done(socket, i % 2 ? 'join' : 'create-room', { roomId, name: `Room ${i}` });
      await until('all of them', async () => (await read(server, 'rooms')).rooms.length === ids.length);
    });

    it('has every room once, in the order of ids, in pages of any size', async () => {
      const sorted = [...ids].sort();
      for (const limit of [1, 2, 3, 5, ids.length - 1, ids.length, ids.length + 1, 200]) {
        for (const status of ['', '&status=active']) assert.deepEqual((await pages(server, 'rooms', 'rooms', limit, status)).map(({ id }) => id), sorted, `pages of ${limit}`);
        assert.deepEqual(await pages(server, 'rooms', 'rooms', limit, '&status=closed'), []);
      }
      assert.equal((await read(server, `rooms?limit=${ids.length}`)).next, undefined, 'nothing more, so no next');
      assert.deepEqual(await read(server, 'rooms?after=~'), { rooms: [] });
      assert.deepEqual((await read(server, 'rooms?after=a-1&limit=2')).rooms.map(({ id }) => id), ['a-10', 'a-2']);
      assert.deepEqual((await read(server, 'rooms?after=a-11&limit=1')).rooms.map(({ id }) => id), ['a-2'], 'after one that is not there');
    });

    it('has what was said when the room began', async () => {
      const { rooms } = await read(server, 'rooms?limit=200');
      for (const room of rooms) {
        const i = ids.indexOf(room.id);
        assertTime(room.createdAt);
        assert.deepEqual({ ...room, createdAt: undefined }, { id: room.id, name: i % 2 ? room.id : `Room ${i}`, ownerId: 'owner', maxUsers: 10, status: 'active', createdAt: undefined });
        assert.deepEqual(await read(server, `rooms/${room.id}`), room);
      }
    });

    it('takes nothing but what is described', async () => {
      for (const query of [
        'limit=0', 'limit=201', 'limit=-1', 'limit=1e9', 'limit=1000000000', 'limit=99999999999999999999', 'limit=x', 'limit=', 'limit=1.5', 'limit=%00', 'limit=1&limit=2',
        'status=', 'status=open', 'status=Active', "status=active'--", 'status=active&status=closed', 'after=%00', 'after=a%00b',
      ]) await refused(server, `rooms?${query}`, 400, 'VALIDATION_ERROR');
      for (const query of ['limit=1', 'limit=200', `after=${encodeURIComponent("' OR 1=1 --")}`, 'after=%ED%82%A4', 'more=7', '']) await read(server, `rooms?${query}`);
      assert.equal((await fetch(`${server.url}/api/rooms`, { method: 'POST', headers: { authorization: `Bearer ${ADMIN}` } })).status, 405);
    });

    it('is for whoever has a token', async () => {
      for (const where of ['rooms', 'rooms/abc', 'rooms/nowhere', 'rooms/abc/participants', 'rooms?limit=0']) {
        for (const as of [null, '', 'x', token('user', { type: 'refresh' })]) await refused(server, where, 401, 'AUTH_ERROR', as);
        await refused(server, where, 401, 'TOKEN_EXPIRED', token('user', { exp: 1 }));
      }
    });

    it('a room that is not there, and one that cannot be', async () => {
      for (const more of ['', '/participants']) {
        for (const id of ['nowhere', 'Abc', 'abc-', 'x'.repeat(100)]) await refused(server, `rooms/${id}${more}`, 404, 'NOT_FOUND');
        for (const id of ['ab', 'x'.repeat(101), 'a%20b%20c', 'a.b', '%00%00%00', '%ff%fe%fd', '..%2f..%2fetc', 'a%2Fb', '%EB%B0%A9%EB%B0%A9', "abc'--", 'abc%0a', '%3Cb%3E', 'x'.repeat(5_000)]) {
          await refused(server, `rooms/${id}${more}`, 400, 'VALIDATION_ERROR');
        }
      }
      await refused(server, 'rooms/abc/nothing', 404, 'NOT_FOUND');
    });

    it('texts are given back as they were', async () => {
      const socket = await connect(server, '<i>user & "owner"</i>');
      const names = ['<script>alert(1)</script>', '"><img src=x onerror=\'a()\'>', '회의실 & <b>', ' around ', '\\u003cb\\u003e {{7*7}} ${1} %s', '🙂🙂', `'; DROP TABLE rooms; --`];
      for (const [i, name] of names.entries()) {
        await done(socket, 'create-room', { roomId: `text-${i}`, name });
        const room = await read(server, `rooms/text-${i}`);
        assert.deepEqual([room.name, room.ownerId], [name, '<i>user & "owner"</i>']);
      }
      const response = await fetch(`${server.url}/api/rooms/text-0`, { headers: { authorization: `Bearer ${ADMIN}` } });
      assert.equal(response.headers.get('content-type'), 'application/json');
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      assert.deepEqual((await stays(server, 'text-0')).map(({ userId }) => userId), ['<i>user & "owner"</i>']);
    });
  });

  describe('who was in a room', () => {
    let server;
    before(async () => {
      server = await start();
    });

    it('has the stays, open ones and those that are over', async () => {
      const [owner, guest] = [await connect(server, 'owner'), await connect(server, 'guest')];
      await done(owner, 'create-room', { roomId: 'stays', name: 'Stays' });
      await done(guest, 'join-room', 'stays');
      await until('both', async () => (await stays(server, 'stays')).length === 2);
      const both = await stays(server, 'stays');
      both.forEach(assertOpen);
      assert.deepEqual(both.map(({ userId }) => userId), ['owner', 'guest']);
      await done(guest, 'join', { roomId: 'stays' });

      const since = new Date(both[1].joinedAt).getTime();
      await until('a stay of over a second', () => Date.now() - since > 1_100);
      await done(guest, 'leave', { roomId: 'stays' });
      await until('the end of the stay', async () => (await stays(server, 'stays')).some(({ leftAt }) => leftAt));
      const [first, second, ...more] = await stays(server, 'stays');
      assert.deepEqual(more, [], 'joining twice is one stay');
      assertOpen(first);
      assertOver(second);
      assert.deepEqual([second.id, second.joinedAt], [both[1].id, both[1].joinedAt]);
      assert.ok(second.durationSeconds >= 1 && second.durationSeconds <= 5, `${second.durationSeconds} s`);

      await done(guest, 'join-room', 'stays');
      await until('the second stay', async () => (await stays(server, 'stays')).length === 3);
      guest.close();
      await until('its end', async () => (await stays(server, 'stays')).every(({ userId, leftAt }) => userId === 'owner' || leftAt));
      const [, ...over] = await stays(server, 'stays');
      over.forEach(assertOver);
      assert.deepEqual(over.map(({ userId }) => userId), ['guest', 'guest']);
    });

    it('a user who is there twice has two stays', async () => {
      const [one, two] = [await connect(server, 'twice'), await connect(server, 'twice')];
      await done(one, 'join', { roomId: 'twice' });
      await done(two, 'join', { roomId: 'twice' });
      await until('both', async () => (await stays(server, 'twice')).length === 2);
      one.close();
      await until('one end', async () => (await stays(server, 'twice')).filter(({ leftAt }) => leftAt).length === 1);
      const [first, second] = await stays(server, 'twice');
      assertOver(first);
      assertOpen(second);
    });

    it('is for its owner, those who were in it, and admins', async () => {
      const [owner, guest, late] = [await connect(server, 'the-owner'), await connect(server, 'the-guest'), await connect(server, 'the-late')];
      await done(owner, 'create-room', { roomId: 'private', name: 'Private', maxUsers: 2 });
      await done(guest, 'join-room', 'private');
      assert.equal((await late.emitWithAck('join-room', 'private')).error.code, 'ROOM_FULL');
      await until('both', async () => (await stays(server, 'private')).length === 2);
      await done(owner, 'leave', { roomId: 'private' });
      guest.close();
      await until('nobody', async () => (await stays(server, 'private')).every(({ leftAt }) => leftAt));
      const expected = await stays(server, 'private');
      for (const as of [token('the-owner'), token('x', { userId: 'the-guest' }), ADMIN]) assert.deepEqual((await read(server, 'rooms/private/participants', as)).participants, expected);
      for (const as of [
        token('the-late'), token('stranger'), token('THE-OWNER'), token('the-owner '), token('the-own%'), token('stranger', { role: 'monitor' }), token('stranger', { role: 'Admin' }),
        token('stranger', { ownerId: 'the-owner' }),
      ]) {
        await refused(server, 'rooms/private/participants', 403, 'FORBIDDEN', as);
        assert.equal((await read(server, 'rooms/private', as)).ownerId, 'the-owner');
      }
    });

    it('has every stay once, oldest first, in pages of any size', async () => {
      const room = 'many-stays';
      const sockets = await Promise.all(Array.from({ length: 7 }, (_, i) => connect(server, `user-${i}`)));
      for (const socket of sockets) await done(socket, 'join', { roomId: room });
      for (const socket of sockets.slice(2)) await done(socket, 'leave', { roomId: room });
      await done(sockets[3], 'join', { roomId: room });
      await until('all of them', async () => (await stays(server, room)).length === 8 && (await stays(server, room)).filter(({ leftAt }) => leftAt).length === 5);
      const all = await stays(server, room);
      assert.deepEqual(all.map(({ userId }) => userId), ['user-0', 'user-1', 'user-2', 'user-3', 'user-4', 'user-5', 'user-6', 'user-3']);
      const own = token('user-5');
      for (const limit of [1, 2, 3, 7, 8, 9, 200]) assert.deepEqual(await pages(server, `rooms/${room}/participants`, 'participants', limit, '', own), all, `pages of ${limit}`);
      for (const query of [
        'limit=0', 'limit=201', 'limit=-1', 'limit=1e9', 'limit=x', 'limit=', 'after=x', 'after=', 'after=1.5', 'after=99999999999999999999', 'after=%00', 'after=1&after=2',
      ]) await refused(server, `rooms/${room}/participants?${query}`, 400, 'VALIDATION_ERROR', own);
      assert.deepEqual(await read(server, `rooms/${room}/participants?after=${all.at(-1).id}`, own), { participants: [] });
      assert.deepEqual((await read(server, `rooms/${room}/participants?after=-1`, own)).participants, all);
    });
  });

  describe('what is kept', () => {
    /** A server with a room that two are in, one that one has left, and one by bare id. */
    async function busy(DATA_DIR) {
      const server = await start({ DATA_DIR });
      const [owner, guest] = [await connect(server, 'owner'), await connect(server, 7, { auth: { token: token('x', { userId: 7 }) } })];
      await done(owner, 'create-room', { roomId: 'kept', name: 'Kept <b>', maxUsers: 2 });
      await done(guest, 'join-room', 'kept');
      await done(owner, 'create-room', 'left-alone');
      await done(owner, 'leave', { roomId: 'left-alone' });
      await done(guest, 'join', { roomId: 'joined' });
      const written = async () => (await stays(server, 'kept')).length === 2 && (await stays(server, 'left-alone'))[0]?.leftAt && (await stays(server, 'joined')).length === 1;
      await until('all of it in the database', written);
      return { server, owner, guest, rooms: (await read(server, 'rooms')).rooms, open: await stays(server, 'kept') };
    }

    async function assertKept(server, { rooms, open }) {
      // At once, before anything else: rooms are there from the first moment on.
      const [back, other, late] = [await connect(server, 'somebody new'), await connect(server, 'owner'), await connect(server, 'late')];
      assert.deepEqual(await done(back, 'join-room', 'kept'), { success: true, roomId: 'kept', existingUsers: [] });
      assert.equal((await other.emitWithAck('create-room', { roomId: 'kept', name: 'Mine' })).error.code, 'CONFLICT');
      assert.deepEqual(await done(other, 'join-room', { roomId: 'kept' }), { success: true, roomId: 'kept', existingUsers: [back.id] });
      assert.deepEqual((await late.emitWithAck('join-room', 'kept')).error.code, 'ROOM_FULL', 'as many as before');
      for (const id of ['left-alone', 'joined']) await done(late, 'join-room', id);
      assert.equal((await late.emitWithAck('join-room', 'never-there')).error.code, 'NOT_FOUND');

      assert.deepEqual((await read(server, 'rooms')).rooms, rooms, 'with name, owner, capacity and time');
      await until('the new stays', async () => (await stays(server, 'kept')).length === 4);
      const [first, second, ...fresh] = await stays(server, 'kept');
      for (const [before, now] of [[open[0], first], [open[1], second]]) {
        assertOver(now);
        assert.deepEqual([now.id, now.userId, now.joinedAt], [before.id, before.userId, before.joinedAt]);
      }
      assert.deepEqual(fresh.map(({ userId }) => userId), ['somebody new', 'owner']);
      fresh.forEach(assertOpen);
      for (const id of ['left-alone', 'joined']) assertOver((await stays(server, id))[0]);
      // Whoever was in it is known by its id, number or not.
      assert.equal((await read(server, 'rooms/kept/participants', token('x', { userId: 7 }))).participants.length, 4);
      return [first, second];
    }

    it('after SIGTERM: rooms, and when everybody left', async () => {
      const DATA_DIR = dataDir();
      const before = await busy(DATA_DIR);
      await until('a stay of over a second', () => Date.now() - new Date(before.open[1].joinedAt) > 1_200);
      before.server.kill('SIGTERM');
      assert.equal(await before.server.exited, 0);
      const ended = Date.now();
      const over = await assertKept(await start({ DATA_DIR }), before);
      for (const { leftAt, durationSeconds } of over) {
        assert.ok(ended - new Date(leftAt) < 5_000, 'when it left, not when somebody looked');
        assert.ok(durationSeconds >= 1);
      }
    });

    it('after SIGKILL: rooms, and stays that ended when the program was last seen', async () => {
      const DATA_DIR = dataDir();
      const before = await busy(DATA_DIR);
      before.server.kill('SIGKILL');
      await before.server.exited;
      const ended = Date.now();
      const over = await assertKept(await start({ DATA_DIR }), before);
      for (const { leftAt } of over) assert.ok(new Date(leftAt) <= ended, 'not when somebody looked');
    });

    it('what was acknowledged a moment before SIGKILL', async () => {
      const DATA_DIR = dataDir();
      const server = await start({ DATA_DIR });
      const socket = await connect(server, 'owner');
      const made = [];
      let stop = false;
      const making = (async () => {
        for (let i = 0; !stop; i += 1) {
          const roomId = `made-${i}`;
          const answer = await socket.timeout(2_000).emitWithAck('create-room', { roomId, name: 'Made' }).catch(() => ({}));
          if (answer.success) made.push(roomId);
        }
      })();
      await until('some rooms', () => made.length > 50);
      server.kill('SIGKILL');
      await server.exited;
      stop = true;
      socket.close();
      await making;
      const again = await start({ DATA_DIR });
      const there = new Set((await pages(again, 'rooms', 'rooms', 200)).map(({ id }) => id));
      assert.deepEqual(made.filter((id) => !there.has(id)), []);
      const next = await connect(again, 'next');
      for (const roomId of made.slice(-20)) await done(next, 'join-room', roomId);
    });

    it('a room that nobody returns to after the restart closes as any other', async () => {
      const DATA_DIR = dataDir();
      const before = await busy(DATA_DIR);
      before.server.kill('SIGKILL');
      await before.server.exited;
      const server = await start({ DATA_DIR });
      const began = Date.now();
      await done(await connect(server, 'somebody'), 'join-room', 'joined');
      await until('the end of the others', async () => (await read(server, 'rooms?status=closed')).rooms.length === 2, 40_000);
      const took = Date.now() - began;
      assert.ok(took > 28_000 && took < 36_000, `${took} ms`);
      assert.deepEqual((await read(server, 'rooms')).rooms.map(({ id, status }) => [id, status]), [['joined', 'active'], ['kept', 'closed'], ['left-alone', 'closed']]);
    });
  });

  describe('ICE servers', () => {
    it('come with credentials that a TURN server computes as well', async () => {
      const STUN_URLS = 'stun:stun1.example.com:3478,stuns:stun2.example.com:5349';
      const TURN_URLS = 'turn:turn.example.com:3478,turns:turn.example.com:5349?transport=tcp';
      const TURN_SECRET = 'a secret that only TURN servers know';
      const server = await start({ STUN_URLS, TURN_URLS, TURN_SECRET, TURN_TTL: '10m' });
      for (const [user, as] of [['user', token('user')], ['7', token('x', { userId: 7 })], ['김:철수 <b>', token('김:철수 <b>')]]) {
        const { iceServers, expiresAt, ...rest } = await read(server, 'ice-servers', as);
        assert.deepEqual(rest, {});
        assert.equal(iceServers.length, 2);
        assert.deepEqual(iceServers[0], { urls: STUN_URLS.split(',') });
        const { urls, username, credential, ...more } = iceServers[1];
        assert.deepEqual([urls, more], [TURN_URLS.split(','), {}]);
        const end = Number(username.split(':')[0]);
        assert.ok(Math.abs(end - (Date.now() / 1000 + 600)) < 10, username);
        assert.equal(username, `${end}:${user}`);
        assert.equal(credential, createHmac('sha1', TURN_SECRET).update(username).digest('base64'));
        assert.equal(Math.floor(new Date(expiresAt) / 1000), end);
        assert.ok(!JSON.stringify(iceServers).includes(TURN_SECRET));
      }
      for (const as of [null, 'x', token('user', { type: 'refresh' })]) await refused(server, 'ice-servers', 401, 'AUTH_ERROR', as);
      await refused(server, 'ice-servers', 401, 'TOKEN_EXPIRED', token('user', { exp: 1 }));
    });

    it('are none when none are set', async () => {
      const server = await start();
      const { iceServers, expiresAt } = await read(server, 'ice-servers');
      assert.deepEqual(iceServers, []);
      assertTime(expiresAt, Date.now() + 3_600_000);
    });

    it('are those that are set, STUN or TURN alone', async () => {
      const stun = await start({ STUN_URLS: 'stun:stun.example.com:3478' });
      assert.deepEqual((await read(stun, 'ice-servers')).iceServers, [{ urls: ['stun:stun.example.com:3478'] }]);
      const turn = await start({ TURN_URLS: 'turn:turn.example.com:3478', TURN_SECRET: 's', SIGNALING_AUTH: 'optional' });
      const [named] = (await read(turn, 'ice-servers', token('user'))).iceServers;
      assert.match(named.username, /^\d+:user$/);
      const { iceServers: [guest, ...none] } = await read(turn, 'ice-servers', null);
      assert.match(guest.username, /^\d+:guest/, 'guests need them as well');
      assert.equal(guest.credential, createHmac('sha1', 's').update(guest.username).digest('base64'));
      assert.deepEqual(none, []);
    });
  });

  describe('guests', () => {
    let server;
    before(async () => {
      server = await start({ SIGNALING_AUTH: 'optional', CREATE_ROOM_PER_MIN: '5', TRUSTED_PROXY_HOPS: '1' });
    });
    const from = (address) => ({ extraHeaders: { 'x-forwarded-for': address } });

    it('join, signal and leave, under names that are made up', async () => {
      const [one, two] = [await connect(server), await connect(server)];
      assert.deepEqual(await done(one, 'join', { roomId: 'guests', userId: 'admin' }), { success: true, roomId: 'guests', existingUsers: [] });
      const [coming, existing] = [once(one, 'peer-joined'), once(two, 'existing-peers')];
      await done(two, 'join', { roomId: 'guests' });
      assert.equal((await coming).peerId, two.id);
      assert.match((await coming).userId, /^guest-./);
      assert.match((await existing)[0].userId, /^guest-./);
      assert.notEqual((await coming).userId, (await existing)[0].userId);
      for (const [event, field] of [['offer', 'offer'], ['answer', 'answer'], ['ice-candidate', 'candidate']]) {
        const arriving = once(two, event);
        assert.deepEqual(await one.emitWithAck(event, { to: two.id, [field]: { sdp: 'v=0' } }), { delivered: true });
        assert.deepEqual(await arriving, { from: one.id, [field]: { sdp: 'v=0' } });
      }
      const enveloped = once(one, 'offer');
      two.emit('message', { type: 'offer', from: 'forged', to: one.id, roomId: 'guests', data: { sdp: 'v=0' } });
      assert.equal((await enveloped).from, two.id);
      const leaving = once(one, 'peer-left');
      await done(two, 'leave', { roomId: 'guests' });
      assert.deepEqual(await leaving, { peerId: two.id });
      await until('their stays', async () => (await stays(server, 'guests')).length === 2);
      for (const { userId } of await stays(server, 'guests')) assert.match(userId, /^guest-./);
    });

    it('use nothing else', async () => {
      for (const options of [{}, { transports: ['polling'] }, { auth: { token: '' } }, { auth: { token: null } }]) {
        const guest = await connect(server, undefined, options);
        for (const [event, payload] of [
          ['registerClient', { role: 'monitor' }], ['joinSession', { sessionId: 's' }], ['leaveSession', { sessionId: 's' }],
          ['scanOrder', { sessionId: 's', orderNo: 'A', ts: 1 }], ['heartbeat', null],
          ['token:renew', { token: token('user') }], ['token:renew', {}], ['scanOrder', 7],
        ]) {
          const answer = await guest.emitWithAck(event, payload);
          assert.deepEqual([answer.success, errorOf(answer)], [false, { code: 'FORBIDDEN', message: 'this needs a token' }], event);
        }
        const told = once(guest, 'error');
        guest.emit('registerClient', { role: 'mobile' });
        assert.equal((await told).code, 'FORBIDDEN');
        assert.equal((await guest.emitWithAck('no such event', {})).error.code, 'UNKNOWN_EVENT');
        assert.equal(guest.connected, true);
      }
      for (const where of ['rooms', 'rooms/guests', 'rooms/guests/participants', 'auth/me']) await refused(server, where, 401, 'AUTH_ERROR', null);
    });

    it('a bad token is not as if there were none', async () => {
      for (const bad of ['x', token('user', { exp: 1 }), token('user', { type: 'refresh' }), `${token('user')}A`]) {
        await assert.rejects(connect(server, undefined, { auth: { token: bad } }), { message: 'Invalid authentication token' });
        await assert.rejects(connect(server, undefined, { extraHeaders: { authorization: `Bearer ${bad}` } }), { message: 'Invalid authentication token' });
      }
      const strict = await start();
      await assert.rejects(connect(strict), { message: 'Authentication required: no authentication token' });
    });

    it('those of one address share its limits', async () => {
      const here = await Promise.all(Array.from({ length: 3 }, () => connect(server, undefined, from('203.0.113.1'))));
      const answers = [];
      for (let i = 0; i < 9; i += 1) answers.push(await here[i % 3].emitWithAck('create-room', `by-guests-${i}`));
      assert.deepEqual(answers.map(({ success }) => success), [...Array(5).fill(true), ...Array(4).fill(false)]);
      for (const { error } of answers.slice(5)) assert.equal(error.code, 'RATE_LIMIT');
      const fresh = await connect(server, undefined, from('203.0.113.1'));
      assert.equal((await fresh.emitWithAck('create-room', 'by-a-new-one')).error.code, 'RATE_LIMIT', 'a new connection is no new budget');
      const elsewhere = await connect(server, undefined, from('203.0.113.2'));
      await done(elsewhere, 'create-room', 'from-elsewhere');
      const user = await connect(server, 'user', from('203.0.113.1'));
      await done(user, 'create-room', 'by-a-user');
    });

    it('an address has as many of them as a user has sockets', async () => {
      const few = await start({ SIGNALING_AUTH: 'optional', SOCKETS_PER_USER: '2', TRUSTED_PROXY_HOPS: '1' });
      await connect(few, undefined, from('203.0.113.1'));
      const second = await connect(few, undefined, from('203.0.113.1'));
      await assert.rejects(connect(few, undefined, from('203.0.113.1')), { message: 'Too many connection attempts, try again later' });
      await connect(few, undefined, from('203.0.113.2'));
      await connect(few, 'user', from('203.0.113.1'));
      second.close();
      await until('room for another', () => connect(few, undefined, from('203.0.113.1')).then(() => true, () => false));
    });

    it('an address connects as often as a user does', async () => {
      const few = await start({ SIGNALING_AUTH: 'optional', HANDSHAKES_PER_USER_PER_MIN: '3', TRUSTED_PROXY_HOPS: '1' });
      for (let i = 0; i < 3; i += 1) await connect(few, undefined, from('203.0.113.1'));
      await assert.rejects(connect(few, undefined, from('203.0.113.1')), { message: 'Too many connection attempts, try again later' });
      await connect(few, undefined, from('203.0.113.2'));
      await connect(few, 'user', from('203.0.113.1'));
    });
  });
});
