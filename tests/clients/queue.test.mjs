// Waiting queues with the official client: who waits, who is let in and when, over sockets and HTTP.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { TRANSPORTS, once, token, until } from './server.mjs';
import { ADMIN, allowed, ask, atEnd, connect, done, fresh, heard, hears, joinQueue, leaveQueue, line, many, no, ok, range, refused, sleep, start } from './ticketing.mjs';

/** Waits for whole turns of the clock that lets people in: seen in a queue of its own, where the threshold is 1. */
async function clock(server) {
  const eventId = fresh('clock');
  const [inside, watching, coming] = await many(server, 3);
  for (const socket of [inside, watching]) await joinQueue(socket, eventId);
  let queueSize = 1;
  return async (turns) => {
    // What is under way is not a whole one.
    for (let i = 0; i <= turns; i += 1) {
      queueSize = 3 - queueSize;
      await done(inside, 'queue:heartbeat', { eventId });
      await (queueSize === 2 ? joinQueue : leaveQueue)(coming, eventId);
      await until('a turn of the clock', () => heard(watching, 'queue-updated').at(-1)?.queueSize === queueSize);
    }
  };
}

describe('the waiting queue', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1' });
  });

  it('lets in at once where a slot is free, and says so on all sockets of the user, to nobody else', async () => {
    const [eventId, user] = [fresh('event'), fresh('user')];
    const joined = await connect(server, user);
    const tabs = await Promise.all([connect(server, user), connect(server, user, { namespace: '/queue' })]);
    // They have done something of this family, elsewhere.
    for (const tab of tabs) await done(tab, 'join-event', { eventId: fresh('event') });
    const [stranger, scanning] = [await connect(server), await connect(server, user, { namespace: '/scan' })];
    const answer = await joinQueue(joined, eventId);
    assert.deepEqual(answer, { eventId, queued: false, position: null, queueSize: 0, estimatedWait: 0, currentUsers: 1, threshold: 1 });
    for (const socket of [joined, ...tabs]) {
      await hears(socket, 'queue-entry-allowed');
      const [{ message, ...rest }] = allowed(socket);
      assert.deepEqual(rest, { eventId, userId: user });
      assert.ok(message.length > 0);
    }
    assert.deepEqual(heard(joined, 'queue-status'), [answer]);
    await leaveQueue(joined, eventId);
    await joinQueue(stranger, eventId);
    await hears(stranger, 'queue-entry-allowed');
    assert.equal(allowed(stranger).length, 1);
    assert.deepEqual(scanning.heard, []);
    assert.deepEqual(tabs.map((tab) => heard(tab, 'queue-status')), [[], []], 'they did not join');
  });

  it('gives everybody else a place from 1, by acknowledgement and by queue-status to the caller only', async () => {
    const eventId = fresh('event');
    const sockets = await many(server, 4);
    await joinQueue(sockets[0], eventId);
    for (const [i, socket] of sockets.slice(1).entries()) {
      const answer = await joinQueue(socket, eventId);
      const { estimatedWait, ...rest } = answer;
      assert.deepEqual(rest, { eventId, queued: true, position: i + 1, queueSize: i + 1, currentUsers: 1, threshold: 1 });
      assert.ok(Number.isFinite(estimatedWait) && estimatedWait > 0, `${estimatedWait}`);
      await hears(socket, 'queue-status');
      assert.deepEqual(heard(socket, 'queue-status'), [answer]);
    }
    const without = await connect(server);
    without.emit('join-queue', { eventId });
    assert.equal((await once(without, 'queue-status')).position, 4, 'without an acknowledgement');
    assert.deepEqual(heard(sockets[1], 'queue-status').map((s) => s.position), [1]);
    assert.deepEqual(sockets.map((s) => allowed(s).length), [1, 0, 0, 0]);
  });

  it('is one place for a user, however often and from however many tabs it joins', async () => {
    const [eventId, user] = [fresh('event'), fresh('user')];
    const [inside, ahead] = await line(server, eventId, 2);
    const tabs = await Promise.all([connect(server, user), connect(server, user, { namespace: '/queue' })]);
    const answers = await Promise.all([tabs[0], tabs[1], tabs[0]].map((tab) => joinQueue(tab, eventId)));
    assert.deepEqual(answers.map((a) => [a.position, a.queueSize]), [[2, 2], [2, 2], [2, 2]]);
    const behind = await connect(server);
    assert.equal((await joinQueue(behind, eventId)).position, 3);
    assert.equal((await joinQueue(ahead, eventId)).position, 1, 'joining again does not send anybody back');
    await leaveQueue(ahead, eventId);
    for (const tab of tabs) await until('the new place', () => heard(tab, 'queue-status').at(-1).position === 1);
    await leaveQueue(inside, eventId);
    for (const tab of tabs) await hears(tab, 'queue-entry-allowed');
    await Promise.all(tabs.map((tab) => done(tab, 'queue:heartbeat', { eventId })));
    assert.equal((await joinQueue(behind, eventId)).position, 1);
    assert.equal((await joinQueue(tabs[0], eventId)).queued, false, 'joining again changes nothing');
    await Promise.all(tabs.map((tab) => done(tab, 'queue:heartbeat', { eventId })));
    assert.deepEqual(tabs.map((tab) => allowed(tab).length), [1, 1], 'each tab was told once');
  });

  it('lets in strictly first come, first served, each once, and tells only the one', async () => {
    const eventId = fresh('event');
    const sockets = await line(server, eventId, 6);
    const last = heard(sockets[5], 'queue-status')[0];
    await hears(sockets[0], 'queue-entry-allowed');
    const order = [];
    sockets.forEach((socket) => socket.on('queue-entry-allowed', ({ userId }) => order.push([socket.user, userId])));
    for (let i = 1; i < 6; i += 1) {
      await leaveQueue(sockets[i - 1], eventId);
      await hears(sockets[i], 'queue-entry-allowed');
      assert.equal(order.length, i, 'there is one slot');
      const status = await joinQueue(await connect(server), eventId);
      assert.deepEqual([status.currentUsers, status.queueSize, status.position], [1, 5, 5], 'one came, one went');
    }
    assert.deepEqual(order, sockets.slice(1).map((socket) => [socket.user, socket.user]));
    const later = heard(sockets[5], 'queue-status').findLast((s) => s.queued);
    assert.ok(later.estimatedWait / later.position < last.estimatedWait / last.position, 'it learns how fast people are let in');
  });

  it('lets nobody past those who wait, also not in the moment when a slot is free', async () => {
    const eventId = fresh('event');
    const [inside, waiting] = await line(server, eventId, 2);
    const newcomers = await many(server, 20);
    const leaving = leaveQueue(inside, eventId);
    const answers = await Promise.all(newcomers.map((socket) => joinQueue(socket, eventId)));
    await leaving;
    assert.ok(answers.every((a) => a.queued));
    await hears(waiting, 'queue-entry-allowed');
    assert.ok(newcomers.every((socket) => allowed(socket).length === 0));
    // Nor whoever gave up the slot and wants it again.
    assert.equal((await joinQueue(inside, eventId)).position, 21);
  });

  it('lets go of whoever leaves: the line moves up, a slot is free, and leaving again does no harm', async () => {
    const eventId = fresh('event');
    const [inside, first, second] = await line(server, eventId, 3);
    assert.deepEqual(await leaveQueue(first, eventId), { success: true, eventId });
    await until('the new place', () => heard(second, 'queue-status').at(-1).position === 1);
    await until('the new size', () => heard(second, 'queue-updated').at(-1)?.queueSize === 1);
    const { timestamp, ...rest } = heard(second, 'queue-updated').at(-1);
    assert.deepEqual(rest, { eventId, queueSize: 1 });
    assert.ok(Math.abs(timestamp - Date.now()) < 10_000);
    assert.deepEqual(await leaveQueue(first, eventId), { success: true, eventId });
    const before = first.heard.length;
    await leaveQueue(inside, eventId);
    await hears(second, 'queue-entry-allowed');
    assert.equal((await joinQueue(second, eventId)).queueSize, 0);
    assert.equal(first.heard.length, before, 'whoever has left hears no more');
    // Back again, it is the last.
    const third = await connect(server);
    assert.deepEqual([(await joinQueue(third, eventId)).position, (await joinQueue(first, eventId)).position], [1, 2]);
  });

  it('tells of a place once a second at the most, and only when it changed', async () => {
    const eventId = fresh('event');
    const turns = await clock(server);
    const sockets = await line(server, eventId, 32);
    const last = sockets.at(-1);
    await turns(1);
    last.heard.length = 0;
    for (const socket of sockets.slice(1, 31)) {
      await leaveQueue(socket, eventId);
      await sleep(100);
    }
    await until('the last place', () => heard(last, 'queue-status').at(-1)?.position === 1 && heard(last, 'queue-updated').at(-1)?.queueSize === 1);
    for (const event of ['queue-status', 'queue-updated']) {
      const times = last.heard.filter((h) => h.event === event).map((h) => h.at);
      assert.ok(times.length >= 2 && times.length <= 5, `${event}: ${times.length} times in some 3.5 s`);
      const gaps = times.slice(1).map((at, i) => at - times[i]);
      assert.ok(gaps.every((gap) => gap > 800), `${event}: ${gaps} ms`);
    }
    const positions = heard(last, 'queue-status').map((s) => s.position);
    assert.deepEqual(positions, [...new Set(positions)].sort((a, b) => b - a));
    // Nothing happens, nothing is told.
    last.heard.length = 0;
    await turns(2);
    assert.deepEqual(last.heard, []);
    // Somebody behind it is new: the size is other, the place is not.
    await joinQueue(sockets[1], eventId);
    await hears(last, 'queue-updated');
    await turns(1);
    assert.deepEqual(last.heard.map((h) => [h.event, h.data.queueSize]), [['queue-updated', 2]]);
  });

  it('tells the size also to whoever came since it was told last, when it is the same again', async () => {
    const eventId = fresh('event');
    const turns = await clock(server);
    const [late, later] = await many(server, 2);
    const sockets = await line(server, eventId, 5);
    await turns(1);
    for (const socket of sockets.slice(3)) await leaveQueue(socket, eventId);
    assert.equal((await joinQueue(late, eventId)).queueSize, 3);
    assert.equal((await joinQueue(later, eventId)).queueSize, 4);
    await until('the new size', () => late.heard.some((h) => h.data.queueSize === 4), 3_000);
  });

  it('tells those who wait of their own event only, and those who were let in nothing of the line', async () => {
    const [eventId, other] = [fresh('event'), fresh('event')];
    const turns = await clock(server);
    const [inside, waiting] = await line(server, eventId, 2);
    const [, elsewhere] = await line(server, other, 2);
    const looking = await connect(server);
    await done(looking, 'join-event', { eventId });
    await hears(elsewhere, 'queue-updated');
    for (const socket of [inside, elsewhere, looking]) socket.heard.length = 0;
    const coming = await many(server, 3);
    for (const socket of coming) await joinQueue(socket, eventId);
    await until('the new size', () => heard(waiting, 'queue-updated').at(-1)?.queueSize === 4);
    await turns(1);
    for (const socket of [inside, elsewhere, looking]) assert.deepEqual(socket.heard, []);
  });

  it('admits users of any event without waiting for the others', async () => {
    const events = range(30).map(() => fresh('event'));
    const [first, second] = await many(server, 2);
    for (const eventId of events) {
      assert.equal((await joinQueue(first, eventId)).queued, false);
      assert.equal((await joinQueue(second, eventId)).position, 1);
    }
    await Promise.all(events.map((eventId) => leaveQueue(first, eventId)));
    await hears(second, 'queue-entry-allowed', events.length);
    assert.deepEqual(allowed(second).map((a) => a.eventId).sort(), [...events].sort());
  });

  it('takes the user from the token, with its form, whatever the payload says', async () => {
    const eventId = fresh('event');
    const number = 1_000_000 + process.pid;
    const socket = await connect(server, 'x', { auth: { token: token('x', { userId: number }) } });
    await done(socket, 'join-queue', { eventId, userId: 'somebody else', user: 'x' });
    await hears(socket, 'queue-entry-allowed');
    assert.strictEqual(allowed(socket)[0].userId, number);
  });

  for (const [how, transports] of Object.entries(TRANSPORTS)) {
    for (const namespace of ['', '/queue']) {
      it(`works in ${namespace || '/'} by ${how}`, async () => {
        const eventId = fresh('event');
        const [first, second] = await Promise.all([1, 2].map(() => connect(server, undefined, { namespace, transports })));
        assert.equal((await joinQueue(first, eventId)).queued, false);
        assert.equal((await joinQueue(second, eventId)).position, 1);
        await hears(second, 'queue-updated');
        assert.equal((await done(first, 'queue:heartbeat', { eventId })).success, true);
        first.close();
        const again = await connect(server, undefined, { namespace, transports });
        assert.equal((await joinQueue(again, eventId)).position, 2, 'a slot outlives its socket');
        await leaveQueue(second, eventId);
        await until('the new place', () => heard(again, 'queue-status').at(-1).position === 1);
      });
    }
  }
});

