// Coming back with the official client: whoever loses the network, reloads the page or opens another tab is where it was.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { TRANSPORTS, once, token, until } from './server.mjs';
import { ADMIN, allowed, ask, connect, done, fresh, heard, hears, joinQueue, leaveQueue, line, many, ok, open, range, sleep, start } from './ticketing.mjs';

/** Whatever is sent to a socket because it connected was sent: it is before the answer to its first event. */
const greeted = (socket) => ask(socket, 'release-seat', { eventId: 'no event', seatId: 'no seat' });

/** The news that a new socket of the user gets on its return; undefined if it gets none. */
async function comeBack(server, user, options) {
  const socket = await connect(server, user, options);
  await greeted(socket);
  const news = heard(socket, 'session-restored');
  assert.ok(news.length <= 1);
  return { socket, restored: news[0] };
}
async function assertRestored(server, user, expected, options) {
  const { socket, restored } = await comeBack(server, user, options);
  assert.ok(restored, 'nothing was restored');
  const { lastActivity, ...rest } = restored;
  assert.ok(Number.isInteger(lastActivity) && Math.abs(lastActivity - Date.now()) < 30_000, `${lastActivity}`);
  assert.deepEqual({ ...rest, selectedSeats: [...rest.selectedSeats].sort() }, { eventId: null, queueEventId: null, seatEventId: null, selectedSeats: [], ...expected });
  return socket;
}

/** As the page does it: joins on each connection, and keeps what it is told. */
function queueUpdates(server, user, eventId, options) {
  const socket = open(server, user, { reconnection: true, ...options });
  const page = { socket, status: undefined, entered: 0, connects: 0, positions: [] };
  socket.on('connect', () => {
    page.connects += 1;
    page.status = undefined;
    socket.emit('join-queue', { eventId });
  });
  socket.on('queue-status', (status) => {
    page.status = status;
    page.positions.push(status.position);
  });
  socket.on('queue-entry-allowed', () => {
    page.entered += 1;
  });
  return page;
}
/** The network is gone under the socket, as in a lift. */
const cut = (socket) => socket.io.engine.transport.ws.terminate();
const shows = (page, position) => until(`place ${position}`, () => page.status?.position === position);

