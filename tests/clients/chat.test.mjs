// Chat with the official client: the handshake, who may chat, rooms over HTTP, and every event on `/` and on `/chat`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import {
  account, accounts, ask, chatter, connected, createRoom, expired, http, join, meeting, profile, say, start, turnedAway,
} from './chatting.mjs';
import { TRANSPORTS, errorOf, nonce, once, token, until } from './server.mjs';
import { atEnd, done, fresh, heard, hears, open, range } from './ticketing.mjs';

const NO_STORE = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
const NAMESPACES = ['/', '/chat'];
const NO_TOKEN = 'Authentication required: no authentication token';
const BAD_TOKEN = 'Invalid authentication token';
const OUTSIDER = ['FORBIDDEN', 'only participants may do this'];
const DAY = 24 * 3600;
const ROOM_REQUESTS = { GET: {}, POST: { body: { name: 'Room', participants: [] } } };

/** Must not be done, and is answered so; with a message where the words matter. */
async function denied(socket, event, payload, code, message) {
  const answer = await ask(socket, event, ...(payload === undefined ? [] : [payload]));
  assert.equal(answer?.success, false, `${event} ${JSON.stringify(payload)?.slice(0, 200)}: ${JSON.stringify(answer)}`);
  const error = errorOf(answer);
  assert.equal(error.code, code, `${event} ${JSON.stringify(payload)?.slice(0, 200)}: ${JSON.stringify(answer)}`);
  if (message !== undefined) assert.equal(error.message, message, event);
}

/** Every event of chat with something that it takes, but `refreshToken`, which takes nothing. */
const everyEvent = (roomID) => Object.entries({
  syncRooms: { rooms: [{ roomId: roomID }] }, join: { roomID }, message: { roomID, content: 'x' }, editMessage: { roomID, id: 1, content: 'x' },
  loadMoreMessages_for_room: { roomId: roomID }, deleteroom: { roomID }, leave: { roomID },
});

/** Whoever does not take part may do nothing in a room, and is told nothing of it. */
async function outside(socket, roomID) {
  const refused = everyEvent(roomID).filter(([event]) => !['syncRooms', 'leave'].includes(event));
  for (const [event, payload] of refused) await denied(socket, event, payload, 'FORBIDDEN', 'only participants may do this');
  assert.deepEqual(await done(socket, 'syncRooms', { rooms: [{ roomId: roomID, timestamp: 0 }] }), []);
}

const load = (socket, roomId, more) => done(socket, 'loadMoreMessages_for_room', { roomId, ...more });
const contents = (messages) => messages.map(({ content }) => content);
const said = (socket, roomID) => contents(heard(socket, 'message').filter((message) => message.roomID === roomID));
const person = ({ user }) => ({ userId: user.id, username: user.username });
/** Participants have no order. */
const sorted = (room) => ({ ...room, participants: [...room.participants].sort((a, b) => (`${a.userId}` < `${b.userId}` ? -1 : 1)) });

/** All of a room, page by page, the oldest first. */
async function history(socket, roomID) {
  const all = [];
  for (;;) {
    const page = await load(socket, roomID, all.length > 0 ? { timestamp: all[0].createdAt } : {});
    if (page.length === 0) return all;
    all.unshift(...page);
  }
}

/** Everything that was sent to these sockets so far is there: what is said now comes behind it. */
async function settled(speaker, roomID, sockets) {
  const last = fresh('last');
  await say(speaker, roomID, last);
  for (const socket of sockets) {
    await until('what was said last', () => said(socket, roomID).includes(last));
    socket.heard = socket.heard.filter(({ data }) => data?.content !== last);
  }
}

function assertRising(messages) {
  messages.slice(1).forEach(({ createdAt }, i) => assert.ok(createdAt > messages[i].createdAt, `${createdAt} after ${messages[i].createdAt}`));
}

function assertTime(at) {
  assert.ok(Number.isInteger(at) && Math.abs(at - Date.now()) < 60_000, `${at}`);
}