describe('time in the waiting queue', { concurrency: true }, () => {
  const [LEASE, GRACE] = [2_000, 3_000];
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1', QUEUE_LEASE: `${LEASE}ms`, QUEUE_GRACE: `${GRACE}ms` });
  });

  it('takes a slot away that is not renewed, and the next one is let in', async () => {
    const eventId = fresh('event');
    const [inside, ...waiting] = await many(server, 3);
    await joinQueue(inside, eventId);
    const began = performance.now();
    for (const socket of waiting) await joinQueue(socket, eventId);
    await hears(waiting[0], 'queue-entry-allowed');
    const lasted = performance.now() - began;
    assert.ok(lasted > LEASE - 200 && lasted < LEASE + 2_000, `${lasted} ms`);
    await refused(inside, 'queue:heartbeat', { eventId }, 'FORBIDDEN');
    assert.equal(allowed(waiting[1]).length, 0, 'one slot, one user');
    assert.equal((await joinQueue(inside, eventId)).position, 2, 'at the end of the line again');
    await hears(waiting[1], 'queue-entry-allowed');
    await hears(inside, 'queue-entry-allowed', 2);
  });

  it('keeps a slot that is renewed by a heartbeat, and says until when', async () => {
    const eventId = fresh('event');
    const [inside, waiting] = await line(server, eventId, 2);
    const end = performance.now() + 2.5 * LEASE;
    let last = 0;
    while (performance.now() < end) {
      const { expiresAt, ...rest } = await done(inside, 'queue:heartbeat', { eventId });
      assert.deepEqual(rest, { success: true, eventId });
      assert.ok(expiresAt >= last && Math.abs(expiresAt - Date.now() - LEASE) < 500, `${expiresAt - Date.now()} ms from now`);
      last = expiresAt;
      await sleep(400);
    }
    assert.equal(allowed(waiting).length, 0);
    await hears(waiting, 'queue-entry-allowed');
  });

  it('keeps a slot that is renewed by any other event of the family for that event', async () => {
    const turns = 10;
    const ways = {
      'join-event': (eventId) => [['join-event', { eventId }]],
      'leave-event': (eventId) => [['leave-event', { eventId }]],
      'join-queue': (eventId) => [['join-queue', { eventId }]],
      'join-seat-selection': (eventId) => [['join-seat-selection', { eventId }]],
      'select-seat': (eventId, i) => [['select-seat', { eventId, seatId: i }]],
      'release-seat': (eventId, i) => [['release-seat', { eventId, seatId: i }]],
      'seat-selection-changed': (eventId, i) => [['seat-selection-changed', { eventId, seats: [i] }]],
      'nothing': () => [],
    };
    const all = await Promise.all(Object.entries(ways).map(async ([way, events]) => {
      const eventId = fresh('event');
      const [inside, waiting] = await many(server, 2);
      await done(inside, 'seat-selection-changed', { eventId, seats: way === 'release-seat' ? range(turns) : [] });
      await joinQueue(inside, eventId);
      await joinQueue(waiting, eventId);
      for (let i = 0; i < turns; i += 1) {
        for (const [event, payload] of events(eventId, i)) await ask(inside, event, payload);
        await sleep(2.5 * LEASE / turns);
      }
      return { way, lost: allowed(waiting).length > 0 };
    }));
    assert.deepEqual(all.filter((one) => one.lost).map((one) => one.way), ['nothing']);
  });

  it('refuses a heartbeat of whoever is not admitted', async () => {
    const eventId = fresh('event');
    const [inside, waiting] = await line(server, eventId, 2);
    const stranger = await connect(server);
    await refused(waiting, 'queue:heartbeat', { eventId }, 'FORBIDDEN', 'waiting');
    await refused(stranger, 'queue:heartbeat', { eventId }, 'FORBIDDEN', 'a stranger');
    await refused(inside, 'queue:heartbeat', { eventId: fresh('event') }, 'FORBIDDEN', 'another event');
    assert.equal((await done(inside, 'queue:heartbeat', { eventId })).success, true);
    await leaveQueue(inside, eventId);
    await refused(inside, 'queue:heartbeat', { eventId }, 'FORBIDDEN', 'after leaving');
  });

  /** Keeps a slot for as long as the test takes. */
  function holding(inside, eventId) {
    const timer = setInterval(() => inside.emit('queue:heartbeat', { eventId }), 300);
    atEnd(() => clearInterval(timer));
    return () => clearInterval(timer);
  }

  it('takes the place of a waiter who is gone for longer than the grace; those behind move up', async () => {
    const eventId = fresh('event');
    const [inside, waiting, behind] = await line(server, eventId, 3);
    holding(inside, eventId);
    waiting.close();
    const began = performance.now();
    await until('the one behind to move up', () => heard(behind, 'queue-status').at(-1).position === 1);
    const lasted = performance.now() - began;
    assert.ok(lasted > GRACE - 200 && lasted < GRACE + 3_000, `${lasted} ms`);
    const again = await connect(server, waiting.user);
    assert.equal((await joinQueue(again, eventId)).position, 2, 'last now');
  });

  it('keeps the place of a waiter who is gone for less each time, however often', async () => {
    const [eventId, user] = [fresh('event'), fresh('user')];
    const turns = await clock(server);
    const inside = await connect(server);
    await joinQueue(inside, eventId);
    holding(inside, eventId);
    let socket = await connect(server, user);
    await joinQueue(socket, eventId);
    const behind = await connect(server);
    await joinQueue(behind, eventId);
    let gone = 0;
    while (gone < 1.3 * GRACE) {
      socket.close();
      const began = performance.now();
      await turns(0);
      gone += performance.now() - began;
      socket = await connect(server, user);
      assert.equal((await joinQueue(socket, eventId)).position, 1);
    }
    assert.equal((await joinQueue(behind, eventId)).position, 2);
  });

  it('does not miss a waiter who has another tab', async () => {
    const [eventId, user] = [fresh('event'), fresh('user')];
    const [inside, gone] = await line(server, eventId, 2);
    holding(inside, eventId);
    const tabs = await Promise.all([1, 2].map(() => connect(server, user)));
    for (const tab of tabs) assert.equal((await joinQueue(tab, eventId)).position, 2);
    const behind = await connect(server);
    await joinQueue(behind, eventId);
    tabs[0].close();
    gone.close();
    await until('the other one to be given up', () => heard(behind, 'queue-status').at(-1).position === 2);
    assert.equal((await joinQueue(tabs[1], eventId)).position, 1);
  });

  it('lets somebody in who is offline, and tells it on its return', async () => {
    const [eventId, user] = [fresh('event'), fresh('user')];
    const [inside] = await line(server, eventId, 1);
    const first = await connect(server, user);
    await joinQueue(first, eventId);
    const behind = await connect(server);
    await joinQueue(behind, eventId);
    first.close();
    await leaveQueue(inside, eventId);
    await until('the other one to move up', () => heard(behind, 'queue-status').at(-1).position === 1);
    const again = await connect(server, user);
    await hears(again, 'queue-entry-allowed');
    const { message, ...rest } = allowed(again)[0];
    assert.deepEqual(rest, { eventId, userId: user });
    assert.equal(typeof message, 'string');
    assert.equal((await done(again, 'queue:heartbeat', { eventId })).success, true);
    assert.equal(allowed(again).length, 1, 'once');
    assert.equal(allowed(behind).length, 0);
  });
});

