// WebRTC signaling with the official client, over every transport.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TRANSPORTS, UNLIMITED, client, errorOf, once, startServer, token, until } from './server.mjs';

const user = (url, name, options) => client(url, name, undefined, { auth: { token: token(name, { username: `Name of ${name}` }) }, ...options });

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(name, () => {
    let server;
    before(async () => {
      server = await startServer(UNLIMITED);
    });
    after(() => server.stop());

    it('brings two peers together: join, offer, answer, candidates, leave', async () => {
      const first = user(server.url, 'first', { transports });
      const alone = once(first, 'existing-peers');
      first.emit('join', { roomId: 'room-1', userId: 'forged' });
      assert.deepEqual(await alone, []);
      const second = user(server.url, 'second', { transports });
      const coming = once(first, 'peer-joined');
      const existing = once(second, 'existing-peers');
      second.emit('join', { roomId: 'room-1' });
      assert.deepEqual(await existing, [{ peerId: first.id, socketId: first.id, userId: 'first', username: 'Name of first' }]);
      assert.deepEqual(await coming, { peerId: second.id, userId: 'second' });

      // An offer right before its candidates: they arrive in that order.
      const heard = [];
      for (const event of ['offer', 'ice-candidate', 'answer']) first.on(event, (data) => heard.push([event, data]));
      second.emit('offer', { to: first.id, from: 'forged', offer: { type: 'offer', sdp: 'v=0' } });
      for (let i = 0; i < 20; i += 1) second.emit('ice-candidate', { to: first.id, candidate: { candidate: `c${i}` } });
      const answered = once(second, 'answer');
      assert.deepEqual(await first.emitWithAck('answer', { to: second.id, answer: { type: 'answer', sdp: 'v=0' } }), { delivered: true });
      assert.deepEqual(await answered, { from: first.id, answer: { type: 'answer', sdp: 'v=0' } });
      await until('all signals', () => heard.length >= 21);
      assert.deepEqual(heard[0], ['offer', { from: second.id, offer: { type: 'offer', sdp: 'v=0' } }]);
      assert.deepEqual(heard.slice(1).map(([event, { candidate }]) => `${event} ${candidate.candidate}`), Array.from({ length: 20 }, (_, i) => `ice-candidate c${i}`));

      const leaving = once(first, 'peer-left');
      const id = second.id;
      second.emit('leave', { roomId: 'room-1' });
      assert.deepEqual(await leaving, { peerId: id });
      const gone = await first.emitWithAck('offer', { to: id, offer: {} });
      assert.equal(gone.error.code, 'NOT_FOUND');
      [first, second].forEach((s) => s.close());
    });

    it('takes the envelope form of the same five', async () => {
      const [a, b] = [user(server.url, 'a', { transports }), user(server.url, 'b', { transports })];
      await a.emitWithAck('message', { type: 'join', roomId: 'envelope', from: '' });
      const joined = once(a, 'peer-joined');
      await b.emitWithAck('message', { type: 'join', roomId: 'envelope', from: '' });
      await joined;
      const arriving = once(a, 'ice-candidate');
      b.emit('message', { type: 'ice-candidate', from: 'forged', to: a.id, roomId: 'envelope', data: { candidate: 'x' } });
      assert.deepEqual(await arriving, { from: b.id, candidate: { candidate: 'x' } });
      const leaving = once(a, 'peer-left');
      b.emit('message', { type: 'leave', roomId: 'envelope' });
      assert.deepEqual(await leaving, { peerId: b.id });
      [a, b].forEach((s) => s.close());
    });
  });
}