describe('a user who comes back', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1' });
  });

  it('is seen by those who stayed, and sees them', async () => {
    const eventId = fresh('looking');
    const stays = await connect(server);
    await done(stays, 'join-event', { eventId });
    const leaves = await connect(server);
    await done(leaves, 'join-event', { eventId });
    await until('both to be seen', () => heard(stays, 'room-info').at(-1)?.userCount === 2);
    leaves.close();
    await until('one to be seen', () => heard(stays, 'room-info').at(-1)?.userCount === 1);
    const { socket } = await comeBack(server, leaves.user);
    assert.deepEqual(heard(socket, 'room-info'), [{ eventId, userCount: 2 }]);
    await until('both to be seen again', () => heard(stays, 'room-info').at(-1)?.userCount === 2);
  });

  it('gets nothing the first time', async () => {
    const before = (await server.metrics())['signalbox_session_restores_total{result="unknown"}'];
    for (const namespace of ['', '/queue']) {
      const { socket } = await comeBack(server, fresh('user'), { namespace });
      assert.deepEqual(socket.heard, []);
    }
    assert.ok((await server.metrics())['signalbox_session_restores_total{result="unknown"}'] >= before + 2);
  });

  for (const namespace of ['', '/queue']) {
    it(`is told where it was, and hears there again: in ${namespace || '/'}`, async () => {
      const [eventId, queueEventId, seatEventId] = ['looking', 'waiting', 'choosing'].map(fresh);
      const [inside, ahead] = await line(server, queueEventId, 2);
      const first = await connect(server, undefined, { namespace });
      await done(first, 'join-event', { eventId });
      const status = await joinQueue(first, queueEventId);
      await done(first, 'join-seat-selection', { eventId: seatEventId });
      for (const seatId of ['A', 'B']) await done(first, 'select-seat', { eventId: seatEventId, seatId });
      first.close();
      const before = (await server.metrics())['signalbox_session_restores_total{result="ok"}'];

      const again = await assertRestored(server, first.user, { eventId, queueEventId, seatEventId, selectedSeats: ['A', 'B'] }, { namespace });
      assert.equal((await server.metrics())['signalbox_session_restores_total{result="ok"}'] > before, true);
      assert.deepEqual(again.heard.filter((h) => h.event !== 'room-info').map((h) => h.event).slice(0, 2), ['session-restored', 'queue-status']);
      assert.deepEqual(heard(again, 'queue-status')[0], { ...status, estimatedWait: heard(again, 'queue-status')[0].estimatedWait });
      again.heard.length = 0;

      const other = await connect(server);
      await done(other, 'join-event', { eventId });
      await until('the news of the event', () => heard(again, 'room-info').at(-1)?.userCount === 2);
      await done(other, 'select-seat', { eventId: seatEventId, seatId: 'C' });
      await hears(again, 'seat-selected');
      assert.equal(heard(again, 'seat-selected')[0].seatId, 'C');
      await leaveQueue(ahead, queueEventId);
      await until('the news of the line', () => heard(again, 'queue-updated').at(-1)?.queueSize === 1 && heard(again, 'queue-status').at(-1)?.position === 1);
      await leaveQueue(inside, queueEventId);
      await hears(again, 'queue-entry-allowed');
      assert.equal((await done(again, 'release-seat', { eventId: seatEventId, seatId: 'A' })).success, true);
    });
  }

  it('is counted again where it was, before it does anything', async () => {
    const eventId = fresh('event');
    const [staying, leaving] = await many(server, 2);
    for (const socket of [staying, leaving]) await done(socket, 'join-event', { eventId });
    leaving.close();
    await until('its absence', () => heard(staying, 'room-info').at(-1).userCount === 1);
    await connect(server, leaving.user);
    await until('its presence', () => heard(staying, 'room-info').at(-1).userCount === 2);
  });

  for (const [how, transports] of Object.entries(TRANSPORTS)) {
    it(`is told before anything that it sends is answered: ${how}`, async () => {
      const [eventId, queueEventId] = [fresh('event'), fresh('queue')];
      await line(server, queueEventId, 1);
      for (let i = 1; i <= 10; i += 1) {
        const first = await connect(server);
        await done(first, 'join-event', { eventId });
        await joinQueue(first, queueEventId);
        first.close();
        const again = open(server, first.user, { transports });
        const answered = [];
        const note = (event) => (answer) => answered.push([event, answer, again.heard.map((h) => h.event)]);
        // Sent with the connection, and as soon as it is there.
        again.emit('join-seat-selection', { eventId: 'E' }, note('join-seat-selection'));
        again.on('connect', () => {
          again.emit('leave-event', { eventId }, note('leave-event'));
          again.emit('leave-event', { eventId: -1 });
        });
        await until('the answers', () => answered.length === 2 && heard(again, 'error').length === 1);
        for (const [event, answer, before] of answered) {
          assert.equal(answer.success, true, event);
          assert.deepEqual(before.filter((name) => !['room-info', 'error'].includes(name)).slice(0, 2), ['session-restored', 'queue-status'], event);
        }
        assert.equal(again.heard[0].event, 'session-restored');
        assert.deepEqual([again.heard[0].data.eventId, again.heard[0].data.seatEventId], [eventId, null], 'as it was before them');
        assert.deepEqual(heard(again, 'queue-status').map((s) => s.position)[0], i);
      }
    });
  }

  it('is in its rooms before its first event: it hears what that causes', async () => {
    const eventId = fresh('event');
    const first = await connect(server);
    await done(first, 'join-seat-selection', { eventId });
    first.close();
    for (let i = 0; i < 10; i += 1) {
      const again = open(server, first.user);
      await done(again, 'select-seat', { eventId, seatId: i });
      await hears(again, 'seat-selected');
      again.close();
    }
  });

  it('shares what is kept with all its tabs, and only the new one is told', async () => {
    const [eventId, other, seatEventId] = [fresh('event'), fresh('event'), fresh('seats')];
    const first = await connect(server);
    await done(first, 'join-event', { eventId });
    const second = await assertRestored(server, first.user, { eventId }, { namespace: '/queue' });
    await done(second, 'select-seat', { eventId: seatEventId, seatId: 7 });
    const third = await assertRestored(server, first.user, { eventId, seatEventId, selectedSeats: [7] });
    await done(third, 'join-event', { eventId: other });
    first.close();
    await assertRestored(server, first.user, { eventId: other, seatEventId, selectedSeats: [7] });
    assert.deepEqual([first, second, third].map((s) => heard(s, 'session-restored').length), [0, 1, 1]);
    await assertRestored(server, first.user, { eventId: other, seatEventId, selectedSeats: [7] });
  });

  it('is told nothing of what others did', async () => {
    const [first, second] = await many(server, 2);
    await done(first, 'join-event', { eventId: fresh('event') });
    await done(first, 'join-seat-selection', { eventId: fresh('event') });
    const { restored } = await comeBack(server, second.user);
    assert.equal(restored, undefined);
    await done(second, 'join-event', { eventId: 'its own' });
    await assertRestored(server, second.user, { eventId: 'its own' });
  });

  it('is the userId of the token, where there is one, and not its sub', async () => {
    const [sub, claims] = [fresh('user'), { userId: 1_000_000 + process.pid }];
    const socket = await connect(server, sub, { auth: { token: token(sub, claims) } });
    await done(socket, 'join-event', { eventId: 'E' });
    await assertRestored(server, sub, { eventId: 'E' }, { auth: { token: token('another', claims) } });
    assert.equal((await comeBack(server, sub)).restored, undefined);
  });

  it('leaves a field by leaving that event, and by nothing else', async () => {
    const [eventId, queueEventId] = [fresh('event'), fresh('queue')];
    const [, first] = await line(server, queueEventId, 2);
    await done(first, 'join-event', { eventId });
    for (const event of ['leave-event', 'leave-queue']) await done(first, event, { eventId: 'another' });
    await assertRestored(server, first.user, { eventId, queueEventId });
    await done(first, 'leave-event', { eventId });
    const second = await assertRestored(server, first.user, { queueEventId });
    await done(second, 'join-event', { eventId });
    await leaveQueue(second, queueEventId);
    const third = await assertRestored(server, first.user, { eventId });
    assert.deepEqual(heard(third, 'queue-status'), []);
  });

  it('reads each id as it was sent', async () => {
    const [number, text] = [7_000_000 + process.pid, `${8_000_000 + process.pid}`];
    await line(server, number, 1);
    const first = await connect(server);
    await done(first, 'join-event', { eventId: number });
    await joinQueue(first, number);
    await done(first, 'select-seat', { eventId: text, seatId: 12 });
    await done(first, 'select-seat', { eventId: text, seatId: '13' });
    first.close();
    const again = await assertRestored(server, first.user, { eventId: number, queueEventId: number, seatEventId: text, selectedSeats: [12, '13'] });
    assert.strictEqual(heard(again, 'queue-status')[0].eventId, number);
    await done(again, 'join-event', { eventId: text });
    await assertRestored(server, first.user, { eventId: text, queueEventId: number, seatEventId: text, selectedSeats: [12, '13'] });
  });

  it('is told its scan session and its signaling rooms, until it leaves them', async () => {
    const [sessionId, roomId, other] = [fresh('session'), fresh('room'), fresh('room')];
    const first = await connect(server);
    first.emit('registerClient', { role: 'monitor' });
    first.emit('joinSession', { sessionId });
    await once(first, 'joinedSession');
    const second = await assertRestored(server, first.user, { scanSession: sessionId });
    for (const room of [roomId, other]) await done(second, 'join', { roomId: room });
    const third = await connect(server, first.user);
    await greeted(third);
    const { scanSession, rooms } = heard(third, 'session-restored')[0];
    assert.deepEqual([scanSession, [...rooms].sort()], [sessionId, [roomId, other].sort()]);
    await done(second, 'leave', { roomId });
    await assertRestored(server, first.user, { scanSession: sessionId, rooms: [other] });
    await ask(first, 'leaveSession', { sessionId });
    await assertRestored(server, first.user, { rooms: [other] });
  });

  it('is told of them also when they were entered in namespaces of their own, which tell nothing themselves', async () => {
    const [sessionId, roomId, user] = [fresh('session'), fresh('room'), fresh('user')];
    const scanning = await connect(server, user, { namespace: '/scan' });
    scanning.emit('registerClient', { role: 'monitor' });
    scanning.emit('joinSession', { sessionId });
    await once(scanning, 'joinedSession');
    const signaling = await connect(server, user, { namespace: '/rtc' });
    await done(signaling, 'join', { roomId });
    await assertRestored(server, user, { scanSession: sessionId, rooms: [roomId] }, { namespace: '/queue' });
    for (const [namespace, event, payload] of [['/scan', 'heartbeat', undefined], ['/rtc', 'join', { roomId }]]) {
      const socket = await connect(server, user, { namespace });
      if (event === 'heartbeat') await Promise.all([once(socket, 'heartbeat:ack'), socket.emit('heartbeat')]);
      else await done(socket, event, payload);
      assert.deepEqual(heard(socket, 'session-restored'), []);
    }
  });

  it('of a guest without a token there is none', async () => {
    const guests = await start({ QUEUE_THRESHOLD: '1', SIGNALING_AUTH: 'optional' });
    for (let i = 0; i < 2; i += 1) {
      const guest = open(guests, 'nobody', { auth: {} });
      await done(guest, 'join', { roomId: fresh('room') });
      assert.deepEqual(heard(guest, 'session-restored'), []);
      guest.close();
    }
  });

  it('with seats that others took over, or that it gave back, is told of those that it still holds', async () => {
    const eventId = fresh('event');
    const first = await connect(server);
    await done(first, 'seat-selection-changed', { eventId, seats: ['A', 'B', 'C'] });
    await done(first, 'release-seat', { eventId, seatId: 'B' });
    first.close();
    const again = await assertRestored(server, first.user, { seatEventId: eventId, selectedSeats: ['A', 'C'] });
    await done(again, 'seat-selection-changed', { eventId, seats: [] });
    await assertRestored(server, first.user, { seatEventId: eventId, selectedSeats: [] });
  });
});

