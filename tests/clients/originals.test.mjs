// The client code of the two original signaling documents: what it sends is as it stands there, only addresses differ.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { UNLIMITED, errorOf, once, startServer, token, until } from './server.mjs';

const sockets = [];
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));

/** Connected, or not: then with the server's reason at once. */
async function connected(socket) {
  sockets.push(socket);
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return socket;
}

/** What the server said instead of letting it in. */
async function refusal(socket) {
  sockets.push(socket);
  return (await once(socket, 'connect_error')).message;
}

const tell = (socket, event, payload) => new Promise((resolve) => socket.emit(event, payload, resolve));

for (const [name, settings, connect, known] of [
  ['with tokens', {}, (url, user) => io(url, { forceNew: true, auth: { token: token('not this one', { userId: user }) } }), (user) => new RegExp(`^${user}$`)],
  ['without any token', { SIGNALING_AUTH: 'optional' }, (url) => io(url, { forceNew: true }), () => /^guest-./],
]) {
  describe(`the signaling server's README, ${name}`, () => {
    let server;
    before(async () => {
      server = await startServer({ ...UNLIMITED, ...settings });
    });
    after(() => server.stop());

    const open = (user) => connected(connect(server.url, user));

    /** Joins as the README does; returns who was there before. */
    async function join(socket, roomId, userId) {
      const existing = once(socket, 'existing-peers');
      socket.emit('join', { roomId, userId });
      return existing;
    }

    it('a newcomer is announced and hears who is there', async () => {
      const first = await open('user1');
      assert.deepEqual(await join(first, 'room123', 'user1'), []);
      const second = await open('user2');
      const announced = once(first, 'peer-joined');
      const existing = await join(second, 'room123', 'user2');
      assert.deepEqual(existing.map(({ peerId, socketId }) => [peerId, socketId]), [[first.id, first.id]]);
      assert.match(existing[0].userId, known('user1'));
      const { peerId, userId } = await announced;
      assert.equal(peerId, second.id);
      assert.match(userId, known('user2'));
      assert.notEqual(userId, existing[0].userId);
    });

    it('the user that a payload names is not believed', async () => {
      const [first, second] = [await open('user1'), await open('user2')];
      await join(first, 'forgers', 'user2');
      const announced = once(first, 'peer-joined');
      const [existing] = await join(second, 'forgers', 'user1');
      assert.match(existing.userId, known('user1'));
      assert.match((await announced).userId, known('user2'));
    });

    it('offer, answer and candidates reach the peer that they are for', async () => {
      const [caller, callee, third] = [await open('user1'), await open('user2'), await open('user3')];
      for (const [socket, user] of [[caller, 'user1'], [callee, 'user2'], [third, 'user3']]) await join(socket, 'calls', user);
      const overheard = [];
      for (const event of ['offer', 'answer', 'ice-candidate']) third.on(event, (data) => overheard.push(data));
      const sdpOffer = { type: 'offer', sdp: 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n' };
      const sdpAnswer = { type: 'answer', sdp: 'v=0\r\no=- 3 2 IN IP4 127.0.0.1\r\n' };
      const iceCandidate = { candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'abcd' };

      for (const [from, to, event, field, signal] of [
        [caller, callee, 'offer', 'offer', sdpOffer],
        [callee, caller, 'answer', 'answer', sdpAnswer],
        [caller, callee, 'ice-candidate', 'candidate', iceCandidate],
        [callee, caller, 'ice-candidate', 'candidate', iceCandidate],
      ]) {
        // As in its examples, and as in its message types, which name the type as well.
        for (const type of [{}, { type: event }]) {
          const arriving = once(to, event);
          from.emit(event, { ...type, to: to.id, from: from.id, [field]: signal });
          assert.deepEqual(await arriving, { from: from.id, [field]: signal });
        }
        const arriving = once(to, event);
        from.emit(event, { to: to.id, from: third.id, [field]: signal });
        assert.equal((await arriving).from, from.id, 'nobody speaks for another');
      }
      // Whatever the third could have heard came before this.
      const last = once(third, 'offer');
      caller.emit('offer', { to: third.id, from: caller.id, offer: sdpOffer });
      await last;
      assert.equal(overheard.length, 1);
    });

    it('a disconnected peer is gone for the others', async () => {
      const [stays, goes] = [await open('user1'), await open('user2')];
      await join(stays, 'leaving', 'user1');
      await join(goes, 'leaving', 'user2');
      const left = once(stays, 'peer-left');
      const { id } = goes;
      goes.disconnect();
      assert.deepEqual(await left, { peerId: id });
      const next = await open('user3');
      assert.deepEqual((await join(next, 'leaving', 'user3')).map(({ peerId }) => peerId), [stays.id]);
    });
  });
}

describe('the production guide', () => {
  let server;
  before(async () => {
    server = await startServer({ ...UNLIMITED, MESSAGE_LANGUAGE: 'ko' });
  });
  after(() => server.stop());

  /** Its page: log in, connect with the stored token, deal with refusals. */
  function page() {
    const stored = new Map();
    const localStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, String(value)) };
    const window = { location: { href: '/' } };
    return {
      localStorage,
      window,
      async login(email, password) {
        const response = await fetch(`${server.url}/api/auth/login`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ email, password }),
        });
        const data = await response.json();
        localStorage.setItem('token', data.token);
        return data;
      },
      connect() {
        const token = localStorage.getItem('token');
        const socket = io(server.url, { forceNew: true, auth: { token } });
        socket.on('connect_error', (error) => {
          if (error.message === '인증 실패') window.location.href = '/login';
        });
        return socket;
      },
    };
  }

  /** A page that has logged in somewhere else: the guide's main server signs with the same secret. */
  async function user(userId, username) {
    const its = page();
    its.localStorage.setItem('token', token('not this one', { userId, username, email: `${userId}@example.com`, role: 'user' }));
    return connected(its.connect());
  }

  async function register(username, email, password) {
    const response = await fetch(`${server.url}/api/auth/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, email, password }),
    });
    return { status: response.status, data: await response.json() };
  }

  /** What register and login say. */
  function assertLogin(data, username, email) {
    assert.equal(data.token, data.accessToken);
    assert.equal(data.token.split('.').length, 3);
    assert.equal(typeof data.refreshToken, 'string');
    assert.ok(data.expiresIn > 0);
    assert.deepEqual(Object.keys(data.user).filter((key) => key !== 'lastLogin').sort(), ['createdAt', 'email', 'id', 'username']);
    assert.deepEqual([data.user.username, data.user.email], [username, email]);
    assert.ok(Math.abs(Date.now() - new Date(data.user.createdAt)) < 60_000);
  }

  it('sends whoever has a bad token to the login page', async () => {
    for (const bad of ['undefined', 'not a token', token('user').replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A')), token('user', { exp: 1 })]) {
      const its = page();
      its.localStorage.setItem('token', bad);
      assert.equal(await refusal(its.connect()), '인증 실패');
      assert.equal(its.window.location.href, '/login');
    }
  });

  it('says so when there is no token', async () => {
    const its = page();
    assert.equal(await refusal(its.connect()), '인증 토큰이 없습니다');
    assert.equal(its.window.location.href, '/');
    assert.equal(await refusal(io(server.url, { forceNew: true })), '인증 토큰이 없습니다');
    assert.equal(await refusal(io(server.url, { forceNew: true, auth: { token: '' } })), '인증 토큰이 없습니다');
  });

  it('a browser on another site may ask for the login', async () => {
    const asked = { origin: 'http://localhost:5173', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
    const { ok, headers } = await fetch(`${server.url}/api/auth/login`, { method: 'OPTIONS', headers: asked });
    assert.ok(ok);
    assert.ok(['*', 'http://localhost:5173'].includes(headers.get('access-control-allow-origin')));
    assert.match(headers.get('access-control-allow-methods'), /POST|\*/);
    assert.match(headers.get('access-control-allow-headers'), /content-type|\*/i);
  });

  it('a room is created, joined, and full in the end', async () => {
    const owner = await user(1, '홍길동');
    assert.deepEqual(await tell(owner, 'create-room', { roomId: 'room-123', name: '회의실', maxUsers: 2 }), { success: true, roomId: 'room-123' });
    const guest = await user(2, '김철수');
    const announced = once(owner, 'user-joined');
    assert.deepEqual(await tell(guest, 'join-room', 'room-123'), { success: true, roomId: 'room-123', existingUsers: [owner.id] });
    const { userId, username, ...rest } = await announced;
    assert.deepEqual([String(userId), username, rest], ['2', '김철수', {}]);
    const late = await user(3, '이영희');
    assert.deepEqual(errorOf(await tell(late, 'join-room', 'room-123')), { code: 'ROOM_FULL', message: '방이 꽉 찼습니다 (최대 2명)' });

    // Whoever leaves makes room.
    const left = once(owner, 'peer-left');
    guest.disconnect();
    await left;
    assert.deepEqual(await tell(late, 'join-room', 'room-123'), { success: true, roomId: 'room-123', existingUsers: [owner.id] });
  });

  it('a bare room id makes a room, with or without a callback', async () => {
    const [owner, guest] = [await user(4, '박민수'), await user(5, '최지우')];
    assert.deepEqual(await tell(owner, 'create-room', 'bare-room'), { success: true, roomId: 'bare-room' });
    assert.deepEqual(await tell(guest, 'join-room', 'bare-room'), { success: true, roomId: 'bare-room', existingUsers: [owner.id] });
    owner.emit('create-room', 'silent-room');
    await until('the room', async () => (await tell(guest, 'join-room', 'silent-room')).success);
  });

  it('a room that is not there is not found', async () => {
    const lost = await user(6, '정수빈');
    assert.deepEqual(errorOf(await tell(lost, 'join-room', 'no-such-room')), { code: 'NOT_FOUND', message: '존재하지 않는 방입니다' });
  });

  it('its attack scenarios fail: random numbers are no rooms, and rooms are made five a minute', async () => {
    const attacker = await user(7, '공격자');
    assert.deepEqual(errorOf(await tell(attacker, 'create-room', Math.random())), { code: 'VALIDATION_ERROR', message: '유효하지 않은 방 ID' });
    const answers = [];
    for (let i = 0; i < 6; i += 1) answers.push(await tell(attacker, 'create-room', `malicious-room-${i}`));
    assert.deepEqual(answers.map(({ success }) => success), [true, true, true, true, true, false]);
    assert.deepEqual(errorOf(answers[5]), { code: 'RATE_LIMIT', message: '방 생성 요청이 너무 많습니다. 잠시 후 다시 시도하세요.' });
  });

  it('whoever logs in gets in with the token of the login', async () => {
    const [username, email, password] = ['홍길동', 'hong@example.com', 'correct horse battery staple'];
    const registered = await register(username, email, password);
    assert.equal(registered.status, 201);
    assertLogin(registered.data, username, email);
    const its = page();
    const data = await its.login(email, password);
    assertLogin(data, username, email);
    assert.equal(data.user.id, registered.data.user.id);
    assert.equal(its.localStorage.getItem('token'), data.token);

    const socket = await connected(its.connect());
    assert.deepEqual(await tell(socket, 'create-room', { roomId: 'accounts', name: '회의실', maxUsers: 10 }), { success: true, roomId: 'accounts' });
    const other = page();
    const { user: second } = (await register('김철수', 'kim@example.com', password)).data;
    await other.login('kim@example.com', password);
    const announced = once(socket, 'user-joined');
    const guest = await connected(other.connect());
    assert.deepEqual(await tell(guest, 'join-room', 'accounts'), { success: true, roomId: 'accounts', existingUsers: [socket.id] });
    const { userId, username: name } = await announced;
    assert.deepEqual([String(userId), name], [String(second.id), '김철수']);
  });

  it('whoever gives a wrong password does not', async () => {
    await register('이영희', 'lee@example.com', 'correct horse battery staple');
    for (const [email, password] of [['lee@example.com', 'wrong horse battery staple'], ['nobody@example.com', 'correct horse battery staple']]) {
      const its = page();
      const data = await its.login(email, password);
      assert.equal(data.success, false);
      assert.deepEqual(data.error, { code: 'AUTH_ERROR', message: '이메일 또는 비밀번호가 올바르지 않습니다' });
      // The page stores what it got, and is sent back to the login when it connects.
      assert.equal(await refusal(its.connect()), '인증 실패');
      assert.equal(its.window.location.href, '/login');
    }
  });
});
