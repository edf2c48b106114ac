// Seats with the official client: who holds which, who hears of it, how holds end, and that nobody holds what another one holds.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { TRANSPORTS, token, until } from './server.mjs';
import { ADMIN, ask, atEnd, connect, done, fresh, heard, hears, joinQueue, leaveQueue, many, no, ok, range, refused, sleep, start } from './ticketing.mjs';

const enter = (socket, eventId) => done(socket, 'join-seat-selection', { eventId });
const select = (socket, eventId, seatId) => done(socket, 'select-seat', { eventId, seatId });
const release = (socket, eventId, seatId) => done(socket, 'release-seat', { eventId, seatId });
const change = (socket, eventId, seats) => done(socket, 'seat-selection-changed', { eventId, seats });
const hold = async (socket, eventId) => (await enter(socket, eventId)).selected;

/** Sockets among the seats of an event. */
async function choosing(server, eventId, count) {
  const sockets = await many(server, count);
  for (const socket of sockets) await enter(socket, eventId);
  return sockets;
}

/** Everything that was sent to sockets in the seat room so far is there: a seat that was selected after it is. */
async function settled(server, eventId, sockets) {
  const [last, seatId] = [await connect(server), fresh('barrier')];
  await select(last, eventId, seatId);
  await release(last, eventId, seatId);
  for (const socket of sockets) {
    await until('the news after it', () => heard(socket, 'seats-released').some(({ seatIds }) => seatIds[0] === seatId));
    socket.heard = socket.heard.filter(({ data }) => ![data.seatId, data.seatIds?.[0]].includes(seatId));
  }
}