describe('position 50', { concurrency: true }, () => {
  const GRACE = 3_000;
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1', QUEUE_GRACE: `${GRACE}ms` });
  });

  /** Somebody at place 50 of a line, shown on a page, and the last one behind. */
  async function fiftieth(options) {
    const eventId = fresh('event');
    const ahead = await line(server, eventId, 50);
    const page = queueUpdates(server, fresh('user'), eventId, options);
    await shows(page, 50);
    const behind = await connect(server);
    await joinQueue(behind, eventId);
    return { eventId, ahead, page, behind };
  }

  it('is kept when the socket is killed and connects again', async () => {
    const { page, behind, eventId } = await fiftieth();
    for (let i = 2; i <= 4; i += 1) {
      cut(page.socket);
      await until('the next connection', () => page.connects === i);
      await shows(page, 50);
      const { queueEventId } = heard(page.socket, 'session-restored').at(-1);
      assert.equal(queueEventId, eventId);
    }
    assert.deepEqual([...new Set(page.positions)], [50]);
    assert.equal((await joinQueue(behind, eventId)).position, 51);
  });

  it('is kept when the page is loaded again, and in another tab next to it', async () => {
    const { page, eventId, ahead } = await fiftieth();
    const tab = queueUpdates(server, page.socket.user, eventId, { namespace: '/queue' });
    await shows(tab, 50);
    page.socket.close();
    const reloaded = queueUpdates(server, page.socket.user, eventId);
    await shows(reloaded, 50);
    assert.equal(heard(reloaded.socket, 'session-restored')[0].queueEventId, eventId);
    assert.deepEqual([tab, reloaded].map((p) => [...new Set(p.positions)]), [[50], [50]]);
    await leaveQueue(ahead[1], eventId);
    for (const p of [tab, reloaded]) await shows(p, 49);
  });

  it('is kept when it was offline for less than the grace', async () => {
    const { page, behind, eventId } = await fiftieth({ reconnection: false });
    cut(page.socket);
    await until('the end of the connection', () => !page.socket.connected);
    await sleep(GRACE / 2);
    page.socket.connect();
    await shows(page, 50);
    // It is not missed any more: the time before does not count.
    await sleep(GRACE);
    assert.equal((await joinQueue(behind, eventId)).position, 51);
    assert.deepEqual([...new Set(page.positions)], [50]);
  });

  it('is lost when it was offline for longer, and the others move up', async () => {
    const { page, behind, eventId } = await fiftieth({ reconnection: false });
    cut(page.socket);
    await until('the one behind to move up', () => heard(behind, 'queue-status').at(-1).position === 50);
    page.socket.heard.length = 0;
    page.socket.connect();
    await shows(page, 51);
    assert.equal(heard(page.socket, 'session-restored')[0]?.queueEventId ?? null, null, 'it does not wait any more');
    assert.ok((await server.metrics())['signalbox_queue_left_total{reason="vanished"}'] >= 1);
  });

  it('moves up while it is offline, when others leave', async () => {
    const { page, ahead, behind, eventId } = await fiftieth({ reconnection: false });
    cut(page.socket);
    await Promise.all(ahead.slice(1, 11).map((socket) => leaveQueue(socket, eventId)));
    await until('the line to move up', () => heard(behind, 'queue-status').at(-1).position === 41);
    page.socket.connect();
    await shows(page, 40);
    assert.deepEqual(heard(page.socket, 'queue-status').at(-1).queueSize, 41);
  });

  it('is let in on its page in the end, and is so after the next loss of the network', async () => {
    const eventId = fresh('event');
    const [inside] = await line(server, eventId, 1);
    const page = queueUpdates(server, fresh('user'), eventId);
    await shows(page, 1);
    await leaveQueue(inside, eventId);
    await until('the entry', () => page.entered === 1);
    cut(page.socket);
    await until('the next connection', () => page.connects === 2 && page.status !== undefined);
    assert.deepEqual([page.status.queued, page.status.currentUsers], [false, 1]);
    const { queueEventId } = heard(page.socket, 'session-restored').at(-1);
    assert.equal(queueEventId, eventId);
    assert.equal((await done(page.socket, 'queue:heartbeat', { eventId })).success, true);
  });

  it('becomes an entry while it is offline, of which it is told on its return', async () => {
    const eventId = fresh('event');
    const [inside, first, behind] = await line(server, eventId, 3);
    first.close();
    await leaveQueue(inside, eventId);
    await until('the one behind to move up', () => heard(behind, 'queue-status').at(-1).position === 1);
    const again = await assertRestored(server, first.user, { queueEventId: eventId });
    await hears(again, 'queue-entry-allowed');
    assert.deepEqual(again.heard.map((h) => h.event).filter((name) => name !== 'queue-updated'), ['session-restored', 'queue-status', 'queue-entry-allowed']);
    assert.equal(heard(again, 'queue-status')[0].queued, false);
    const { message, ...rest } = allowed(again)[0];
    assert.deepEqual(rest, { eventId, userId: first.user });
    assert.equal(typeof message, 'string');
  });
});

