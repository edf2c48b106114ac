// Events with the official client: who looks at one, and which ids, payloads and users the whole family takes.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { errorOf, inSession, once, until } from './server.mjs';
import { allowed, ask, atEnd, connect, done, fresh, heard, hears, joinQueue, leaveQueue, line, many, range, refused, sleep, start } from './ticketing.mjs';

describe('looking at an event', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start();
  });

  it('answers with how many users look, tells those who were there, and nobody else', async () => {
    const [eventId, other] = [fresh('event'), fresh('event')];
    const [first, second, elsewhere, idle] = await many(server, 4);
    assert.deepEqual(await done(first, 'join-event', { eventId }), { success: true, eventId, userCount: 1 });
    await hears(first, 'room-info');
    assert.deepEqual(heard(first, 'room-info'), [{ eventId, userCount: 1 }]);
    await done(elsewhere, 'join-event', { eventId: other });
    assert.deepEqual(await done(second, 'join-event', { eventId }), { success: true, eventId, userCount: 2 });
    await hears(first, 'room-info', 2);
    assert.deepEqual(heard(first, 'room-info')[1], { eventId, userCount: 2 });
    for (const info of heard(second, 'room-info')) assert.deepEqual(info, { eventId, userCount: 2 });
    assert.deepEqual(heard(elsewhere, 'room-info'), [{ eventId: other, userCount: 1 }]);
    assert.deepEqual(idle.heard, []);
  });

  it('is told at once where nothing was told for a second', async () => {
    const events = range(4).map(() => fresh('event'));
    const [watching, coming] = await many(server, 2);
    for (const eventId of events) await done(watching, 'join-event', { eventId });
    await sleep(1_200);
    for (const [i, eventId] of events.entries()) {
      const began = performance.now();
      coming.emit('join-event', { eventId });
      await hears(watching, 'room-info', events.length + i + 1);
      assert.deepEqual(heard(watching, 'room-info').at(-1), { eventId, userCount: 2 });
      const took = performance.now() - began;
      assert.ok(took < 500, `a turn of the clock was waited for: ${took} ms`);
    }
  });

  it('is told once a second at the most, in the end with the right number', async () => {
    const eventId = fresh('event');
    const watching = await connect(server);
    await done(watching, 'join-event', { eventId });
    for (const [i, socket] of (await many(server, 40)).entries()) {
      await done(socket, 'join-event', { eventId });
      if (i % 2 === 0) await done(socket, 'leave-event', { eventId });
      await sleep(50);
    }
    await until('the last number', () => heard(watching, 'room-info').at(-1).userCount === 21);
    const times = watching.heard.map((h) => h.at);
    assert.ok(times.length >= 3 && times.length <= 6, `${times.length} times in some 2.5 s`);
    const gaps = times.slice(2).map((at, i) => at - times[i + 1]);
    assert.ok(gaps.every((gap) => gap > 800), `${gaps} ms`);
  });

  it('is right in the end also for whoever came while it went up and down', async () => {
    const eventId = fresh('event');
    const [staying, leaving, early, late] = await many(server, 4);
    for (const socket of [staying, leaving]) await done(socket, 'join-event', { eventId });
    await until('all that was to be told', () => heard(staying, 'room-info').at(-1).userCount === 2);
    await sleep(1_200);
    await done(early, 'join-event', { eventId });
    assert.equal((await done(late, 'join-event', { eventId })).userCount, 4);
    await done(leaving, 'leave-event', { eventId });
    for (const socket of [staying, early, late]) {
      await until('the right number', () => heard(socket, 'room-info').at(-1).userCount === 3, 3_000);
    }
  });

  it('counts users, not sockets', async () => {
    const [eventId, user] = [fresh('event'), fresh('user')];
    const watching = await connect(server);
    await done(watching, 'join-event', { eventId });
    const tabs = await Promise.all([connect(server, user), connect(server, user), connect(server, user, { namespace: '/queue' })]);
    for (const tab of tabs) assert.equal((await done(tab, 'join-event', { eventId })).userCount, 2);
    assert.equal((await done(tabs[0], 'join-event', { eventId })).userCount, 2, 'the same socket again');
    tabs[0].close();
    await done(tabs[1], 'leave-event', { eventId });
    const third = await connect(server);
    assert.equal((await done(third, 'join-event', { eventId })).userCount, 3, 'one tab is left');
    tabs[2].close();
    await until('the user to be gone', async () => (await done(third, 'join-event', { eventId })).userCount === 2);
    await until('the news of it', () => heard(watching, 'room-info').at(-1).userCount === 2);
  });

  it('ends by leaving: the others hear it, whoever left hears no more; leaving again does no harm', async () => {
    const eventId = fresh('event');
    const [first, second] = await many(server, 2);
    for (const socket of [first, second]) await done(socket, 'join-event', { eventId });
    await hears(second, 'room-info');
    assert.deepEqual(await done(second, 'leave-event', { eventId }), { success: true, eventId });
    await until('the news', () => heard(first, 'room-info').at(-1).userCount === 1);
    assert.deepEqual(await done(second, 'leave-event', { eventId }), { success: true, eventId });
    const before = heard(second, 'room-info').length;
    const third = await connect(server);
    await done(third, 'join-event', { eventId });
    await until('the next news', () => heard(first, 'room-info').at(-1).userCount === 2);
    await done(second, 'leave-event', { eventId });
    assert.equal(heard(second, 'room-info').length, before);
  });
});