describe('a seat', { concurrency: true }, () => {
  const HOLD = 300_000;
  let server;
  before(async () => {
    server = await start();
  });

  it('is held by whoever selects it; everybody among the seats hears it, the sender too, and nobody else', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    const [elsewhere] = await choosing(server, fresh('event'), 1);
    const looking = await connect(server);
    await done(looking, 'join-event', { eventId });
    await joinQueue(looking, eventId);
    const { heldUntil, ...rest } = await select(first, eventId, 'A-1');
    assert.deepEqual(rest, { success: true, eventId, seatId: 'A-1' });
    assert.ok(Math.abs(heldUntil - Date.now() - HOLD) < 5_000, `${heldUntil - Date.now()} ms from now`);
    await settled(server, eventId, [first, second]);
    for (const socket of [first, second]) {
      const [{ timestamp, ...news }, ...more] = heard(socket, 'seat-selected');
      assert.deepEqual(news, { eventId, seatId: 'A-1', userId: first.user });
      assert.ok(Math.abs(timestamp - Date.now()) < 5_000);
      assert.deepEqual(more, []);
    }
    for (const socket of [elsewhere, looking]) {
      assert.deepEqual(socket.heard.filter((h) => h.event.startsWith('seat')), []);
    }
  });

  it('is shown to whoever comes: one\'s own, those that others hold', async () => {
    const eventId = fresh('event');
    assert.deepEqual(await enter(await connect(server), eventId), { success: true, eventId, selected: [], held: [], sold: [] });
    const [first, second] = await choosing(server, eventId, 2);
    await change(first, eventId, ['A', 'B']);
    await select(second, eventId, 'C');
    await select(second, fresh('event'), 'D');
    const seats = async (socket) => {
      const { selected, held, ...rest } = await enter(socket, eventId);
      assert.deepEqual(rest, { success: true, eventId, sold: [] });
      return [selected.sort(), held.sort()];
    };
    assert.deepEqual(await seats(first), [['A', 'B'], ['C']]);
    assert.deepEqual(await seats(second), [['C'], ['A', 'B']]);
    assert.deepEqual(await seats(await connect(server)), [[], ['A', 'B', 'C']]);
    assert.deepEqual(await seats(await connect(server, first.user)), [['A', 'B'], ['C']], 'another tab');
  });

  it('selected again by its holder is answered as before, also from another tab, and nobody is told', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    const answer = await select(first, eventId, 'A');
    const tab = await connect(server, first.user, { namespace: '/queue' });
    await enter(tab, eventId);
    for (const socket of [first, tab, tab]) assert.deepEqual(await select(socket, eventId, 'A'), answer);
    await settled(server, eventId, [first, second, tab]);
    assert.deepEqual([first, second, tab].map((socket) => heard(socket, 'seat-selected').length), [1, 1, 0]);
  });

  it('held by another is a conflict, and nobody is told', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    await select(first, eventId, 'A');
    const before = (await server.metrics())['signalbox_seat_selections_total{result="conflict"}'];
    await refused(second, 'select-seat', { eventId, seatId: 'A' }, 'CONFLICT');
    assert.ok((await server.metrics())['signalbox_seat_selections_total{result="conflict"}'] > before);
    await select(second, fresh('event'), 'A');
    await settled(server, eventId, [first, second]);
    assert.deepEqual(heard(second, 'seat-selected').map((s) => s.userId), [first.user]);
    assert.deepEqual([await hold(first, eventId), await hold(second, eventId)], [['A'], []]);
  });

  it('can be given back: the others hear it and may have it', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    const [elsewhere] = await choosing(server, fresh('event'), 1);
    await select(first, eventId, 'A');
    assert.deepEqual(await release(first, eventId, 'A'), { success: true, eventId, seatId: 'A' });
    await select(second, eventId, 'A');
    await settled(server, eventId, [first, second]);
    for (const socket of [first, second]) {
      assert.deepEqual(socket.heard.filter((h) => h.event.startsWith('seat')).map(({ event, data }) => [event, data.userId ?? data]), [
        ['seat-selected', first.user], ['seats-released', { eventId, seatIds: ['A'] }], ['seat-selected', second.user],
      ]);
    }
    assert.deepEqual(elsewhere.heard, []);
  });

  it('of another one, or of nobody, cannot be given back', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    await select(first, eventId, 'A');
    await refused(second, 'release-seat', { eventId, seatId: 'A' }, 'FORBIDDEN', 'another\'s');
    await refused(second, 'release-seat', { eventId, seatId: 'B' }, 'NOT_FOUND', 'nobody\'s');
    await refused(first, 'release-seat', { eventId: fresh('event'), seatId: 'A' }, 'NOT_FOUND', 'another event\'s');
    await release(first, eventId, 'A');
    await refused(first, 'release-seat', { eventId, seatId: 'A' }, 'NOT_FOUND', 'given back before');
    await settled(server, eventId, [second]);
    assert.equal(heard(second, 'seats-released').length, 1);
  });

  it('is one of ten at the most, over all events and tabs', async () => {
    const [eventId, other] = [fresh('event'), fresh('event')];
    const [socket] = await choosing(server, eventId, 1);
    const tab = await connect(server, socket.user);
    for (const seatId of range(6)) await select(socket, eventId, seatId);
    for (const seatId of range(4)) await select(tab, other, seatId);
    for (const [at, where] of [[socket, eventId], [tab, other], [socket, fresh('event')]]) await refused(at, 'select-seat', { eventId: where, seatId: 99 }, 'RATE_LIMIT', 'the 11th');
    assert.equal((await select(socket, eventId, 3)).success, true, 'it has that one');
    await release(tab, other, 0);
    await select(socket, eventId, 99);
    await refused(tab, 'select-seat', { eventId: other, seatId: 0 }, 'RATE_LIMIT');
    // What cannot be had is not counted, nor what others hold.
    const another = await connect(server);
    for (const seatId of range(10)) await refused(another, 'select-seat', { eventId, seatId: 99 }, 'CONFLICT', `${seatId}`);
    await select(another, eventId, 'A');
  });

  it('is for those who were let in, while others wait', async () => {
    const events = [fresh('event'), fresh('event')];
    const crowded = await start({ QUEUE_THRESHOLD: '1' });
    const [inside, waiting, stranger] = await many(crowded, 3);
    for (const eventId of events) {
      await joinQueue(inside, eventId);
      assert.equal((await select(stranger, eventId, 'before')).success, true, 'nobody waits');
      await joinQueue(waiting, eventId);
    }
    const [eventId, other] = events;
    assert.equal((await select(inside, eventId, 'A')).success, true);
    for (const socket of [waiting, stranger]) {
      await refused(socket, 'select-seat', { eventId, seatId: 'B' }, 'FORBIDDEN');
      await refused(socket, 'seat-selection-changed', { eventId, seats: ['B'] }, 'FORBIDDEN', 'nor by the way round');
    }
    await release(stranger, eventId, 'before');
    await leaveQueue(waiting, eventId);
    assert.equal((await select(stranger, eventId, 'B')).success, true, 'nobody waits any more');
    await refused(stranger, 'select-seat', { eventId: other, seatId: 'B' }, 'FORBIDDEN', 'of the other event');
    await leaveQueue(inside, other);
    await until('the turn of the one who waits', () => heard(waiting, 'queue-entry-allowed').length === 1);
    assert.equal((await select(waiting, other, 'B')).success, true);
  });

  it('is named by its id as it was sent; 7 and "7" are the same', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    for (const seatId of ['x', '석'.repeat(64), '007', 'A 1/2', 0, 2 ** 53 - 1]) {
      assert.strictEqual((await select(first, eventId, seatId)).seatId, seatId);
      assert.strictEqual((await release(first, eventId, seatId)).seatId, seatId);
      await settled(server, eventId, [first]);
      assert.strictEqual(heard(first, 'seat-selected').at(-1).seatId, seatId);
      assert.strictEqual(heard(first, 'seats-released').at(-1).seatIds[0], seatId);
    }
    await select(first, eventId, 7);
    await select(second, eventId, '07');
    await refused(second, 'select-seat', { eventId, seatId: '7' }, 'CONFLICT');
    await refused(second, 'release-seat', { eventId, seatId: '7' }, 'FORBIDDEN');
    assert.strictEqual((await select(first, eventId, '7')).seatId, '7', 'as it was sent this time');
    assert.deepEqual((await change(first, eventId, ['7', 7, 8, '9'])).selected, ['7', 8, '9']);
    assert.equal((await release(first, eventId, '7')).success, true);
    assert.deepEqual((await hold(first, eventId)).map(String).sort(), ['8', '9']);
  });

  it('has an id that is one', async () => {
    const [socket, eventId] = [await connect(server), fresh('event')];
    for (const [what, seatId] of Object.entries({
      empty: '', 'too long': 'x'.repeat(65), 'a NUL': 'a\u0000', 'a line break': 'a\nb', 'a DEL': '\u007f', negative: -1, 'a fraction': 1.5, 'beyond integers': 2 ** 53,
      'an array': ['A'], 'an object': { id: 'A' }, null: null, 'a truth': false, missing: undefined,
    })) {
      await refused(socket, 'select-seat', { eventId, seatId }, 'VALIDATION_ERROR', what);
      await refused(socket, 'release-seat', { eventId, seatId }, 'VALIDATION_ERROR', what);
      await refused(socket, 'seat-selection-changed', { eventId, seats: ['A', seatId] }, 'VALIDATION_ERROR', what);
    }
    for (const seats of [undefined, null, 'A', 7, {}, { 0: 'A' }, [['A']]]) await refused(socket, 'seat-selection-changed', { eventId, seats }, 'VALIDATION_ERROR', JSON.stringify(seats));
    for (const event of ['select-seat', 'release-seat']) await refused(socket, event, { eventId, seatId: 'x'.repeat(5_000) }, 'PAYLOAD_TOO_LARGE');
    assert.deepEqual(await hold(socket, eventId), []);
  });

  for (const [how, transports] of Object.entries(TRANSPORTS)) {
    for (const namespace of ['', '/queue']) {
      it(`can be had in ${namespace || '/'} by ${how}`, async () => {
        const eventId = fresh('event');
        const [first, second] = await Promise.all([1, 2].map(() => connect(server, undefined, { namespace, transports })));
        for (const socket of [first, second]) await enter(socket, eventId);
        await select(first, eventId, 'A');
        await until('the news', () => heard(second, 'seat-selected').length === 1);
        first.close();
        await refused(second, 'select-seat', { eventId, seatId: 'A' }, 'CONFLICT', 'a hold outlives its socket');
      });
    }
  }
});