describe('the handshake', () => {
  let server;
  let kim;
  before(async () => {
    server = await start();
    kim = await account(server, 'Kim');
  });

  for (const namespace of NAMESPACES) {
    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      it(`opens ${namespace} to two tokens, a user agent and a name, ${name}`, async () => {
        const socket = await chatter(server, kim, { namespace, transports });
        assert.deepEqual(await done(socket, 'syncRooms', { rooms: [] }), []);
        await hears(socket, 'syncRoomsResponse');
        assert.deepEqual(socket.heard.map(({ event }) => event), ['syncRoomsResponse'], 'and nothing else');
      });
    }

    it(`lets nobody in on ${namespace} with a part of it`, async () => {
      const incomplete = 'accessToken, refreshToken, userAgent and username are required';
      for (const [field, message] of Object.entries({ refreshToken: NO_TOKEN, userAgent: incomplete, username: incomplete })) {
        for (const value of [undefined, null, '', 7, true, {}, ['text']]) {
          assert.equal(await turnedAway(server, profile(kim, { [field]: value }), { namespace }), message, `${field}: ${JSON.stringify(value)}`);
        }
      }
      const { accessToken, refreshToken, userAgent, username } = profile(kim);
      for (const [auth, message] of [
        [{ accessToken, refreshToken }, incomplete], [{ accessToken, userAgent }, NO_TOKEN], [{ accessToken, username }, NO_TOKEN],
        [{ accessToken, userAgent, username }, NO_TOKEN],
      ]) assert.equal(await turnedAway(server, auth, { namespace }), message, Object.keys(auth).join(', '));
    });

    it(`on ${namespace} does not believe a forged access token`, async () => {
      const [head, body, signature] = kim.accessToken.split('.');
      const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
      for (const accessToken of [
        'x', 'a.b.c', `${head}.${body}.`, `${head}.${body}.${'A'.repeat(signature.length)}`, `${part({ alg: 'none', typ: 'JWT' })}.${body}.`,
        `${head}.${part({ sub: '1', userId: 1, username: 'Kim', exp: 4e9 })}.${signature}`, `${expired(kim).slice(0, -8)}AAAAAAAA`, kim.refreshToken,
        token('1', { userId: kim.user.id, username: 'Kim', type: 'refresh' }),
      ]) assert.equal(await turnedAway(server, profile(kim, { accessToken }), { namespace }), BAD_TOKEN, accessToken);
    });

    it(`on ${namespace} asks for the name of the token's user, in any case`, async () => {
      for (const username of ['KIM', 'kim', 'kIm']) await chatter(server, kim, { namespace, auth: profile(kim, { username }) });
      for (const username of ['Kin', 'Ki', 'Kim ', `${kim.user.id}`]) {
        assert.equal(await turnedAway(server, profile(kim, { username }), { namespace }), 'the token belongs to another user', username);
      }
      const eva = await account(server, 'Éva 김');
      await chatter(server, eva, { namespace, auth: profile(eva, { username: 'éVA 김' }) });
      // Without a name in the token its user id is the name.
      for (const [accessToken, username] of [[token('User-x'), 'USER-X'], [token('x', { userId: 7 }), '7']]) {
        await chatter(server, kim, { namespace, auth: profile(kim, { accessToken, username }) });
      }
      const seven = profile(kim, { accessToken: token('x', { userId: 7 }), username: 'x' });
      assert.equal(await turnedAway(server, seven, { namespace }), 'the token belongs to another user');
    });

    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      it(`on ${namespace} gives a new access token before anything else where the old one has expired, ${name}`, async () => {
        const who = await account(server);
        const socket = await chatter(server, who, { namespace, transports, auth: profile(who, { accessToken: expired(who) }) });
        assert.deepEqual(await done(socket, 'syncRooms', { rooms: [] }), []);
        await hears(socket, 'syncRoomsResponse');
        assert.deepEqual(socket.heard.map(({ event }) => event), ['token:refresh', 'syncRoomsResponse']);
        const [{ accessToken, ...rest }] = heard(socket, 'token:refresh');
        assert.deepEqual(rest, { expiresIn: DAY });
        const { status, data } = await http(server, 'GET', '/api/auth/me', { as: accessToken });
        assert.deepEqual([status, data.id], [200, who.user.id]);
        const next = await chatter(server, who, { namespace, auth: profile(who, { accessToken }) });
        assert.deepEqual(next.heard, [], 'it is a good one');
      });
    }
  }

  it('on /chat is asked for whatever else would open a socket', async () => {
    const { accessToken, refreshToken, userAgent, username } = profile(kim);
    const others = { refreshToken, userAgent, username };
    for (const auth of [{}, { token: accessToken }, { accessToken }, { token: accessToken, ...others }, others]) {
      assert.equal(await turnedAway(server, auth), NO_TOKEN, Object.keys(auth).join(', '));
    }
    assert.equal(await turnedAway(server, {}, { extraHeaders: { authorization: `Bearer ${accessToken}` } }), NO_TOKEN);
  });

  it('on / is as before where accessToken comes alone, or not at all', async () => {
    const { accessToken, refreshToken, userAgent, username } = profile(kim);
    const others = { refreshToken, userAgent, username };
    for (const auth of [{ token: accessToken }, { accessToken }, { token: accessToken, ...others, username: 'another' }]) {
      await connected(open(server, 'kim', { namespace: '/', auth }));
    }
    assert.equal(await turnedAway(server, others, { namespace: '/' }), NO_TOKEN);
    assert.equal(await turnedAway(server, { accessToken: expired(kim) }, { namespace: '/' }), BAD_TOKEN);
  });

  it('gives the new access token also before it says where the user was', async () => {
    const who = await account(server);
    const first = await chatter(server, who, { namespace: '/' });
    await done(first, 'join-event', { eventId: fresh('event') });
    first.close();
    const socket = await chatter(server, who, { namespace: '/', auth: profile(who, { accessToken: expired(who) }) });
    await hears(socket, 'session-restored');
    assert.deepEqual(socket.heard.slice(0, 2).map(({ event }) => event), ['token:refresh', 'session-restored']);
  });

  it('leaves the refresh token as good as it was', async () => {
    const who = await account(server);
    for (const namespace of [...NAMESPACES, ...NAMESPACES]) {
      const socket = await chatter(server, who, { namespace, auth: profile(who, { accessToken: expired(who) }) });
      await hears(socket, 'token:refresh');
    }
    assert.equal((await http(server, 'POST', '/api/auth/refresh', { body: { refreshToken: who.refreshToken } })).status, 200);
  });

  it('forgives a clock that is a little late, without a new token', async () => {
    const accessToken = expired(kim, { exp: Math.floor(Date.now() / 1000) - 10 });
    const socket = await chatter(server, kim, { auth: profile(kim, { accessToken }) });
    await done(socket, 'syncRooms', { rooms: [] });
    assert.deepEqual(heard(socket, 'token:refresh'), []);
  });

  it('gives nobody an access token for a refresh token that is unknown, somebody else\'s, or over', async () => {
    const [who, other, used, out] = await accounts(server, 4);
    assert.equal((await http(server, 'POST', '/api/auth/refresh', { body: { refreshToken: used.refreshToken } })).status, 200);
    assert.equal((await http(server, 'POST', '/api/auth/logout', { body: { refreshToken: out.refreshToken } })).status, 200);
    for (const [each, refreshToken] of [
      [who, 'x'], [who, 'f'.repeat(64)], [who, `${who.refreshToken} `], [who, who.accessToken], [who, other.refreshToken],
      [used, used.refreshToken], [out, out.refreshToken],
    ]) {
      assert.equal(await turnedAway(server, profile(each, { accessToken: expired(each), refreshToken })), BAD_TOKEN, refreshToken);
    }
    const misnamed = profile(who, { accessToken: expired(who), username: other.user.username });
    assert.equal(await turnedAway(server, misnamed), 'the token belongs to another user', 'the name is looked at as well');
    const short = await start({ REFRESH_TOKEN_TTL: '1s' });
    const late = await account(short);
    const since = Date.now();
    await until('the end of the refresh token', () => Date.now() - since > 1_500);
    assert.equal(await turnedAway(short, profile(late, { accessToken: expired(late) })), BAD_TOKEN);
    await chatter(short, late);
  });

  it('says so where the database is away, and needs it for nothing but an expired token', async () => {
    const away = await start(NO_STORE);
    const who = { accessToken: token('kim'), refreshToken: 'f'.repeat(64), user: { id: 'kim', username: 'kim' } };
    for (const namespace of NAMESPACES) {
      await chatter(away, who, { namespace });
      const late = profile(who, { accessToken: expired(who) });
      assert.equal(await turnedAway(away, late, { namespace }), 'the database is away, try again later');
    }
  });

  it('lets in the application that is named, and no other', async () => {
    const strict = await start({ VISION_APP_INFO: 'VisionChat/4' });
    const who = await account(strict);
    for (const namespace of NAMESPACES) {
      for (const userAgent of ['VisionChat/4', 'Mozilla/5.0 (X11) VisionChat/4.2 Electron/30']) await chatter(strict, who, { namespace, userAgent });
      for (const userAgent of ['Mozilla/5.0', 'VisionChat/3', 'Vision Chat/4']) {
        assert.equal(await turnedAway(strict, profile(who, { userAgent }), { namespace }), 'this application is not allowed', userAgent);
      }
    }
  });

  it('turns away in Korean where that is the language', async () => {
    const korean = await start({ MESSAGE_LANGUAGE: 'ko', VISION_APP_INFO: 'VisionChat' });
    const who = await account(korean, '김철수');
    await chatter(korean, who);
    for (const [more, message] of [
      [{ accessToken: undefined }, '인증 토큰이 없습니다'], [{ refreshToken: '' }, '인증 토큰이 없습니다'], [{ accessToken: 'x' }, '인증 실패'],
      [{ accessToken: expired(who), refreshToken: 'x' }, '인증 실패'], [{ username: '김영희' }, '다른 사용자의 토큰입니다'],
      [{ userAgent: 'Mozilla/5.0' }, '허용되지 않은 애플리케이션입니다'],
    ]) assert.equal(await turnedAway(korean, profile(who, more)), message);
  });
});