describe('rooms', () => {
  let server;
  before(async () => {
    server = await startServer({ ...UNLIMITED, CREATE_ROOM_PER_MIN: '1000' });
  });
  after(() => server.stop());

  it('create-room puts its creator in, join-room finds it, and nobody relays into another room', async () => {
    const owner = user(server.url, 'owner');
    assert.deepEqual(await owner.emitWithAck('create-room', { roomId: 'made', name: 'Made <b>here</b>', maxUsers: 2 }), { success: true, roomId: 'made' });
    assert.equal((await owner.emitWithAck('create-room', 'made')).error.code, 'CONFLICT');
    const guest = user(server.url, 'guest');
    const both = Promise.all([once(owner, 'user-joined'), once(owner, 'peer-joined')]);
    assert.deepEqual(await guest.emitWithAck('join-room', 'made'), { success: true, roomId: 'made', existingUsers: [owner.id] });
    assert.deepEqual(await both, [{ userId: 'guest', username: 'Name of guest' }, { peerId: guest.id, userId: 'guest' }]);
    const again = await guest.emitWithAck('join-room', { roomId: 'made' });
    assert.deepEqual(again.existingUsers, [owner.id], 'joining twice is harmless');

    const late = user(server.url, 'late');
    const full = await late.emitWithAck('join-room', 'made');
    assert.deepEqual(errorOf(full), { code: 'ROOM_FULL', message: 'the room is full (at most 2)' });
    assert.equal((await late.emitWithAck('join-room', 'nowhere')).error.code, 'NOT_FOUND');
    await late.emitWithAck('join', { roomId: 'elsewhere' });
    for (const to of [owner.id, late.id]) {
      assert.equal((await late.emitWithAck('offer', { to, offer: {} })).error.code, 'FORBIDDEN');
    }
    assert.equal((await late.emitWithAck('offer', { to: 'made', offer: {} })).error.code, 'VALIDATION_ERROR', 'a room is no target');
    [owner, guest, late].forEach((s) => s.close());
  });

  it('has the texts of the contract, in both languages', async () => {
    const korean = await startServer({ ...UNLIMITED, MESSAGE_LANGUAGE: 'ko' });
    const [en, ko] = [user(server.url, 'en'), user(korean.url, 'ko')];
    const say = async (event, payload) => [(await en.emitWithAck(event, payload)).error, (await ko.emitWithAck(event, payload)).error];
    for (const [payload, code, text] of [
      [{ roomId: 7, name: 'ok' }, 'VALIDATION_ERROR', '유효하지 않은 방 ID'],
      [{ roomId: 'a b c', name: 'ok' }, 'VALIDATION_ERROR', '방 ID에 허용되지 않은 문자가 포함되어 있습니다'],
      [{ roomId: 'ab', name: 'ok' }, 'VALIDATION_ERROR', '방 ID는 3-100자여야 합니다'],
      [{ roomId: 'x'.repeat(101), name: 'ok' }, 'VALIDATION_ERROR', '방 ID는 3-100자여야 합니다'],
      [{ roomId: 'abc' }, 'VALIDATION_ERROR', '유효하지 않은 방 이름'],
      [{ roomId: 'abc', name: 'x' }, 'VALIDATION_ERROR', '방 이름은 2-50자여야 합니다'],
      [{ roomId: 'abc', name: 'x'.repeat(51) }, 'VALIDATION_ERROR', '방 이름은 2-50자여야 합니다'],
    ]) {
      const [english, translated] = await say('create-room', payload);
      assert.equal(english.code, code);
      assert.equal(translated.message, text);
    }
    const [, missing] = await say('join-room', 'nowhere');
    assert.equal(missing.message, '존재하지 않는 방입니다');
    await ko.emitWithAck('create-room', { roomId: 'small', name: '작은 방', maxUsers: 1 });
    const other = user(korean.url, 'ko2');
    assert.equal((await other.emitWithAck('join-room', 'small')).error.message, '방이 꽉 찼습니다 (최대 1명)');
    for (let i = 0; i < 4; i += 1) await ko.emitWithAck('create-room', { roomId: `room-${i}`, name: 'ok' });
    assert.equal((await ko.emitWithAck('create-room', { roomId: 'sixth', name: 'ok' })).error.message, '방 생성 요청이 너무 많습니다. 잠시 후 다시 시도하세요.');
    [en, ko, other].forEach((s) => s.close());
    await korean.stop();
  });

  it('bounds SDP at 64 KiB and candidates at 4 KiB', async () => {
    const [a, b] = [user(server.url, 'a'), user(server.url, 'b')];
    await a.emitWithAck('join', { roomId: 'sizes' });
    await b.emitWithAck('join', { roomId: 'sizes' });
    const send = (event, field, length) => a.emitWithAck(event, { to: b.id, [field]: { sdp: 'x'.repeat(length) } });
    assert.equal((await send('offer', 'offer', 60_000)).delivered, true);
    assert.equal((await send('offer', 'offer', 66_000)).error.code, 'PAYLOAD_TOO_LARGE');
    assert.equal((await send('ice-candidate', 'candidate', 4_000)).delivered, true);
    assert.equal((await send('ice-candidate', 'candidate', 5_000)).error.code, 'PAYLOAD_TOO_LARGE');
    const envelope = await a.emitWithAck('message', { type: 'ice-candidate', to: b.id, roomId: 'sizes', data: { candidate: 'x'.repeat(5_000) } });
    assert.equal(envelope.error.code, 'PAYLOAD_TOO_LARGE');
    [a, b].forEach((s) => s.close());
  });

  it('lets nobody speak for another, to themselves, to the gone, or to another room', async () => {
    const [a, b, stranger] = ['a', 'b', 'stranger'].map((name) => user(server.url, name));
    await a.emitWithAck('join', { roomId: 'honest', userId: 'b' });
    const joined = once(a, 'peer-joined');
    await b.emitWithAck('join', { roomId: 'honest', userId: 'a' });
    assert.deepEqual(await joined, { peerId: b.id, userId: 'b' });
    await stranger.emitWithAck('join', { roomId: 'other-room' });
    const heard = once(b, 'offer');
    a.emit('offer', { to: b.id, from: stranger.id, offer: 1 });
    assert.deepEqual(await heard, { from: a.id, offer: 1 });
    const code = async (socket, to) => (await socket.emitWithAck('offer', { to, offer: 1 })).error.code;
    assert.equal(await code(a, a.id), 'FORBIDDEN');
    assert.equal(await code(a, stranger.id), 'FORBIDDEN');
    assert.equal(await code(stranger, a.id), 'FORBIDDEN');
    assert.equal(await code(a, 'A'.repeat(16)), 'NOT_FOUND');
    for (const to of ['honest', '', 7, null, { $ne: 1 }, [b.id]]) assert.equal(await code(a, to), 'VALIDATION_ERROR', JSON.stringify(to));
    const gone = b.id;
    b.close();
    await once(a, 'peer-left');
    assert.equal(await code(a, gone), 'NOT_FOUND');
    [a, stranger].forEach((s) => s.close());
  });

  it('slows down whoever sends 1,000 candidates a second, and closes a flood', async () => {
    const own = await startServer();
    const [a, b] = [user(own.url, 'a'), user(own.url, 'b')];
    await a.emitWithAck('join', { roomId: 'flooded' });
    await b.emitWithAck('join', { roomId: 'flooded' });
    let got = 0;
    b.on('ice-candidate', () => { got += 1; });
    const sent = Array.from({ length: 1_000 }, () => a.emitWithAck('ice-candidate', { to: b.id, candidate: {} }));
    const answers = await Promise.all(sent);
    const refused = answers.filter((answer) => answer.error?.code === 'RATE_LIMIT').length;
    assert.ok(refused > 300 && refused <= 500, `${refused} refused: the burst of 500 and 100 a second pass`);
    await until('the others', () => got === 1_000 - refused);
    const closed = once(a, 'disconnect');
    for (let i = 0; i < 60_000; i += 1) a.emit('ice-candidate', { to: b.id, candidate: {} });
    await closed;
    assert.ok((await own.metrics())['signalbox_rate_limited_total{layer="event"}'] >= refused);
    [a, b].forEach((s) => s.close());
    await own.stop();
  });

  it('counts rooms and signals, and puts none of what they say anywhere', async () => {
    const own = await startServer({ LOG_LEVEL: 'trace' });
    const [a, b] = [user(`${own.url}/rtc`, 'a'), user(`${own.url}/rtc`, 'b')];
    await a.emitWithAck('join', { roomId: 'counted' });
    await b.emitWithAck('join', { roomId: 'counted' });
    await a.emitWithAck('offer', { to: b.id, offer: { sdp: 'MARKER-sdp' } });
    await b.emitWithAck('answer', { to: a.id, answer: { sdp: 'MARKER-sdp' } });
    await a.emitWithAck('ice-candidate', { to: 'x'.repeat(16), candidate: { candidate: 'MARKER-candidate' } });
    assert.equal((await a.emitWithAck('scanOrder', {})).error.code, 'UNKNOWN_EVENT', '/rtc speaks signaling only');
    const metrics = await own.metrics();
    assert.equal(metrics.signaling_active_rooms, 1);
    assert.equal(metrics.signaling_rooms_created_total, 1);
    assert.equal(metrics['signalbox_webrtc_signals_total{kind="offer",outcome="ok"}'], 1);
    assert.equal(metrics['signalbox_webrtc_signals_total{kind="ice-candidate",outcome="refused"}'], 1);
    assert.equal(metrics.signalbox_webrtc_negotiation_seconds_count, 1);
    a.close();
    b.close();
    own.kill('SIGTERM');
    await own.exited;
    assert.ok(own.log().length > 2);
    assert.ok(!own.log().join('').includes('MARKER'));
    await own.stop();
  });
});