describe('a changed selection', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start();
  });
  const news = (socket) => socket.heard.filter((h) => h.event.startsWith('seat')).map(({ event, data }) => (event === 'seat-selected' ? `${data.userId} has ${data.seatId}` : `free: ${[...data.seatIds].sort()}`));

  it('replaces what the user held of the event; the room hears each new seat and once what was given up', async () => {
    const [eventId, other] = [fresh('event'), fresh('event')];
    const [first, second] = await choosing(server, eventId, 2);
    await select(first, other, 'A');
    assert.deepEqual(await change(first, eventId, ['A', 'B', 'C']), { success: true, eventId, selected: ['A', 'B', 'C'], refused: [] });
    await settled(server, eventId, [first, second]);
    for (const socket of [first, second]) assert.deepEqual(news(socket).sort(), ['A', 'B', 'C'].map((seat) => `${first.user} has ${seat}`));
    for (const socket of [first, second]) socket.heard.length = 0;

    assert.deepEqual(await change(first, eventId, ['C', 'D']), { success: true, eventId, selected: ['C', 'D'], refused: [] });
    await settled(server, eventId, [first, second]);
    for (const socket of [first, second]) assert.deepEqual(news(socket).sort(), ['free: A,B', `${first.user} has D`]);
    for (const { data } of second.heard) {
      assert.equal(data.eventId, eventId);
      assert.ok(data.seatIds || Math.abs(data.timestamp - Date.now()) < 5_000);
    }
    assert.deepEqual([(await hold(first, eventId)).sort(), await hold(first, other)], [['C', 'D'], ['A']]);
    for (const socket of [first, second]) socket.heard.length = 0;

    assert.deepEqual(await change(first, eventId, ['D', 'C', 'D']), { success: true, eventId, selected: ['D', 'C'], refused: [] }, 'nothing new');
    assert.deepEqual((await change(first, eventId, [])).selected, []);
    await settled(server, eventId, [second]);
    assert.deepEqual(news(second), ['free: C,D']);
    assert.deepEqual(await hold(first, eventId), []);
  });

  it('takes what can be had, and says what cannot', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    await change(first, eventId, ['A', 'B']);
    await change(second, eventId, ['C']);
    assert.deepEqual(await change(second, eventId, ['A', 'D', 'B']), { success: true, eventId, selected: ['D'], refused: ['A', 'B'] });
    assert.deepEqual([(await hold(first, eventId)).sort(), await hold(second, eventId)], [['A', 'B'], ['D']]);
    await settled(server, eventId, [first]);
    assert.deepEqual(news(first).slice(3).sort(), ['free: C', `${second.user} has D`]);
  });

  it('keeps the time of a seat that is kept', async () => {
    const eventId = fresh('event');
    const [socket] = await choosing(server, eventId, 1);
    const { heldUntil } = await select(socket, eventId, 'A');
    await change(socket, eventId, ['A', 'B']);
    assert.equal((await select(socket, eventId, 'A')).heldUntil, heldUntil);
  });

  it('of more than ten different seats changes nothing, other events count as well', async () => {
    const [eventId, other] = [fresh('event'), fresh('event')];
    const [first, second] = await choosing(server, eventId, 2);
    await change(first, eventId, ['A', 'B']);
    await settled(server, eventId, [second]);
    second.heard.length = 0;
    const unchanged = async (what, seats, code = 'RATE_LIMIT') => {
      await refused(first, 'seat-selection-changed', { eventId, seats }, code, what);
      assert.deepEqual((await hold(first, eventId)).sort(), ['A', 'B'], what);
    };
    await unchanged('eleven', range(11));
    await unchanged('eleven with its own', ['A', 'B', ...range(9)]);
    await unchanged('hundreds', range(900));
    await unchanged('ten thousand', range(10_000), 'PAYLOAD_TOO_LARGE');
    await select(first, other, 'C');
    await unchanged('ten here, one there', range(10));
    await settled(server, eventId, [second]);
    assert.deepEqual(second.heard, []);
    assert.equal((await change(first, eventId, [...range(9), ...range(9), 0])).selected.length, 9, 'the same again is not another one');
    assert.equal((await change(second, fresh('event'), range(10))).selected.length, 10);
    assert.deepEqual((await change(second, fresh('event'), [])).selected, []);
  });

  it('crossing another one leaves each seat with one of the two', async () => {
    const eventId = fresh('event');
    const [first, second, watching] = await choosing(server, eventId, 3);
    for (let i = 0; i < 50; i += 1) {
      const answers = await Promise.all([change(first, eventId, range(6, i)), change(second, eventId, range(6, i + 3))]);
      const [a, b] = answers.map((answer) => answer.selected);
      assert.deepEqual(a.filter((seat) => b.includes(seat)), [], `round ${i}`);
      assert.deepEqual([await hold(first, eventId), await hold(second, eventId)].map((seats) => seats.sort((x, y) => x - y)), [a, b]);
    }
    await settled(server, eventId, [watching]);
    // Who heard everything knows who has what.
    const seats = new Map();
    for (const { event, data } of watching.heard) {
      if (event === 'seat-selected') {
        assert.ok(!seats.has(data.seatId), `${data.seatId} is held`);
        seats.set(data.seatId, data.userId);
      } else data.seatIds.forEach((seat) => assert.ok(seats.delete(seat), `${seat} is free`));
    }
    for (const socket of [first, second]) {
      const known = [...seats].filter(([, user]) => user === socket.user).map(([seat]) => seat);
      assert.deepEqual(known.sort((x, y) => x - y), (await hold(socket, eventId)).sort((x, y) => x - y));
    }
  });
});