describe('who may chat', () => {
  let server;
  let member;
  let roomID;
  before(async () => {
    server = await start({ SIGNALING_AUTH: 'optional' });
    member = await account(server);
    ({ roomID } = await createRoom(server, member));
  });

  it('are not guests', async () => {
    const guest = await connected(open(server, 'nobody', { namespace: '/', auth: {} }));
    for (const [event, payload] of [...everyEvent(roomID), ['refreshToken']]) await denied(guest, event, payload, 'FORBIDDEN');
    assert.equal(await turnedAway(server, {}), NO_TOKEN, 'nor do they come in on /chat');
    for (const [method, more] of Object.entries(ROOM_REQUESTS)) {
      const { status, data } = await http(server, method, '/api/chat/rooms', more);
      assert.deepEqual([status, data.success, data.error.code], [401, false, 'AUTH_ERROR']);
    }
  });

  it('are not paired phones', async () => {
    const monitor = await connected(open(server, fresh('monitor'), { namespace: '/' }));
    monitor.emit('registerClient', { role: 'monitor' });
    const [{ pairingCode }] = await Promise.all([once(monitor, 'session:created'), monitor.emit('session:create')]);
    const { data: paired } = await http(server, 'POST', '/api/pair', { body: { pairingCode } });
    const phone = await connected(open(server, 'nobody', { namespace: '/', auth: { token: paired.token } }));
    for (const [event, payload] of [...everyEvent(roomID), ['refreshToken']]) await denied(phone, event, payload, 'FORBIDDEN');
    for (const [method, more] of Object.entries(ROOM_REQUESTS)) {
      const { status, data } = await http(server, method, '/api/chat/rooms', { as: paired.token, ...more });
      // As everywhere under /api: a paired phone has no account.
      assert.deepEqual([status, data.error.code], [401, 'AUTH_ERROR'], method);
    }
  });

  it('are all who have a token, also without the profile, where no application is named', async () => {
    for (const auth of [{ token: member.accessToken }, { accessToken: member.accessToken }]) {
      const socket = await connected(open(server, member.user.id, { namespace: '/', auth }));
      await join(socket, roomID);
      await say(socket, roomID, 'Here I am.');
    }
    // Of another issuer that signs with the same secret.
    const visitor = token('visitor');
    const room = await createRoom(server, visitor, 'Visitors');
    assert.deepEqual([room.ownerId, room.participants.length, room.participants[0].userId], ['visitor', 1, 'visitor']);
    const socket = await connected(open(server, 'visitor', { namespace: '/' }));
    await join(socket, room.roomID);
  });

  it('are those with the profile where an application is named', async () => {
    const strict = await start({ VISION_APP_INFO: 'VisionChat' });
    const who = await account(strict);
    const room = await createRoom(strict, who);
    const plain = await connected(open(strict, who.user.id, { namespace: '/', auth: { token: who.accessToken } }));
    for (const [event, payload] of everyEvent(room.roomID)) await denied(plain, event, payload, 'FORBIDDEN', 'this application is not allowed');
    await done(plain, 'join', { roomId: 'signaling' });
    for (const namespace of NAMESPACES) {
      const socket = await chatter(strict, who, { namespace });
      await join(socket, room.roomID);
      await say(socket, room.roomID, 'Here I am.');
    }
  });

  it('use /chat for chat and nothing else, and no other namespace but /', async () => {
    const socket = await chatter(server, member);
    for (const event of ['registerClient', 'joinSession', 'scanOrder', 'heartbeat', 'create-room', 'join-room', 'offer', 'join-queue']) {
      await denied(socket, event, { roomId: 'signaling', sessionId: 's' }, 'UNKNOWN_EVENT');
    }
    for (const namespace of ['/scan', '/rtc', '/queue']) {
      const elsewhere = await connected(open(server, member.user.id, { namespace, auth: { token: member.accessToken } }));
      for (const event of ['syncRooms', 'editMessage', 'loadMoreMessages_for_room', 'deleteroom', 'refreshToken']) {
        await denied(elsewhere, event, { roomID }, 'UNKNOWN_EVENT');
      }
    }
    const signaling = await connected(open(server, member.user.id, { namespace: '/rtc', auth: { token: member.accessToken } }));
    for (const event of ['join', 'message', 'leave']) await denied(signaling, event, { roomID, content: 'x' }, 'VALIDATION_ERROR');
    await denied(socket, 'join', { roomId: 'signaling' }, 'VALIDATION_ERROR');
  });
});

describe('rooms over HTTP', () => {
  let server;
  before(async () => {
    server = await start();
  });
  const list = async (as) => {
    const { status, data } = await http(server, 'GET', '/api/chat/rooms', { as });
    assert.equal(status, 200, JSON.stringify(data));
    return data;
  };

  it('begin with their creator as the owner, and those who are named', async () => {
    const [owner, named, byId, byText] = await accounts(server, 4);
    const others = [named.user.username, byId.user.id, `${byText.user.id}`, 'somebody-elsewhere'];
    const room = await createRoom(server, owner, '  회의실 <b>1</b> ', others);
    assert.deepEqual(Object.keys(room).sort(), ['createdAt', 'name', 'ownerId', 'participants', 'roomID']);
    assert.deepEqual([typeof room.roomID, room.name, room.ownerId], ['string', '회의실 <b>1</b>', owner.user.id]);
    assertTime(room.createdAt);
    const elsewhere = room.participants.find(({ userId }) => userId === 'somebody-elsewhere');
    assert.equal(typeof elsewhere?.username, 'string', 'a user id as it is');
    assert.deepEqual(sorted(room).participants, sorted({ participants: [...[owner, named, byId, byText].map(person), elsewhere] }).participants);
    for (const each of [owner, named, byId, byText, token('somebody-elsewhere')]) assert.deepEqual((await list(each)).map(sorted), [sorted(room)]);
  });

  it('have everybody once, however often and under whichever name', async () => {
    const [owner, other] = await accounts(server, 2);
    const twice = [owner, other].flatMap(({ user }) => [user.username, user.id, `${user.id}`, user.id]);
    const { participants } = await createRoom(server, owner, 'Twice', twice);
    assert.deepEqual(sorted({ participants }), sorted({ participants: [owner, other].map(person) }));
    assert.deepEqual((await createRoom(server, owner, 'Alone')).participants, [person(owner)]);
  });

  it('take an id as it is, also one that looks like a number', async () => {
    const [owner, other] = await accounts(server, 2);
    const ids = [`0${other.user.id}`, `+${other.user.id}`, '1e3'];
    const { participants } = await createRoom(server, owner, 'Ids', ids);
    assert.deepEqual(participants.map(({ userId }) => userId).sort(), [owner.user.id, ...ids].sort());
  });

  it('do not guess whom a name means that several accounts have', async () => {
    const name = fresh('Twin');
    const [one, two, owner] = [await account(server, name), await account(server, name), await account(server)];
    const { status, data } = await http(server, 'POST', '/api/chat/rooms', { as: owner, body: { name: 'Twins', participants: [name] } });
    assert.deepEqual([status, data.success, data.error.code], [409, false, 'CONFLICT']);
    assert.deepEqual(await list(owner), []);
    const { participants } = await createRoom(server, owner, 'Twins', [one.user.id, two.user.id]);
    assert.equal(participants.length, 3);
  });

  it('are listed for those who take part, oldest first', async () => {
    const [first, second, nobody] = await accounts(server, 3);
    const rooms = [];
    for (const i of range(4)) rooms.push(await createRoom(server, i % 2 ? second : first, `Room ${i}`, i === 3 ? [first.user.id] : []));
    assert.deepEqual((await list(first)).map(sorted), [rooms[0], rooms[2], rooms[3]].map(sorted));
    assert.deepEqual((await list(second)).map(sorted), [rooms[1], rooms[3]].map(sorted));
    assert.deepEqual(await list(nobody), []);
    assert.equal(new Set(rooms.map(({ roomID }) => roomID)).size, 4);
  });

  it('are not made of anything else', async () => {
    const owner = await account(server);
    const good = { name: 'Room', participants: [] };
    for (const body of [
      ...[undefined, null, '', '   ', 7, {}, ['Room'], 'x'.repeat(101), '가'.repeat(101)].map((name) => ({ ...good, name })),
      ...['a\u0000b', 'a\nb', 'a\u001bb', 'a\u007fb', 'a\u0085b'].map((name) => ({ ...good, name })),
      ...['x', 7, {}, true].map((participants) => ({ ...good, participants })),
      ...['', 'x'.repeat(201), 1.5, null, true, {}, ['x'], [7]].map((one) => ({ ...good, participants: [one] })),
      { ...good, participants: range(201).map(String) }, {}, [], null, 7, 'text', '{', '',
    ]) {
      const { status, data } = await http(server, 'POST', '/api/chat/rooms', { as: owner, body });
      assert.deepEqual([status, data.success, data.error?.code], [400, false, 'VALIDATION_ERROR'], JSON.stringify(body).slice(0, 200));
    }
    for (const as of [undefined, 'x', owner.refreshToken, expired(owner)]) {
      const { status } = await http(server, 'POST', '/api/chat/rooms', { as, body: good });
      assert.equal(status, 401);
      assert.equal((await http(server, 'GET', '/api/chat/rooms', { as })).status, 401);
    }
    assert.deepEqual(await list(owner), [], 'none of these was made');
    for (const body of [{ name: '가'.repeat(100), participants: range(200).map((i) => `p-${i}`) }, { name: 'x', participants: ['x'.repeat(200)] }]) {
      assert.equal((await http(server, 'POST', '/api/chat/rooms', { as: owner, body })).status, 201, 'what is at the bounds is good');
    }
  });

  it('are told to those who take part, are connected and have sent syncRooms or join', async () => {
    const [owner, synced, joined, silent] = await accounts(server, 4);
    const own = await createRoom(server, joined);
    const sockets = [];
    for (const namespace of NAMESPACES) {
      const [owns, syncs, joins, waits] = await Promise.all([owner, synced, joined, silent].map((who) => chatter(server, who, { namespace })));
      for (const socket of [owns, syncs]) await done(socket, 'syncRooms', { rooms: [] });
      await join(joins, own.roomID);
      sockets.push({ told: [owns, syncs, joins], waits });
    }
    const stranger = await chatter(server, await account(server));
    await done(stranger, 'syncRooms', { rooms: [] });

    const room = await createRoom(server, owner, 'News', [synced, joined, silent].map(({ user }) => user.id));
    for (const { told, waits } of sockets) {
      for (const socket of told) {
        await until('the news', () => heard(socket, 'roomUpdate').some(({ roomID }) => roomID === room.roomID));
        assert.deepEqual(heard(socket, 'roomUpdate').filter(({ roomID }) => roomID === room.roomID).map(sorted), [sorted(room)]);
      }
      await done(waits, 'syncRooms', { rooms: [] });
      assert.deepEqual(heard(waits, 'roomUpdate'), [], 'it had asked for nothing');
    }
    await done(stranger, 'syncRooms', { rooms: [] });
    assert.deepEqual(heard(stranger, 'roomUpdate'), []);
  });

  it('and what was acknowledged in them are there after the server was killed', async () => {
    const DATA_DIR = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-chat-'));
    atEnd(() => fs.rmSync(DATA_DIR, { recursive: true, force: true }));
    const first = await start({ DATA_DIR });
    const { members, roomID, sockets: [owner, other] } = await meeting(first, 2);
    const { id } = await say(owner, roomID, 'before', { clientId: 'a' });
    await done(owner, 'editMessage', { roomID, id, content: 'edited' });
    await say(other, roomID, 'last');
    const before = await history(other, roomID);
    first.kill('SIGKILL');
    await first.exited;

    const again = await start({ DATA_DIR });
    const [back, too] = await Promise.all(members.map((who) => chatter(again, who)));
    assert.deepEqual(await join(back, roomID), before);
    await join(too, roomID);
    assert.equal((await say(back, roomID, 'another', { clientId: 'a' })).id, id, 'a retry is still known');
    await say(back, roomID, 'after');
    assert.deepEqual(contents(await history(too, roomID)), ['edited', 'last', 'after']);
    assertRising(await history(too, roomID));
  });
});