describe('a crowd', () => {
  it('goes through in order when many vanish and half of those return: nobody twice, nobody forgotten', async (t) => {
    const [COUNT, THRESHOLD, eventId] = [1_000, 100, 'crowd'];
    const server = await start({ QUEUE_THRESHOLD: `${THRESHOLD}`, QUEUE_GRACE: '4s' });
    const began = performance.now();
    const sockets = [];
    while (sockets.length < COUNT) sockets.push(...(await many(server, 50)));
    t.diagnostic(`${COUNT} sockets in ${Math.round(performance.now() - began)} ms`);
    const answers = await Promise.all(sockets.map(async (socket) => ({ socket, ...(await joinQueue(socket, eventId)) })));
    let inside = answers.filter((a) => !a.queued).map((a) => a.socket);
    const waiting = answers.filter((a) => a.queued).sort((a, b) => a.position - b.position);
    assert.equal(inside.length, THRESHOLD);
    assert.deepEqual(waiting.map((a) => a.position), waiting.map((_, i) => i + 1));

    // Three of ten vanish, spread over the line; every other one of them is back soon.
    const crowd = waiting.map(({ socket, position }) => ({ socket, position, user: socket.user, gone: (position * 7) % 10 < 3 }));
    const vanished = crowd.filter((one) => one.gone);
    vanished.forEach((one) => one.socket.close());
    await Promise.all(vanished.filter((_, i) => i % 2 === 0).map(async (one) => {
      one.socket = await connect(server, one.user);
      one.gone = false;
      await hears(one.socket, 'queue-status');
      assert.equal(heard(one.socket, 'queue-status')[0].position, one.position, 'its place was kept');
    }));
    const staying = crowd.filter((one) => !one.gone);
    await until('the others to be given up', () => heard(staying[0].socket, 'queue-updated').at(-1)?.queueSize === staying.length);

    const admitted = [];
    for (const one of staying) one.socket.on('queue-entry-allowed', () => admitted.push(one));
    for (let passed = 0; passed < staying.length; passed += THRESHOLD) {
      await Promise.all(inside.map((socket) => leaveQueue(socket, eventId)));
      const next = staying.slice(passed, passed + THRESHOLD);
      await until('the next ones', () => admitted.length >= passed + next.length);
      const now = admitted.slice(passed).map((one) => one.position).sort((a, b) => a - b);
      assert.deepEqual(now, next.map((one) => one.position), 'those who came next, and only those');
      inside = next.map((one) => one.socket);
    }
    const status = await joinQueue(await connect(server), eventId);
    assert.deepEqual([status.queued, status.queueSize, status.currentUsers], [false, 0, inside.length + 1]);
    assert.ok(staying.every((one) => allowed(one.socket).length === 1), 'each of them once');
    assert.ok(crowd.filter((one) => one.gone).every((one) => allowed(one.socket).length === 0));
    const metrics = await server.metrics();
    assert.equal(metrics.signalbox_queue_admitted_total, THRESHOLD + staying.length + 1);
    assert.equal(metrics['signalbox_queue_left_total{reason="vanished"}'], crowd.length - staying.length);
    assert.equal(metrics['signalbox_session_restores_total{result="ok"}'], vanished.length - (crowd.length - staying.length));
    await until('the gauge', async () => (await server.metrics()).signalbox_queue_waiting === 0);
  });
});