describe('the end of a hold', { concurrency: true }, () => {
  const HOLD = 1_500;
  let server;
  before(async () => {
    server = await start({ SEAT_HOLD: `${HOLD}ms`, SEATS_PER_USER: '2' });
  });

  it('is heard by everybody among the seats, and the seat can be had again', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    const [elsewhere] = await choosing(server, fresh('event'), 1);
    const began = performance.now();
    const { heldUntil } = await select(first, eventId, 'A');
    assert.ok(Math.abs(heldUntil - Date.now() - HOLD) < 500);
    await refused(second, 'select-seat', { eventId, seatId: 'A' }, 'CONFLICT', 'until then');
    for (const socket of [first, second]) {
      await until('the end', () => heard(socket, 'seats-released').length === 1);
      assert.deepEqual(heard(socket, 'seats-released'), [{ eventId, seatIds: ['A'] }]);
    }
    const lasted = performance.now() - began;
    assert.ok(lasted > HOLD - 200 && lasted < HOLD + 2_000, `${lasted} ms`);
    await refused(first, 'release-seat', { eventId, seatId: 'A' }, 'NOT_FOUND', 'it is over');
    await select(second, eventId, 'A');
    assert.deepEqual(elsewhere.heard, []);
    assert.ok((await server.metrics()).signalbox_seats_expired_total >= 1);
  });

  it('is not put off by selecting again, nor by the socket going away', async () => {
    const eventId = fresh('event');
    const [first, second, watching] = await choosing(server, eventId, 3);
    const began = performance.now();
    await select(first, eventId, 'A');
    await select(second, eventId, 'B');
    second.close();
    while (performance.now() - began < HOLD - 400) {
      await select(first, eventId, 'A');
      await sleep(100);
    }
    await until('both ends', () => heard(watching, 'seats-released').flatMap((r) => r.seatIds).length >= 2);
    assert.deepEqual(heard(watching, 'seats-released').flatMap((r) => r.seatIds).sort(), ['A', 'B']);
    assert.ok(performance.now() - began < HOLD + 2_000);
  });

  for (const [who, again] of [['another one', 1], ['the same one', 0]]) {
    it(`is told before the seat is ${who}'s, however quickly that one takes it`, async () => {
      const eventId = fresh('event');
      const sockets = await choosing(server, eventId, 3);
      const watching = sockets[2];
      const { heldUntil } = await select(sockets[0], eventId, 'A');
      await until('the last moment', () => Date.now() > heldUntil - 20);
      // Asked all the time, since a turn of the clock may be near.
      await until('the seat', async () => {
        const answer = await ask(sockets[again], 'select-seat', { eventId, seatId: 'A' });
        return answer.success && answer.heldUntil > heldUntil;
      });
      await until('the news', () => heard(watching, 'seat-selected').length === 2);
      assert.deepEqual(watching.heard.map((h) => h.event), ['seat-selected', 'seats-released', 'seat-selected']);
    });
  }

  it('comes early when nobody of the user comes back in time, and not while a tab of it is there', async () => {
    const WINDOW = 1_000;
    const windowed = await start({ RESTORE_WINDOW: `${WINDOW}ms`, SEAT_HOLD: '5m' });
    const eventId = fresh('event');
    const [gone, staying, watching] = await choosing(windowed, eventId, 3);
    const tab = await connect(windowed, staying.user, { namespace: '/queue' });
    await select(staying, eventId, 'B');
    staying.close();
    await change(gone, eventId, ['A']);
    const began = performance.now();
    gone.close();
    await hears(watching, 'seats-released');
    const lasted = performance.now() - began;
    assert.ok(lasted > WINDOW - 200, `${lasted} ms`);
    await select(watching, eventId, 'A');
    // The tab did nothing for longer than that.
    await refused(watching, 'select-seat', { eventId, seatId: 'B' }, 'CONFLICT');
    tab.close();
    await hears(watching, 'seats-released', 2);
    await select(watching, eventId, 'B');
    assert.deepEqual(heard(watching, 'seats-released'), ['A', 'B'].map((seatId) => ({ eventId, seatIds: [seatId] })));
  });

  it('gives room for others of the same user', async () => {
    const eventId = fresh('event');
    const [socket] = await choosing(server, eventId, 1);
    await change(socket, eventId, ['A', 'B']);
    await refused(socket, 'select-seat', { eventId, seatId: 'C' }, 'RATE_LIMIT', 'SEATS_PER_USER is 2');
    await until('the end of both', () => heard(socket, 'seats-released').flatMap((r) => r.seatIds).length === 2);
    assert.deepEqual((await change(socket, eventId, ['C', 'D'])).selected, ['C', 'D']);
  });
});