for (const namespace of NAMESPACES) {
  describe(`the events on ${namespace}`, () => {
    let server;
    before(async () => {
      server = await start();
    });

    it('refreshToken gives another access token, as event and as acknowledgement', async () => {
      const who = await account(server);
      const socket = await chatter(server, who, { namespace });
      const answer = await ask(socket, 'refreshToken');
      assert.deepEqual({ ...answer, accessToken: undefined }, { accessToken: undefined, expiresIn: DAY });
      await hears(socket, 'token:refresh');
      assert.deepEqual(heard(socket, 'token:refresh'), [answer]);
      await chatter(server, who, { namespace, auth: profile(who, { accessToken: answer.accessToken }) });
      socket.emit('refreshToken');
      await hears(socket, 'token:refresh', 2);
      const { status } = await http(server, 'POST', '/api/auth/refresh', { body: { refreshToken: who.refreshToken } });
      assert.equal(status, 200, 'the refresh token stays good');
    });

    it('refreshToken gives nothing without a refresh token that is good', async () => {
      const [who, used, other] = await accounts(server, 3);
      const late = await chatter(server, used, { namespace });
      assert.equal((await http(server, 'POST', '/api/auth/refresh', { body: { refreshToken: used.refreshToken } })).status, 200);
      const sockets = [late];
      for (const refreshToken of ['x', 'f'.repeat(64), other.refreshToken]) {
        sockets.push(await chatter(server, who, { namespace, auth: profile(who, { refreshToken }) }));
      }
      if (namespace === '/') sockets.push(await connected(open(server, who.user.id, { namespace, auth: { token: who.accessToken } })));
      for (const socket of sockets) {
        await denied(socket, 'refreshToken', undefined, 'AUTH_ERROR', 'the refresh token is not valid');
        assert.deepEqual(heard(socket, 'token:refresh'), []);
      }
    });

    it('join gives what was said, tells the room, and what is said from then on', async () => {
      const [owner, other] = await accounts(server, 2);
      const room = await createRoom(server, owner, 'Room', [other.user.id]);
      const { roomID } = room;
      const [one, two] = [await chatter(server, owner, { namespace }), await chatter(server, other, { namespace })];
      assert.deepEqual(await join(one, roomID), [], 'nothing yet');
      await hears(one, 'roomUpdate');
      assert.deepEqual(sorted(heard(one, 'roomUpdate').at(-1)), sorted(room));
      const first = await say(one, roomID, 'first');
      one.heard = one.heard.filter(({ event }) => event !== 'roomUpdate');

      const [message, ...none] = await join(two, roomID);
      assert.deepEqual(message, { id: first.id, roomID, ...person(owner), content: 'first', createdAt: first.createdAt });
      assert.deepEqual(none, []);
      await hears(one, 'roomUpdate');
      assert.deepEqual(sorted(heard(one, 'roomUpdate').at(-1)), sorted(room));

      const answer = await say(two, roomID, 'second');
      assert.deepEqual(Object.keys(answer).sort(), ['createdAt', 'id', 'success']);
      assert.equal(answer.success, true);
      assertTime(answer.createdAt);
      assert.ok(Number.isInteger(answer.id) && answer.id !== first.id);
      for (const socket of [one, two]) {
        await until('it', () => said(socket, roomID).includes('second'));
        const expected = { id: answer.id, roomID, ...person(other), content: 'second', createdAt: answer.createdAt };
        assert.deepEqual(heard(socket, 'message').at(-1), expected);
      }
      assert.deepEqual([said(one, roomID), said(two, roomID)], [['first', 'second'], ['second']], 'the sender hears itself, everybody once');
    });

    it('join gives the last 50 to whoever names no time, as often as it is sent', async () => {
      const { members, roomID, sockets: [writer] } = await meeting(server, 2, { namespace });
      await Promise.all(range(60).map((i) => say(writer, roomID, `${i}`)));
      const reader = await chatter(server, members[1], { namespace });
      for (const more of [{}, { createdAt: null }, { lastmessage: null }, { lastmessage: 'text' }, { lastmessage: { id: 7, content: 'x' } }]) {
        assert.deepEqual(contents(await join(reader, roomID, more)), range(50, 10).map(String));
      }
      await settled(writer, roomID, [reader]);
      assert.deepEqual(said(reader, roomID), [], 'and nothing of it a second time');
      await say(writer, roomID, 'once');
      await settled(writer, roomID, [reader]);
      assert.deepEqual(said(reader, roomID), ['once'], 'joined five times, told once');
    });

    it('message goes to whoever joined, and to nobody else', async () => {
      const { members, roomID, sockets: [one, two, gone] } = await meeting(server, 3, { namespace });
      const { roomID: other } = await createRoom(server, members[0], 'Other', members.map(({ user }) => user.id));
      const silent = await chatter(server, members[1], { namespace });
      const elsewhere = await chatter(server, members[2], { namespace });
      const tab = await chatter(server, members[0]);
      await join(elsewhere, other);
      await join(tab, roomID);
      gone.close();
      await say(silent, roomID, 'It takes part, so it may.');
      await settled(one, roomID, [one, two, tab]);
      for (const socket of [one, two, tab]) assert.deepEqual(said(socket, roomID), ['It takes part, so it may.']);
      await say(elsewhere, other, 'the end');
      await hears(elsewhere, 'message');
      assert.deepEqual(heard(elsewhere, 'message').map(({ roomID: where }) => where), [other]);
      await ask(silent, 'syncRooms', { rooms: [] });
      assert.deepEqual(heard(silent, 'message'), []);
    });

    it('message is taken and given as it is', async () => {
      const { roomID, sockets: [one, two] } = await meeting(server, 2, { namespace });
      const texts = [
        '<script>alert(1)</script>', '"><img src=x onerror=\'a()\'>', ' around ', 'two\nlines\r\n\tand a tab', '\\u003cb\\u003e {{7*7}} ${1} %s',
        `'; DROP TABLE chat_messages; --`,
        '안녕하세요', '각'.normalize('NFD'), '👩‍👩‍👧‍👦 🇰🇷', '\u202eright to left', '\u0001', '\ufeff', '0', 'null', '&lt;&amp;', '@', '[]',
      ];
      for (const text of texts) await say(one, roomID, text);
      await until('all of them', () => said(two, roomID).length === texts.length);
      assert.deepEqual(said(two, roomID), texts);
      assert.deepEqual(contents(await load(two, roomID)), texts);
      assert.deepEqual(contents(await join(two, roomID)), texts);
    });

    it('message and editMessage take 16,384 bytes and no more', async () => {
      const { roomID, sockets: [one, two] } = await meeting(server, 2, { namespace });
      const full = [...['x', '"', '\n', '\u0001'].map((each) => each.repeat(16_384)), `${'가'.repeat(5_461)}x`, '🙂'.repeat(4_096)];
      for (const text of full) {
        assert.equal(Buffer.byteLength(text), 16_384);
        const { id } = await say(one, roomID, text);
        await done(one, 'editMessage', { roomID, id, content: text });
      }
      await until('all of them', () => said(two, roomID).length === full.length);
      assert.deepEqual(said(two, roomID), full);
      const { id } = await say(one, roomID, 'x');
      for (const text of ['x'.repeat(16_385), `${'가'.repeat(5_461)}xx`, `${'🙂'.repeat(4_096)}x`, '가'.repeat(16_384), 'x'.repeat(500_000)]) {
        await denied(one, 'message', { roomID, content: text }, 'PAYLOAD_TOO_LARGE');
        await denied(one, 'editMessage', { roomID, id, content: text }, 'PAYLOAD_TOO_LARGE');
      }
      for (const text of [undefined, null, '', 7, true, {}, ['x'], 'a\u0000b', '\u0000']) {
        await denied(one, 'message', { roomID, content: text }, 'VALIDATION_ERROR');
        await denied(one, 'editMessage', { roomID, id, content: text }, 'VALIDATION_ERROR');
      }
      await settled(one, roomID, [two]);
      assert.deepEqual(heard(two, 'message').length, full.length + 1);
      assert.deepEqual(heard(two, 'messageEdited').length, full.length);
    });

    it('message with the clientId of one before is that one', async () => {
      const { members, roomID, sockets: [one, two] } = await meeting(server, 2, { namespace });
      const clientId = nonce();
      const first = await say(one, roomID, 'first', { clientId });
      const tab = await chatter(server, members[0], { namespace });
      for (const [socket, content] of [[one, 'first'], [one, 'another text'], [tab, 'first']]) {
        assert.deepEqual(await say(socket, roomID, content, { clientId }), first);
      }
      // Of somebody else, or in another room, it is another one.
      const { roomID: other } = await createRoom(server, members[0]);
      assert.notEqual((await say(two, roomID, 'of two', { clientId })).id, first.id);
      assert.notEqual((await say(one, other, 'elsewhere', { clientId })).id, first.id);
      const racing = nonce();
      const acks = await Promise.all(range(10).map((i) => say(i % 2 ? one : tab, roomID, 'raced', { clientId: racing })));
      for (const ack of acks) assert.deepEqual(ack, acks[0]);
      await settled(two, roomID, [one, two]);
      for (const socket of [one, two]) assert.deepEqual(said(socket, roomID), ['first', 'of two', 'raced']);
      const expected = { id: first.id, roomID, ...person(members[0]), content: 'first', createdAt: first.createdAt, clientId };
      for (const message of [heard(two, 'message')[0], (await load(two, roomID))[0]]) assert.deepEqual(message, expected);
      await say(one, roomID, 'the longest', { clientId: 'x'.repeat(64) });
      for (const wrong of ['', 'x'.repeat(65), 7, true, {}, ['x']]) {
        await denied(one, 'message', { roomID, content: 'x', clientId: wrong }, 'VALIDATION_ERROR');
      }
    });

    it('editMessage changes one\'s own, for all, and leaves it where it was', async () => {
      const { members, roomID, sockets: [one, two] } = await meeting(server, 2, { namespace });
      const { roomID: other } = await createRoom(server, members[0], 'Other', [members[1].user.id]);
      const { id, createdAt } = await say(one, roomID, 'first', { clientId: 'c' });
      const last = await say(two, roomID, 'last');
      const { editedAt, ...rest } = await done(one, 'editMessage', { roomID, id, content: '<b>고침</b>' });
      assert.deepEqual(rest, { success: true, id });
      assertTime(editedAt);
      assert.ok(editedAt >= createdAt);
      for (const socket of [one, two]) {
        await hears(socket, 'messageEdited');
        const expected = { id, roomID, ...person(members[0]), content: '<b>고침</b>', createdAt, clientId: 'c', editedAt };
        assert.deepEqual(heard(socket, 'messageEdited'), [expected]);
      }
      const [changed, after] = await load(two, roomID);
      assert.deepEqual(changed, heard(two, 'messageEdited')[0]);
      assert.deepEqual([after.id, after.editedAt], [last.id, undefined]);
      assert.ok((await done(one, 'editMessage', { roomID, id, content: 'again' })).editedAt >= editedAt);

      await denied(two, 'editMessage', { roomID, id, content: 'x' }, 'FORBIDDEN', 'only its author may change a message');
      for (const [where, which] of [[roomID, last.id + 1_000], [roomID, 0], [roomID, -1], [other, id]]) {
        await denied(one, 'editMessage', { roomID: where, id: which, content: 'x' }, 'NOT_FOUND', 'no such message');
      }
      for (const which of [undefined, null, 1.5, 'x', '', true, {}, [id]]) {
        await denied(one, 'editMessage', { roomID, id: which, content: 'x' }, 'VALIDATION_ERROR');
      }
      await settled(one, roomID, [two]);
      assert.deepEqual(contents(heard(two, 'messageEdited')), ['<b>고침</b>', 'again']);
    });

    it('loadMoreMessages_for_room turns the pages, back and forth', async () => {
      const { roomID, sockets: [one] } = await meeting(server, 1, { namespace });
      assert.deepEqual(await load(one, roomID), []);
      await Promise.all(range(120).map((i) => say(one, roomID, `${i}`)));
      const last = await load(one, roomID);
      assert.deepEqual(contents(last), range(50, 70).map(String));
      for (const more of [{ timestamp: null }, { oldmessage: null }, { oldmessage: { id: 1, content: 'x' } }, { oldmessage: 'text' }]) {
        assert.deepEqual(await load(one, roomID, more), last);
      }
      const middle = await load(one, roomID, { timestamp: last[0].createdAt });
      const first = await load(one, roomID, { timestamp: middle[0].createdAt });
      assert.deepEqual([contents(middle), contents(first)], [range(50, 20).map(String), range(20).map(String)]);
      assert.deepEqual(await load(one, roomID, { timestamp: first[0].createdAt }), []);
      const all = [...first, ...middle, ...last];
      assertRising(all);
      const forth = [];
      for (let timestamp = 0; ;) {
        const page = await load(one, roomID, { timestamp, type: 'new' });
        if (page.length === 0) break;
        assert.ok(page.length <= 50);
        forth.push(...page);
        timestamp = page.at(-1).createdAt;
      }
      assert.deepEqual(forth, all);
    });

    it('times come in three forms', async () => {
      const { roomID, sockets: [one] } = await meeting(server, 1, { namespace });
      for (const content of ['before', 'at', 'after']) await say(one, roomID, content);
      const { createdAt } = (await load(one, roomID))[1];
      const iso = new Date(createdAt).toISOString();
      const seoul = new Date(createdAt + 9 * 3_600_000).toISOString().replace('Z', '+09:00');
      for (const time of [createdAt, `${createdAt}`, iso, iso.replace('Z', '+00:00'), seoul]) {
        assert.deepEqual(contents(await load(one, roomID, { timestamp: time })), ['before'], `${time}`);
        assert.deepEqual(contents(await load(one, roomID, { timestamp: time, type: 'new' })), ['after'], `${time}`);
        assert.deepEqual(contents(await join(one, roomID, { createdAt: time })), ['after'], `${time}`);
        const [{ messages }] = await done(one, 'syncRooms', { rooms: [{ roomId: roomID, timestamp: time }] });
        assert.deepEqual(contents(messages), ['after'], `${time}`);
      }
      for (const time of [0, '0', '2020-01-01T00:00:00Z', '2020-01-01T09:00:00.000+09:00']) {
        assert.equal((await load(one, roomID, { timestamp: time, type: 'new' })).length, 3, `${time}`);
      }
      const joined = heard(one, 'previousMessages').length;
      for (const time of ['yesterday', 'NaN', '', '12:00', '2020-13-01T00:00:00Z', true, {}, [], [createdAt]]) {
        await denied(one, 'loadMoreMessages_for_room', { roomId: roomID, timestamp: time }, 'VALIDATION_ERROR');
        await denied(one, 'join', { roomID, createdAt: time }, 'VALIDATION_ERROR');
        await denied(one, 'syncRooms', { rooms: [{ roomId: roomID, timestamp: time }] }, 'VALIDATION_ERROR');
      }
      assert.equal(heard(one, 'previousMessages').length, joined);
      for (const time of [-1, 1e15, 1e300, -1e300, '99999999999999999999', '+275760-09-13T00:00:00Z']) {
        const answer = await ask(one, 'loadMoreMessages_for_room', { roomId: roomID, timestamp: time });
        assert.ok(Array.isArray(answer) || answer.error.code === 'VALIDATION_ERROR', `${time}: ${JSON.stringify(answer)}`);
      }
    });

    it('syncRooms gives of each room what came after a time, or the last of it', async () => {
      const { members, roomID: full, sockets: [one] } = await meeting(server, 2, { namespace });
      const rooms = [];
      for (const name of ['fifty', 'empty', 'few']) rooms.push((await createRoom(server, members[0], name)).roomID);
      const [fifty, empty, few] = rooms;
      const { roomID: foreign } = await createRoom(server, members[1]);
      await Promise.all(range(60).map((i) => say(one, full, `${i}`)));
      await Promise.all(range(50).map((i) => say(one, fifty, `${i}`)));
      for (const content of ['a', 'b', 'c']) await say(one, few, content);
      const [a] = await load(one, few);
      const [, second] = await load(one, full, { timestamp: 0, type: 'new' });

      const asked = [
        { roomId: few, timestamp: a.createdAt }, { roomId: foreign }, { roomId: full, timestamp: 0 },
        { roomId: 'nowhere', timestamp: 0 }, { roomId: empty }, { roomId: fifty, timestamp: 0 },
      ];
      const answer = await done(one, 'syncRooms', { platformId: 'windows', rooms: asked });
      assert.deepEqual(answer.map(({ roomId, messages, more }) => [roomId, contents(messages), more ?? false]), [
        [few, ['b', 'c'], false], [full, range(50).map(String), true], [empty, [], false], [fifty, range(50).map(String), false],
      ]);
      await hears(one, 'syncRoomsResponse');
      assert.deepEqual(heard(one, 'syncRoomsResponse'), [answer]);
      assert.deepEqual(answer[0].messages, await load(one, few, { timestamp: a.createdAt, type: 'new' }));

      const lasts = await done(one, 'syncRooms', { rooms: [{ roomId: fifty }, { roomId: full, timestamp: null }, { roomId: few }] });
      assert.deepEqual(lasts.map(({ messages, more }) => [contents(messages), more ?? false]), [
        [range(50).map(String), false], [range(50, 10).map(String), false], [['a', 'b', 'c'], false],
      ]);
      const [rest] = await done(one, 'syncRooms', { rooms: [{ roomId: full, timestamp: answer[1].messages.at(-1).createdAt }] });
      assert.deepEqual([contents(rest.messages), rest.more ?? false], [range(10, 50).map(String), false], 'asked again it misses nothing');
      const [fromSecond] = await done(one, 'syncRooms', { rooms: [{ roomId: full, timestamp: second.createdAt }] });
      assert.deepEqual([fromSecond.messages[0].content, fromSecond.messages.length, fromSecond.more], ['2', 50, true]);
      // It tells what was said; to hear what is said one joins.
      one.emit('leave', { roomID: full });
      await done(one, 'syncRooms', { rooms: [{ roomId: full }] });
      const before = said(one, full).length;
      await say(one, full, 'not heard');
      await done(one, 'syncRooms', { rooms: [] });
      assert.equal(said(one, full).length, before);
    });

    it('syncRooms takes 1,000 rooms and no more', async () => {
      const { roomID, sockets: [one] } = await meeting(server, 1, { namespace });
      await say(one, roomID, 'x');
      const rooms = range(999).map((i) => ({ roomId: `00000000-0000-4000-8000-${`${i}`.padStart(12, '0')}`, timestamp: new Date().toISOString() }));
      const [only, ...none] = await done(one, 'syncRooms', { platformId: null, rooms: [...rooms, { roomId: roomID }] });
      assert.deepEqual([only.roomId, contents(only.messages), none], [roomID, ['x'], []]);
      await denied(one, 'syncRooms', { rooms: [...rooms, { roomId: roomID }, { roomId: 'one more' }] }, 'VALIDATION_ERROR');
      for (const wrong of [undefined, null, {}, 'x', 7, [null], ['x'], [{}], [{ roomId: null }], [{ roomId: {} }], [[roomID]]]) {
        await denied(one, 'syncRooms', { rooms: wrong }, 'VALIDATION_ERROR');
      }
    });

    it('leave ends it for this socket, and keeps the place', async () => {
      const { members, roomID, sockets: [one, two] } = await meeting(server, 2, { namespace });
      const tab = await chatter(server, members[1], { namespace });
      await join(tab, roomID);
      const { id, createdAt } = await say(one, roomID, 'before');
      await Promise.all([two, tab].map((socket) => hears(socket, 'message')));
      assert.deepEqual(await done(two, 'leave', { username: members[1].user.username, roomID }), { success: true, roomID });
      await say(one, roomID, 'while it is away');
      await done(one, 'editMessage', { roomID, id, content: 'changed meanwhile' });
      await settled(one, roomID, [one, tab]);
      assert.deepEqual(said(tab, roomID), ['before', 'while it is away'], 'the other tab hears it');
      await say(two, roomID, 'it still takes part');
      await done(two, 'leave', { roomID });
      await done(one, 'leave', { username: members[1].user.username, roomID });
      await ask(two, 'syncRooms', { rooms: [] });
      assert.deepEqual([said(two, roomID), heard(two, 'messageEdited')], [['before'], []]);
      assert.equal((await http(server, 'GET', '/api/chat/rooms', { as: members[1] })).data.length, 1);
      assert.deepEqual(contents(await join(two, roomID, { createdAt })).slice(0, 1), ['while it is away']);
      await say(tab, roomID, 'live again');
      await until('it', () => said(two, roomID).includes('live again'));
    });

    it('deleteroom of its owner takes the room away from all', async () => {
      const { members, roomID, sockets } = await meeting(server, 3, { namespace });
      const tab = await chatter(server, members[0]);
      await join(tab, roomID);
      const { id } = await say(sockets[0], roomID, 'x');
      assert.deepEqual(await done(sockets[0], 'deleteroom', { roomID }), { success: true, roomID, deleted: true });
      for (const socket of [...sockets, tab]) {
        await hears(socket, 'roomDeleted');
        assert.deepEqual(heard(socket, 'roomDeleted'), [{ roomID }]);
      }
      for (const [i, socket] of sockets.entries()) {
        await outside(socket, roomID);
        await denied(socket, 'editMessage', { roomID, id, content: 'x' }, ...OUTSIDER);
        assert.deepEqual((await http(server, 'GET', '/api/chat/rooms', { as: members[i] })).data, []);
      }
    });

    it('deleteroom of another is leaving for good, with all sockets', async () => {
      const { members, roomID, sockets: [owner, leaver, other] } = await meeting(server, 3, { namespace });
      const tab = await chatter(server, members[1]);
      await join(tab, roomID);
      await settled(owner, roomID, [owner, leaver, other, tab]);
      const updates = heard(other, 'roomUpdate').length;
      const staying = sorted({ participants: [members[0], members[2]].map(person) }).participants;
      assert.deepEqual(await done(leaver, 'deleteroom', { roomID }), { success: true, roomID, deleted: false });
      for (const socket of [owner, other]) {
        await until('the news', () => heard(socket, 'roomUpdate').at(-1).participants.length === 2);
        const update = sorted(heard(socket, 'roomUpdate').at(-1));
        assert.deepEqual([update.participants, update.ownerId], [staying, members[0].user.id]);
      }
      assert.equal(heard(other, 'roomUpdate').length, updates + 1);
      const { id } = await say(owner, roomID, 'among us');
      await done(owner, 'editMessage', { roomID, id, content: 'still among us' });
      await settled(owner, roomID, [owner, other]);
      for (const socket of [leaver, tab]) {
        await outside(socket, roomID);
        assert.deepEqual([said(socket, roomID), heard(socket, 'messageEdited'), heard(socket, 'roomDeleted')], [[], [], [{ roomID }]]);
      }
      assert.deepEqual((await http(server, 'GET', '/api/chat/rooms', { as: members[1] })).data, []);
      assert.deepEqual(sorted((await http(server, 'GET', '/api/chat/rooms', { as: members[2] })).data[0]).participants, staying);
    });

    it('is for participants, and nobody learns whether there is such a room', async () => {
      const { members, roomID, sockets: [owner] } = await meeting(server, 1, { namespace });
      const { id } = await say(owner, roomID, 'among us');
      const stranger = await chatter(server, await account(server), { namespace });
      const told = async (where) => {
        await outside(stranger, where);
        await denied(stranger, 'editMessage', { roomID: where, id, content: 'x' }, ...OUTSIDER);
        await denied(stranger, 'loadMoreMessages_for_room', { roomId: where, timestamp: 0, type: 'new' }, ...OUTSIDER);
        const { success, error } = await ask(stranger, 'leave', { username: members[0].user.username, roomID: where });
        return [success, error?.code, error?.message];
      };
      const answers = [];
      for (const where of [roomID, 'nowhere', roomID.slice(1), `${roomID} `, "' OR 1=1 --"]) answers.push(await told(where));
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      await settled(owner, roomID, [owner]);
      assert.deepEqual(said(owner, roomID), ['among us']);
      assert.deepEqual(heard(stranger, 'message'), []);
    });

    it('wrong payloads are refused, and the socket goes on', async () => {
      const { members, roomID, sockets: [one] } = await meeting(server, 1, { namespace });
      for (const [event, payload] of everyEvent(roomID)) {
        const key = { syncRooms: 'rooms', loadMoreMessages_for_room: 'roomId' }[event] ?? 'roomID';
        for (const wrong of [null, true, {}, [{}]]) await denied(one, event, { ...payload, [key]: wrong }, 'VALIDATION_ERROR');
        // What names no room on / is not for chat where signaling has an event of the same name.
        if (namespace === '/chat') await denied(one, event, { ...payload, [key]: undefined }, 'VALIDATION_ERROR');
        for (const wrong of [null, 'text', 7, true, [], [payload]]) await denied(one, event, wrong, 'VALIDATION_ERROR');
        await denied(one, event, { ...payload, more: 'x'.repeat(600_000) }, 'PAYLOAD_TOO_LARGE');
      }
      one.heard = [];
      await say(one, roomID, 'who says so is not a matter of belief', { userId: 7, username: 'forged', from: 'x', createdAt: 1, id: 1 });
      await hears(one, 'message');
      const [{ userId, username, createdAt }] = heard(one, 'message');
      assert.deepEqual({ userId, username }, person(members[0]));
      assertTime(createdAt);
      const [error] = await Promise.all([once(one, 'error'), one.emit('message', { roomID: 'nowhere', content: 'x' })]);
      assert.deepEqual([error.success, error.code, error.message], [false, ...OUTSIDER]);
      assert.equal(errorOf(error).code, 'FORBIDDEN');
      one.emit('message', { roomID, content: 'no acknowledgement was asked for' });
      await until('it', () => said(one, roomID).length === 2);
      assert.equal(heard(one, 'error').length, 1);
    });
  });
}