describe('queues over HTTP', { concurrency: true }, () => {
  const GRACE = 2_000;
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1', QUEUE_GRACE: `${GRACE}ms` });
  });

  it('check lets in or joins the line, status says where one is, leave gives it up', async () => {
    const [eventId, first, second] = [fresh('event'), token(fresh('user')), token(fresh('user'))];
    const outside = { eventId, queued: false, position: null, queueSize: 0, estimatedWait: 0, currentUsers: 0, threshold: 1 };
    assert.deepEqual(await ok(server, 'GET', `queue/status/${eventId}`, first), outside);
    assert.deepEqual(await ok(server, 'POST', `queue/check/${eventId}`, first), { ...outside, currentUsers: 1 });
    const { estimatedWait, ...waiting } = await ok(server, 'POST', `queue/check/${eventId}`, second);
    assert.deepEqual(waiting, { eventId, queued: true, position: 1, queueSize: 1, currentUsers: 1, threshold: 1 });
    assert.ok(Number.isFinite(estimatedWait));
    assert.equal((await ok(server, 'POST', `queue/check/${eventId}`, second)).position, 1, 'again');
    assert.equal((await ok(server, 'GET', `queue/status/${eventId}`, second)).position, 1);
    assert.deepEqual(await ok(server, 'POST', `queue/leave/${eventId}`, first), { success: true, eventId });
    await until('the second to be let in', async () => !(await ok(server, 'GET', `queue/status/${eventId}`, second)).queued);
    assert.equal((await ok(server, 'GET', `queue/status/${eventId}`, second)).currentUsers, 1);
    assert.equal((await ok(server, 'POST', `queue/check/${eventId}`, first)).position, 1);
  });

  it('is the same line as over sockets, whose users hear of it', async () => {
    const [number, user] = [7_000_000 + process.pid, fresh('user')];
    const [inside] = await line(server, number, 1);
    assert.equal((await ok(server, 'POST', `queue/check/${number}`, token(user))).position, 1);
    assert.strictEqual((await ok(server, 'GET', `queue/status/${number}`, token(user))).eventId, `${number}`, 'from the path it is a text');
    const socket = await connect(server, user);
    assert.equal((await joinQueue(socket, number)).position, 1);
    await leaveQueue(inside, number);
    await hears(socket, 'queue-entry-allowed');
  });

  it('keeps the place of whoever asks, and takes that of whoever does not', async () => {
    const [eventId, asking, silent] = [fresh('event'), token(fresh('user')), token(fresh('user'))];
    await line(server, eventId, 1);
    assert.equal((await ok(server, 'POST', `queue/check/${eventId}`, silent)).position, 1);
    assert.equal((await ok(server, 'POST', `queue/check/${eventId}`, asking)).position, 2);
    await until('the silent one to lose its place', async () => (await ok(server, 'GET', `queue/status/${eventId}`, asking)).position === 1);
    const end = performance.now() + 2 * GRACE;
    while (performance.now() < end) {
      assert.equal((await ok(server, 'GET', `queue/status/${eventId}`, asking)).position, 1);
      await sleep(300);
    }
    const { queued, position } = await ok(server, 'GET', `queue/status/${eventId}`, silent);
    assert.deepEqual([queued, position], [false, null]);
  });

  it('wants a token, and an id that is one', async () => {
    for (const [method, where] of [['POST', 'queue/check/E'], ['GET', 'queue/status/E'], ['POST', 'queue/leave/E'], ['GET', 'queue/admin/E'], ['PUT', 'queue/admin/E'], ['POST', 'queue/admin/clear/E']]) {
      await no(server, method, where, undefined, 401, 'AUTH_ERROR', method === 'PUT' ? { threshold: 1 } : undefined);
      await no(server, method, where, 'nonsense', 401, 'AUTH_ERROR', method === 'PUT' ? { threshold: 1 } : undefined);
      for (const wrong of ['x'.repeat(65), 'a%00b', 'a%0Ab', '%7F']) {
        await no(server, method, where.replace(/E$/, wrong), ADMIN, 400, 'VALIDATION_ERROR', method === 'PUT' ? { threshold: 1 } : undefined);
      }
    }
    const eventId = '콘서트 1/2';
    assert.equal((await ok(server, 'POST', `queue/check/${encodeURIComponent(eventId)}`, token(fresh('user')))).eventId, eventId);
  });

  it('lets only admins look into a queue, change it and clear it', async () => {
    const eventId = fresh('event');
    const [, waiting] = await line(server, eventId, 2);
    const user = token('somebody', { role: 'monitor' });
    await no(server, 'GET', `queue/admin/${eventId}`, user, 403, 'FORBIDDEN');
    await no(server, 'PUT', `queue/admin/${eventId}`, user, 403, 'FORBIDDEN', { threshold: 5 });
    await no(server, 'POST', `queue/admin/clear/${eventId}`, user, 403, 'FORBIDDEN');
    assert.equal((await joinQueue(waiting, eventId)).position, 1);
    assert.deepEqual(await ok(server, 'GET', `queue/admin/${eventId}`, ADMIN), { eventId, queueSize: 1, currentUsers: 1, threshold: 1, available: 0 });
    const unused = fresh('event');
    assert.deepEqual(await ok(server, 'GET', `queue/admin/${unused}`, ADMIN), { eventId: unused, queueSize: 0, currentUsers: 0, threshold: 1, available: 1 });
  });

  it('changes the threshold of one event, at once and back again', async () => {
    const [eventId, other] = [fresh('event'), fresh('event')];
    const sockets = await line(server, eventId, 5);
    await line(server, other, 2);
    assert.equal((await ok(server, 'PUT', `queue/admin/${eventId}`, ADMIN, { threshold: 3 })).threshold, 3);
    for (const socket of sockets.slice(1, 3)) await hears(socket, 'queue-entry-allowed');
    assert.equal((await joinQueue(sockets[3], eventId)).position, 1);
    assert.deepEqual(await ok(server, 'GET', `queue/admin/${eventId}`, ADMIN), { eventId, queueSize: 2, currentUsers: 3, threshold: 3, available: 0 });
    assert.equal((await ok(server, 'GET', `queue/admin/${other}`, ADMIN)).threshold, 1);
    // Nobody who was let in is sent out.
    assert.deepEqual(await ok(server, 'PUT', `queue/admin/${eventId}`, ADMIN, { threshold: null }), { eventId, queueSize: 2, currentUsers: 3, threshold: 1, available: 0 });
    await leaveQueue(sockets[0], eventId);
    assert.equal((await joinQueue(sockets[3], eventId)).position, 1);
    for (const body of [{}, { threshold: -1 }, { threshold: 1.5 }, { threshold: '3' }, { threshold: 2 ** 53 }, { threshold: [1] }, [], null]) {
      await no(server, 'PUT', `queue/admin/${eventId}`, ADMIN, 400, 'VALIDATION_ERROR', body);
    }
  });

  it('sends everybody home who waits, and nobody else', async () => {
    const eventId = fresh('event');
    const [inside, ...waiting] = await line(server, eventId, 4);
    const [, elsewhere] = await line(server, fresh('event'), 2);
    assert.deepEqual(await ok(server, 'POST', `queue/admin/clear/${eventId}`, ADMIN), { success: true, cleared: 3 });
    for (const socket of waiting) {
      await hears(socket, 'queue-cleared');
      const [{ message, ...rest }] = heard(socket, 'queue-cleared');
      assert.deepEqual(rest, { eventId });
      assert.ok(message.length > 0);
    }
    await done(inside, 'queue:heartbeat', { eventId });
    await done(elsewhere, 'join-event', { eventId: fresh('event') });
    for (const socket of [inside, elsewhere]) assert.deepEqual(heard(socket, 'queue-cleared'), []);
    assert.equal((await ok(server, 'GET', `queue/admin/${eventId}`, ADMIN)).queueSize, 0);
    assert.deepEqual(await ok(server, 'POST', `queue/admin/clear/${eventId}`, ADMIN), { success: true, cleared: 0 });
    assert.equal((await joinQueue(waiting[2], eventId)).position, 1, 'the first one again');
  });
});