describe('a race for one seat', () => {
  it('of two hundred sockets has one winner in each of fifty rounds, and everybody is told once', async (t) => {
    const [COUNT, ROUNDS, eventId] = [200, 50, 'race'];
    const server = await start();
    const sockets = [];
    while (sockets.length < COUNT) sockets.push(...(await many(server, 50)));
    await Promise.all(sockets.map((socket) => enter(socket, eventId)));
    const winners = new Set();
    const began = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) {
      const from = (round * 37) % COUNT;
      const runners = [...sockets.slice(from), ...sockets.slice(0, from)];
      const answers = await Promise.all(runners.map((socket) => ask(socket, 'select-seat', { eventId, seatId: round % 2 })));
      const won = runners.filter((_, i) => answers[i].success);
      assert.equal(won.length, 1, `${won.length} in round ${round}`);
      assert.ok(answers.every((answer) => answer.success || answer.error.code === 'CONFLICT'));
      winners.add(won[0].user);
      await release(won[0], eventId, round % 2);
      for (const socket of sockets) {
        await until('the end of the round', () => heard(socket, 'seats-released').length === 1);
        assert.deepEqual(heard(socket, 'seat-selected').map(({ seatId, userId }) => [seatId, userId]), [[round % 2, won[0].user]]);
        socket.heard.length = 0;
      }
    }
    t.diagnostic(`${Math.round(performance.now() - began)} ms, ${winners.size} different winners`);
    const metrics = await server.metrics();
    assert.equal(metrics['signalbox_seat_selections_total{result="held"}'], ROUNDS);
    assert.equal(metrics['signalbox_seat_selections_total{result="conflict"}'], ROUNDS * (COUNT - 1));
    await until('the gauge', async () => (await server.metrics()).signalbox_seats_held === 0);
  });
});