describe('a room', () => {
  let server;
  before(async () => {
    server = await start();
  });

  it('has one order, which ten who write at once hear, and which is kept', async () => {
    const members = await accounts(server, 5);
    const { roomID } = await createRoom(server, members[0], 'Order', members.map(({ user }) => user.id));
    // Each of five with two sockets, one of them on /.
    const options = (i) => ({ namespace: NAMESPACES[i % 2], transports: [i === 9 ? 'polling' : 'websocket'] });
    const sockets = await Promise.all([...members, ...members].map((who, i) => chatter(server, who, options(i))));
    for (const socket of sockets) await join(socket, roomID);
    const acks = (await Promise.all(sockets.map((socket, i) => Promise.all(range(20).map((n) => say(socket, roomID, `${i}/${n}`)))))).flat();
    for (const socket of sockets) await until('all of it', () => heard(socket, 'message').length >= 200);
    const kept = await history(sockets[0], roomID);
    assertRising(kept);
    assert.equal(kept.length, 200);
    for (const socket of sockets) assert.deepEqual(heard(socket, 'message'), kept);
    for (const i of range(10)) {
      const own = contents(kept).filter((content) => content.startsWith(`${i}/`));
      assert.deepEqual(own, range(20).map((n) => `${i}/${n}`), 'what one socket says keeps its order');
    }
    assert.deepEqual(acks.map(({ id, createdAt }) => `${id} ${createdAt}`).sort(), kept.map(({ id, createdAt }) => `${id} ${createdAt}`).sort());
  });

  it('gives whoever comes back all that was missed, 450 messages too', async () => {
    const { members, roomID, sockets: [writer, reader] } = await meeting(server, 2);
    await say(writer, roomID, 'seen');
    await hears(reader, 'message');
    const { createdAt } = heard(reader, 'message')[0];
    reader.close();
    await Promise.all(range(450).map((i) => say(writer, roomID, `${i}`)));
    const back = await chatter(server, members[1]);
    await join(back, roomID, { createdAt, lastmessage: 'seen' });
    await until('all of it', () => heard(back, 'previousMessages').flat().length >= 450);
    await settled(writer, roomID, [back]);
    const parts = heard(back, 'previousMessages');
    assert.deepEqual(contents(parts.flat()), range(450).map(String));
    assert.ok(parts.length >= 3 && parts.every((part) => part.length <= 200), parts.map((part) => part.length).join(', '));
    assert.deepEqual(said(back, roomID), [], 'once each');
    assert.deepEqual(parts.flat(), (await history(back, roomID)).slice(1, 451));
  });

  it('gives whoever comes back long messages too', async () => {
    const { members, roomID, sockets: [writer] } = await meeting(server, 2);
    const long = (i) => `${i}`.padEnd(16_384, 'x');
    await Promise.all(range(150).map((i) => say(writer, roomID, long(i))));
    for (const transports of [['websocket'], ['polling']]) {
      const reader = await chatter(server, members[1], { transports });
      await join(reader, roomID, { createdAt: 0 });
      await until('all of it', () => heard(reader, 'previousMessages').flat().length >= 150);
      assert.deepEqual(contents(heard(reader, 'previousMessages').flat()), range(150).map(long));
    }
  });

  it('is not heard by whoever joins while another socket of the same user leaves it for good', async () => {
    const [owner, leaver] = await accounts(server, 2);
    const speaker = await chatter(server, owner);
    for (const i of range(10)) {
      const { roomID } = await createRoom(server, owner, 'Leaving', [leaver.user.id]);
      await join(speaker, roomID);
      const [joining, leaving] = await Promise.all([chatter(server, leaver), chatter(server, leaver)]);
      const [, left] = await Promise.all([ask(joining, 'join', { roomID }), ask(leaving, 'deleteroom', { roomID })]);
      assert.deepEqual(left, { success: true, roomID, deleted: false });
      await say(speaker, roomID, 'among us');
      await settled(speaker, roomID, [speaker]);
      await done(joining, 'syncRooms', { rooms: [] });
      assert.deepEqual(said(joining, roomID), [], `round ${i}`);
    }
  });

  it('gives whoever joins while others write everything once, in order', async () => {
    const { members, roomID, sockets: [writer] } = await meeting(server, 2);
    const { createdAt } = await say(writer, roomID, 'start');
    const writing = Promise.all(range(300).map((i) => say(writer, roomID, `${i}`)));
    const readers = [];
    for (let i = 0; i < 6; i += 1) {
      const reader = await chatter(server, members[1], { namespace: NAMESPACES[i % 2], transports: [i % 3 === 0 ? 'polling' : 'websocket'] });
      await join(reader, roomID, { createdAt });
      readers.push(reader);
    }
    await writing;
    await settled(writer, roomID, readers);
    for (const reader of readers) {
      const all = reader.heard.flatMap(({ event, data }) => ({ previousMessages: data, message: [data] })[event] ?? []);
      assert.deepEqual(contents(all), range(300).map(String));
    }
  });

  it('serves clients that know nothing of times: they join again and have the last of it', async () => {
    const { members, roomID, sockets: [writer] } = await meeting(server, 2);
    const reader = await chatter(server, members[1], { reconnection: true, reconnectionDelay: 50 });
    reader.on('connect', () => reader.emit('join', { roomID }));
    await join(reader, roomID);
    for (const i of range(3)) await say(writer, roomID, `${i}`);
    await until('it', () => said(reader, roomID).length === 3);
    reader.io.engine.close();
    await until('the loss', () => !reader.connected);
    await say(writer, roomID, 'missed');
    await until('it', () => contents(heard(reader, 'previousMessages').at(-1)).includes('missed'));
    assert.deepEqual(contents(heard(reader, 'previousMessages').at(-1)), ['0', '1', '2', 'missed']);
    await say(writer, roomID, 'live');
    await settled(writer, roomID, [reader]);
    assert.deepEqual(said(reader, roomID), ['0', '1', '2', 'live']);
  });

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    it(`is the same over every transport, ${name}`, async () => {
      const { members, roomID, sockets: [one, two] } = await meeting(server, 2, { transports });
      const { id, createdAt } = await say(one, roomID, '첫 번째');
      await say(two, roomID, 'second');
      await done(one, 'editMessage', { roomID, id, content: 'x'.repeat(16_384) });
      for (const socket of [one, two]) {
        await hears(socket, 'messageEdited');
        assert.deepEqual(said(socket, roomID), ['첫 번째', 'second']);
      }
      assert.deepEqual(contents(await load(two, roomID, { timestamp: createdAt, type: 'new' })), ['second']);
      assert.equal((await done(two, 'syncRooms', { rooms: [{ roomId: roomID }] }))[0].messages.length, 2);
      assert.deepEqual(await done(two, 'leave', { username: members[1].user.username, roomID }), { success: true, roomID });
      assert.equal((await done(one, 'deleteroom', { roomID })).deleted, true);
      await hears(one, 'roomDeleted');
    });
  }

  it('of chat and a room of signaling are told apart on / by their keys', async () => {
    const members = await accounts(server, 2);
    const { roomID } = await createRoom(server, members[0], 'Both', [members[1].user.id]);
    const [one, two] = await Promise.all(members.map((who) => chatter(server, who, { namespace: '/' })));
    const roomId = fresh('signaling');
    for (const socket of [one, two]) {
      assert.equal((await done(socket, 'join', { roomId })).roomId, roomId);
      await join(socket, roomID);
      await hears(socket, 'existing-peers');
    }
    assert.deepEqual(await ask(one, 'message', { type: 'offer', to: two.id, roomId, data: { sdp: 'v=0' } }), { delivered: true });
    await say(one, roomID, 'chat', { type: 'offer', to: two.id, roomId, data: { sdp: 'v=0' } });
    await say(one, roomID, 'chat too', { roomId });
    await hears(two, 'message', 2);
    assert.deepEqual([said(two, roomID), heard(two, 'offer')], [['chat', 'chat too'], [{ from: one.id, offer: { sdp: 'v=0' } }]]);
    await denied(one, 'message', { roomID: roomId, content: 'x' }, ...OUTSIDER);
    await denied(one, 'join', { roomID: roomId, roomId }, ...OUTSIDER);

    assert.deepEqual(await done(two, 'leave', { roomID, roomId }), { success: true, roomID });
    assert.deepEqual(heard(one, 'peer-left'), [], 'it has left the one');
    assert.deepEqual(await ask(one, 'offer', { to: two.id, offer: { sdp: 'v=0' } }), { delivered: true });
    await join(two, roomID);
    await ask(two, 'leave', { roomId });
    await hears(one, 'peer-left');
    await say(one, roomID, 'and now the other');
    await until('it', () => said(two, roomID).includes('and now the other'));
    assert.deepEqual(await ask(two, 'message', { type: 'join', roomId, data: {} }), await ask(two, 'join', { roomId }));
  });

  it('speaks Korean where that is the language', async () => {
    const korean = await start({ MESSAGE_LANGUAGE: 'ko', VISION_APP_INFO: 'VisionChat' });
    const { members, roomID, sockets: [one, two] } = await meeting(korean, 2);
    const { id } = await say(one, roomID, '안녕하세요');
    await denied(two, 'join', { roomID: 'nowhere' }, 'FORBIDDEN', '참여자만 할 수 있습니다');
    await denied(two, 'editMessage', { roomID, id, content: 'x' }, 'FORBIDDEN', '작성자만 수정할 수 있습니다');
    await denied(two, 'editMessage', { roomID, id: id + 1, content: 'x' }, 'NOT_FOUND', '존재하지 않는 메시지입니다');
    const plain = await connected(open(korean, members[0].user.id, { namespace: '/', auth: { token: members[0].accessToken } }));
    await denied(plain, 'join', { roomID }, 'FORBIDDEN', '허용되지 않은 애플리케이션입니다');
  });

  for (const [MESSAGE_LANGUAGE, message] of [['en', 'the messages could not be loaded'], ['ko', '메시지를 불러오지 못했습니다']]) {
    it(`says so where the database is away, ${MESSAGE_LANGUAGE}`, async () => {
      const away = await start({ ...NO_STORE, MESSAGE_LANGUAGE });
      const who = { accessToken: token('kim'), refreshToken: 'f'.repeat(64), user: { id: 'kim', username: 'kim' } };
      for (const namespace of NAMESPACES) {
        const socket = await chatter(away, who, { namespace });
        await denied(socket, 'loadMoreMessages_for_room', { roomId: 'room' }, 'UNAVAILABLE', message);
        for (const [event, payload] of everyEvent('room').filter(([name]) => name !== 'leave')) await denied(socket, event, payload, 'UNAVAILABLE');
        await denied(socket, 'refreshToken', undefined, 'UNAVAILABLE');
        assert.equal(socket.connected, true);
      }
      for (const [method, more] of Object.entries(ROOM_REQUESTS)) {
        const { status, data } = await http(away, method, '/api/chat/rooms', { as: who, ...more });
        assert.deepEqual([status, data.success, data.error.code], [503, false, 'UNAVAILABLE'], method);
      }
    });
  }

  it('is counted: messages that are new, sent again and edited', async () => {
    const counting = await start();
    const { roomID, sockets: [one] } = await meeting(counting, 1);
    const count = async (outcome) => (await counting.metrics())[`signalbox_chat_messages_total{outcome="${outcome}"}`];
    for (const outcome of ['new', 'again', 'edited']) assert.equal(await count(outcome), 0);
    const { id } = await say(one, roomID, 'x', { clientId: 'a' });
    for (const clientId of ['a', 'a', 'b']) await say(one, roomID, 'x', { clientId });
    await done(one, 'editMessage', { roomID, id, content: 'y' });
    await denied(one, 'message', { roomID: 'nowhere', content: 'x' }, ...OUTSIDER);
    await denied(one, 'editMessage', { roomID, id: id + 1_000, content: 'x' }, 'NOT_FOUND');
    await until('them to be counted', async () => (await count('edited')) >= 1);
    assert.deepEqual([await count('new'), await count('again'), await count('edited')], [2, 2, 1]);
  });
});