describe('a line that was joined or left over HTTP', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1' });
  });

  it('is what a socket of the user comes back to, and is told of when its turn came meanwhile', async () => {
    const [eventId, first, second] = [fresh('event'), fresh('user'), fresh('user')];
    const [inside] = await line(server, eventId, 1);
    for (const user of [first, second]) await ok(server, 'POST', `queue/check/${eventId}`, token(user));
    const waiting = await assertRestored(server, second, { queueEventId: eventId });
    assert.equal(heard(waiting, 'queue-status')[0].position, 2);
    await leaveQueue(inside, eventId);
    await until('the first to be let in', () => heard(waiting, 'queue-status').at(-1).position === 1);
    const entered = await assertRestored(server, first, { queueEventId: eventId });
    await hears(entered, 'queue-entry-allowed');
  });

  it('is not come back to when it was left or cleared', async () => {
    const [left, cleared] = [fresh('event'), fresh('event')];
    const [, first] = await line(server, left, 2);
    const [, second] = await line(server, cleared, 2);
    for (const socket of [first, second]) await done(socket, 'join-event', { eventId: 'E' });
    await ok(server, 'POST', `queue/leave/${left}`, token(first.user));
    await ok(server, 'POST', `queue/admin/clear/${cleared}`, ADMIN);
    for (const socket of [first, second]) await assertRestored(server, socket.user, { eventId: 'E' });
  });
});