const EVENTS = {
  'join-event': {}, 'leave-event': {}, 'join-queue': {}, 'leave-queue': {}, 'queue:heartbeat': {}, 'join-seat-selection': {},
  'select-seat': { seatId: 'A' }, 'release-seat': { seatId: 'A' }, 'seat-selection-changed': { seats: ['A'] },
};

describe('what the family takes', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start({ QUEUE_THRESHOLD: '1', SIGNALING_AUTH: 'optional' });
  });
  const WRONG_IDS = {
    empty: '', 'too long': 'x'.repeat(65), 'a NUL': 'a\u0000', 'a line break': 'a\nb', 'a DEL': '\u007f', 'a C1 control': 'a\u0085', negative: -1,
    'a fraction': 1.5, 'beyond integers': 2 ** 53, huge: 1e300, 'an array': [7], 'an object': { id: 7 }, null: null, 'a truth': true,
  };

  for (const [event, more] of Object.entries(EVENTS)) {
    it(`${event} refuses wrong ids and payloads, and goes on`, async () => {
      const socket = await connect(server);
      for (const [what, eventId] of Object.entries(WRONG_IDS)) await refused(socket, event, { ...more, eventId }, 'VALIDATION_ERROR', what);
      await refused(socket, event, more, 'VALIDATION_ERROR', 'missing');
      for (const payload of [null, 'E', 7, true, [], [{ ...more, eventId: 'E' }]]) {
        await refused(socket, event, payload, 'VALIDATION_ERROR', JSON.stringify(payload));
      }
      const nothing = await ask(socket, event);
      assert.equal(nothing.error?.code, 'VALIDATION_ERROR', 'no payload');
      for (const size of [5_000, 500_000]) await refused(socket, event, { ...more, eventId: 'E', more: 'x'.repeat(size) }, 'PAYLOAD_TOO_LARGE', `${size} characters`);
      await refused(socket, event, { ...more, eventId: 'x'.repeat(100_000) }, 'PAYLOAD_TOO_LARGE', 'a huge id');
      assert.deepEqual(socket.heard, [], 'what asked for an acknowledgement is answered by it alone');
      const [error] = await Promise.all([once(socket, 'error'), socket.emit(event, { ...more, eventId: -1 })]);
      assert.equal(error.success, false);
      assert.deepEqual([error.code, error.message], [error.error.code, error.error.message]);
      assert.equal(errorOf(error).code, 'VALIDATION_ERROR');
      assert.equal((await joinQueue(socket, fresh('event'))).queued, false);
    });

    it(`${event} is for users: neither guests nor paired phones may`, async () => {
      const guest = await connect(server, 'nobody', { auth: {} });
      await refused(guest, event, { ...more, eventId: 'E' }, 'FORBIDDEN', 'a guest');

      const monitor = await connect(server);
      monitor.emit('registerClient', { role: 'monitor' });
      const [{ pairingCode }] = await Promise.all([once(monitor, 'session:created'), monitor.emit('session:create')]);
      const answer = await fetch(`${server.url}/api/pair`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ pairingCode }) });
      const phone = await connect(server, 'nobody', { auth: { token: (await answer.json()).token } });
      await refused(phone, event, { ...more, eventId: 'E' }, 'FORBIDDEN', 'a paired phone');
    });
  }

  it('takes no list for an object', async () => {
    const socket = await connect(server);
    const taken = [];
    for (const [event, more] of Object.entries(EVENTS)) {
      const answer = await ask(socket, event, ['E', ...Object.values(more)]);
      if (answer.error?.code !== 'VALIDATION_ERROR') taken.push(event);
    }
    assert.deepEqual(taken, []);
  });

  it('takes ids of 1 to 64 characters and integers below 2^53, and gives each back as it was sent', async () => {
    const socket = await connect(server);
    for (const eventId of ['x', 'x'.repeat(64), '콘서트'.repeat(21), '🎫'.repeat(64), ' ', '007', '../../etc', '__proto__', '"<b>', 0, 7, 2 ** 53 - 1]) {
      assert.strictEqual((await done(socket, 'join-event', { eventId })).eventId, eventId);
      assert.strictEqual((await joinQueue(socket, eventId)).eventId, eventId);
      assert.strictEqual((await done(socket, 'queue:heartbeat', { eventId })).eventId, eventId);
      assert.strictEqual((await done(socket, 'join-seat-selection', { eventId })).eventId, eventId);
      assert.strictEqual((await leaveQueue(socket, eventId)).eventId, eventId);
      assert.strictEqual((await done(socket, 'leave-event', { eventId })).eventId, eventId);
      for (const event of ['room-info', 'queue-status', 'queue-entry-allowed']) assert.strictEqual(heard(socket, event).at(-1).eventId, eventId);
    }
  });

  it('takes 7 and "7" as one event, "07" as another, and answers each client in its form', async () => {
    const number = 5_000_000 + process.pid;
    const text = `${number}`;
    const [first, second, third, fourth] = await many(server, 4);
    assert.strictEqual((await joinQueue(first, number)).eventId, number);
    assert.deepEqual([await joinQueue(second, text), await joinQueue(third, number)].map((a) => [a.eventId, a.position]), [[text, 1], [number, 2]]);
    assert.equal((await joinQueue(fourth, `0${number}`)).queued, false);
    await leaveQueue(first, number);
    await hears(second, 'queue-entry-allowed');
    assert.strictEqual(allowed(second)[0].eventId, text);
    await leaveQueue(second, text);
    await hears(third, 'queue-entry-allowed');
    assert.strictEqual(allowed(third)[0].eventId, number);
  });

  it('writes also what it sends to one client in the form of that client', async () => {
    const number = 6_000_000 + process.pid;
    const text = `${number}`;
    const sockets = await many(server, 5);
    const forms = [number, text, number, text, number];
    for (const [i, socket] of sockets.entries()) {
      await done(socket, 'join-event', { eventId: forms[i] });
      await joinQueue(socket, forms[i]);
    }
    // The others move up, and all of them hear of it.
    await leaveQueue(sockets[1], forms[1]);
    for (const socket of sockets.slice(2)) {
      await hears(socket, 'queue-status', 2);
      await hears(socket, 'queue-updated');
    }
    await until('the count', () => sockets.every((socket) => heard(socket, 'room-info').at(-1).userCount === 5));
    const wrong = [];
    for (const [i, socket] of sockets.entries()) {
      // What all hear is written as whoever came first wrote it.
      const own = socket.heard.filter(({ event }) => !['room-info', 'queue-updated'].includes(event));
      for (const { event, data } of own) if (data.eventId !== forms[i]) wrong.push(`${event} to the one that sent ${JSON.stringify(forms[i])}`);
    }
    assert.deepEqual([...new Set(wrong)], []);
  });

  it('is unknown in /scan and /rtc, as scans and signals are in /queue', async () => {
    const [scan, rtc, queue] = await Promise.all(['/scan', '/rtc', '/queue'].map((namespace) => connect(server, undefined, { namespace })));
    for (const [event, more] of Object.entries(EVENTS)) {
      for (const socket of [scan, rtc]) await refused(socket, event, { ...more, eventId: 'E' }, 'UNKNOWN_EVENT', socket.nsp);
    }
    for (const [event, payload] of Object.entries({
      registerClient: { role: 'monitor' }, joinSession: { sessionId: 's' }, scanOrder: { sessionId: 's', orderNo: 'A', ts: 1 }, 'join-room': 'abc', join: { roomId: 'abc' }, offer: { to: 'x', offer: {} },
    })) await refused(queue, event, payload, 'UNKNOWN_EVENT');
    assert.equal((await joinQueue(queue, fresh('event'))).queued, false);
  });

  it('keeps its news from sockets that scan, and theirs from those that wait', async () => {
    const [eventId, user] = ['shared', fresh('user')];
    const monitor = await inSession(server.url, user, 'monitor', 'shared', { transports: ['websocket'] });
    atEnd(() => monitor.close());
    const news = [];
    monitor.onAny((event) => news.push(event));
    const [inside, waiting] = await line(server, eventId, 2);
    await hears(waiting, 'queue-updated');
    await done(inside, 'select-seat', { eventId, seatId: 'A' }).catch(() => {});
    await ask(monitor, 'scanOrder', { sessionId: 'shared', orderNo: 'A', ts: 1 });
    await until('the scan', () => news.includes('navigate'));
    assert.deepEqual(news, ['navigate']);
    assert.deepEqual([...inside.heard, ...waiting.heard].filter((h) => h.event === 'navigate'), []);
  });
});