describe('seats over HTTP', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start();
  });
  const map = (eventId) => `seats/admin/${encodeURIComponent(eventId)}`;
  const show = (eventId) => ok(server, 'GET', map(eventId), ADMIN);
  const put = (eventId, body) => ok(server, 'PUT', map(eventId), ADMIN, body);

  it('shows and makes the map of an event; what is not on it does not exist', async () => {
    const eventId = fresh('event');
    const [first] = await choosing(server, eventId, 1);
    assert.deepEqual(await show(eventId), { eventId, seats: [] });
    assert.deepEqual(await put(eventId, { free: ['A', 'B', 'C'], sold: ['D'] }), { success: true, changed: 4 });
    const { heldUntil } = await select(first, eventId, 'A');
    const { seats } = await show(eventId);
    assert.deepEqual(seats.sort((a, b) => (a.seatId < b.seatId ? -1 : 1)), [
      { seatId: 'A', status: 'held', userId: first.user, heldUntil }, { seatId: 'B', status: 'free' }, { seatId: 'C', status: 'free' }, { seatId: 'D', status: 'sold' },
    ]);
    await refused(first, 'select-seat', { eventId, seatId: 'E' }, 'NOT_FOUND', 'not on the map');
    await refused(first, 'select-seat', { eventId, seatId: 'D' }, 'CONFLICT', 'sold');
    assert.deepEqual(await change(first, eventId, ['A', 'D', 'E', 'B']), { success: true, eventId, selected: ['A', 'B'], refused: ['D', 'E'] });
    assert.deepEqual((await enter(first, eventId)).sold, ['D']);
    await release(first, eventId, 'A');
    assert.equal((await show(eventId)).seats.find((seat) => seat.seatId === 'A').status, 'free');
  });

  it('sells: holds end without news, and frees again with news', async () => {
    const eventId = fresh('event');
    const [first, second] = await choosing(server, eventId, 2);
    await select(first, eventId, 'A');
    assert.deepEqual(await put(eventId, { sold: ['A'] }), { success: true, changed: 1 });
    await settled(server, eventId, [first, second]);
    assert.deepEqual([heard(first, 'seats-released'), heard(second, 'seats-released')], [[], []]);
    assert.deepEqual(await enter(first, eventId), { success: true, eventId, selected: [], held: [], sold: ['A'] });
    await refused(first, 'select-seat', { eventId, seatId: 'A' }, 'CONFLICT');
    await refused(first, 'release-seat', { eventId, seatId: 'A' }, 'NOT_FOUND', 'nobody holds it');
    assert.deepEqual(await put(eventId, { free: ['A'] }), { success: true, changed: 1 });
    for (const socket of [first, second]) {
      await until('the news', () => heard(socket, 'seats-released').length === 1);
      assert.deepEqual(heard(socket, 'seats-released'), [{ eventId, seatIds: ['A'] }]);
    }
    await select(second, eventId, 'A');
  });

  it('keeps map and sales over the death of the server', async () => {
    const DATA_DIR = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-seats-'));
    atEnd(() => fs.rmSync(DATA_DIR, { recursive: true, force: true }));
    const first = await start({ DATA_DIR });
    await ok(first, 'PUT', map('E'), ADMIN, { free: ['A', 'B'], sold: ['C'] });
    first.kill('SIGKILL');
    await first.exited;
    const socket = await connect(await start({ DATA_DIR }));
    assert.deepEqual((await enter(socket, 'E')).sold, ['C']);
    await refused(socket, 'select-seat', { eventId: 'E', seatId: 'C' }, 'CONFLICT');
    await refused(socket, 'select-seat', { eventId: 'E', seatId: 'D' }, 'NOT_FOUND');
    await select(socket, 'E', 'A');
  });

  it('is for admins, and takes what it can understand', async () => {
    const eventId = fresh('event');
    for (const [method, body] of [['GET'], ['PUT', { free: ['A'] }]]) {
      for (const [as, status, code] of [[undefined, 401, 'AUTH_ERROR'], ['nonsense', 401, 'AUTH_ERROR'], [token('x'), 403, 'FORBIDDEN'], [token('x', { role: 'monitor' }), 403, 'FORBIDDEN']]) {
        await no(server, method, map(eventId), as, status, code, body);
      }
      for (const wrong of ['x'.repeat(65), 'a\u0000', 'a\nb']) await no(server, method, map(wrong), ADMIN, 400, 'VALIDATION_ERROR', body);
    }
    for (const body of [{ free: 'A' }, { free: [''] }, { sold: [-1] }, { sold: [1.5] }, { sold: [null] }, { free: { A: 1 } }, [], 'A', null]) {
      await no(server, 'PUT', map(eventId), ADMIN, 400, 'VALIDATION_ERROR', body);
    }
    assert.deepEqual((await show(eventId)).seats, []);
    assert.deepEqual(await put(eventId, { free: [7], sold: ['8'] }), { success: true, changed: 2 });
    assert.deepEqual((await show(eventId)).seats, [{ seatId: 7, status: 'free' }, { seatId: '8', status: 'sold' }]);
  });
});