describe('what is kept', { concurrency: true }, () => {
  const WINDOW = 1_500;
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1', RESTORE_WINDOW: `${WINDOW}ms`, SEAT_HOLD: '1s' });
  });

  it('is forgotten when nothing was done for the window', async () => {
    const eventId = fresh('event');
    const first = await connect(server);
    await done(first, 'join-event', { eventId });
    first.close();
    await assertRestored(server, first.user, { eventId }).then((socket) => socket.close());
    await sleep(WINDOW + 300);
    const { socket, restored } = await comeBack(server, first.user);
    assert.equal(restored, undefined);
    assert.deepEqual(socket.heard, []);
    await done(socket, 'join-event', { eventId: 'another' });
    await assertRestored(server, first.user, { eventId: 'another' });
  });

  it('lasts for as long as the user is connected, and the window after that', async () => {
    const eventId = fresh('event');
    const [first, second] = await many(server, 2);
    for (const socket of [first, second]) await done(socket, 'join-event', { eventId });
    // Each keeps one socket; of the second one it is in another namespace and does nothing.
    second.close();
    const idle = await connect(server, second.user, { namespace: '/queue' });
    await sleep(2 * WINDOW);
    for (const socket of [first, idle]) {
      await assertRestored(server, socket.user, { eventId }).then((again) => again.close());
      socket.close();
      await sleep(WINDOW / 3);
      await assertRestored(server, socket.user, { eventId });
    }
  });

  it('of seats are those whose hold lasts', async () => {
    const eventId = fresh('event');
    const first = await connect(server);
    await done(first, 'join-seat-selection', { eventId });
    await done(first, 'select-seat', { eventId, seatId: 'A' });
    await assertRestored(server, first.user, { seatEventId: eventId, selectedSeats: ['A'] });
    await hears(first, 'seats-released');
    await assertRestored(server, first.user, { seatEventId: eventId, selectedSeats: [] });
  });

  it('says when the user was last active', async () => {
    const first = await connect(server);
    await done(first, 'join-event', { eventId: fresh('event') });
    const began = Date.now();
    await sleep(500);
    await done(first, 'join-seat-selection', { eventId: fresh('event') });
    const { restored } = await comeBack(server, first.user);
    assert.ok(restored.lastActivity >= began + 400 && restored.lastActivity <= Date.now() + 100, `${restored.lastActivity - began}`);
  });
});

describe('many who come back at once', () => {
  it('have each their own place and seat', async (t) => {
    const COUNT = 300;
    const server = await start({ QUEUE_THRESHOLD: '0' });
    const users = range(COUNT).map(() => fresh('user'));
    const first = await Promise.all(users.map((user) => connect(server, user)));
    await Promise.all(first.map((socket, i) => done(socket, 'select-seat', { eventId: 'seats', seatId: i })));
    const before = await Promise.all(first.map((socket) => joinQueue(socket, 'queue')));
    first.forEach(cut);
    const began = performance.now();
    const again = await Promise.all(users.map((user) => connect(server, user)));
    await Promise.all(again.map((socket) => hears(socket, 'queue-status')));
    t.diagnostic(`${COUNT} are back after ${Math.round(performance.now() - began)} ms`);
    for (const [i, socket] of again.entries()) {
      const [{ queueEventId, seatEventId, selectedSeats }] = heard(socket, 'session-restored');
      assert.deepEqual([queueEventId, seatEventId, selectedSeats], ['queue', 'seats', [i]]);
      assert.equal(heard(socket, 'queue-status')[0].position, before[i].position);
    }
    assert.equal((await server.metrics())['signalbox_session_restores_total{result="ok"}'], COUNT);
  });
});
