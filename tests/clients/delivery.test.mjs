// What becomes of a scan: kept, once, in order, replayed to whoever missed it, and told when it was shown.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { TRANSPORTS, UNLIMITED, client, errorOf, inSession, nonce, once, startServer, until } from './server.mjs';

/** Nothing listens there: the server starts without its store. */
const NO_STORE = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
const KEPT = 500;

// What a test leaves behind, also one that fails: later things go first.
const leftovers = [];
afterEach(async () => {
  while (leftovers.length > 0) await leftovers.pop()();
});
const tidy = (socket) => {
  leftovers.push(() => socket.close());
  return socket;
};

function dataDir() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-data-'));
  leftovers.push(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function started(settings) {
  const server = await startServer({ ...UNLIMITED, ...settings });
  leftovers.push(() => server.stop());
  return server;
}

async function killed(server) {
  server.kill('SIGKILL');
  await server.exited;
}

const phone = async (server, session, user = 'phone') =>
  tidy(await inSession(server.url, user, 'mobile', session, { transports: ['websocket'] }));

/** Joins as `join` says, once: whoever is disconnected stays away. Keeps what it was sent, from the start. */
async function joins(server, role, join, options = {}) {
  const socket = tidy(client(server.url, options.user ?? `a ${role}`, role, { reconnection: false, transports: ['websocket'], ...options }));
  const seen = [];
  socket.on('navigate', (n, ack) => {
    seen.push(n);
    if (options.acks) ack?.();
  });
  socket.emit('registerClient', { role });
  socket.emit('joinSession', join);
  return { socket, seen, joined: await once(socket, 'joinedSession') };
}

const scan = (from, sessionId, orderNo, more = {}) => from.emitWithAck('scanOrder', { sessionId, orderNo, ts: 1, ...more });

/** Scans back to back; the answers. */
const scans = (from, session, count, prefix = 'O') =>
  Promise.all(Array.from({ length: count }, (_, i) => scan(from, session, `${prefix}-${i + 1}`, { nonce: `${prefix}-${i + 1}` })));

const seqs = (list) => list.map((n) => n.seq);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Everything in `list` is there once and in order, from `first` to whatever came last; no live one is before a replayed one. */
function assertWhole(list, first) {
  assert.deepEqual(seqs(list), range(first, first + list.length - 1));
  const live = list.findIndex((n) => !n.replayed);
  assert.ok(live === -1 || list.slice(live).every((n) => n.replayed === undefined), 'replayed ones come before live ones');
}

/** What is sent to the server through it waits while it is held. */
async function gate(port) {
  let waiting;
  const server = net.createServer((from) => {
    const to = net.connect({ port, host: '127.0.0.1' });
    to.pipe(from);
    from.on('data', (data) => (waiting ? waiting.push(() => to.write(data)) : to.write(data)));
    from.on('close', () => to.destroy()).on('error', () => {});
    to.on('close', () => from.destroy()).on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  leftovers.push(() => server.close());
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    hold() {
      waiting ??= [];
    },
    release() {
      waiting?.forEach((write) => write());
      waiting = undefined;
    },
  };
}

describe('an acknowledged scan', () => {
  it('has the next place of its session, from 1, and says so', async () => {
    const server = await started();
    const from = await phone(server, 's');
    const other = await phone(server, 'elsewhere');
    const first = await scan(from, 's', 'A', { nonce: 'n-1' });
    const { epoch, flow, traceId, ...rest } = first;
    assert.deepEqual(rest, { received: true, nonce: 'n-1', seq: 1, duplicate: false, durable: true, monitors: 0 });
    assert.match(epoch, /^[0-9a-f]{16}$/);
    assert.match(flow, /^[0-9A-Z]{2}-[0-9A-Z]{4}$/);
    assert.match(traceId, /^[0-9a-f]{32}$/);
    await Promise.all([1, 2].map((i) => joins(server, 'monitor', { sessionId: 's' }, { user: `m${i}` })));
    assert.equal((await scan(from, 's', 'B')).monitors, 2);
    // Two sessions, two sequences, also when they are scanned in turns.
    const [here, there] = [[], []];
    for (let i = 0; i < 20; i += 1) {
      here.push(scan(from, 's', `H-${i}`));
      there.push(scan(other, 'elsewhere', `T-${i}`));
    }
    assert.deepEqual(seqs(await Promise.all(here)), range(3, 22));
    assert.deepEqual(seqs(await Promise.all(there)), range(1, 20));
  });

  it('survives SIGKILL in the middle of scanning, with its place, and nothing gets it a second time', async () => {
    const DATA_DIR = dataDir();
    const first = await started({ DATA_DIR });
    const from = await phone(first, 's');
    from.io.reconnection(false);
    const acked = [];
    const offered = [];
    const offer = () => {
      const name = `O-${offered.length}`;
      offered.push(name);
      from.emit('scanOrder', { sessionId: 's', orderNo: name, ts: 1, nonce: name }, (ack) => {
        acked.push({ name, ...ack });
        if (from.connected) offer();
      });
    };
    for (let i = 0; i < 20; i += 1) offer();
    await until('some scans', () => acked.length >= 200);
    await killed(first);
    await until('the end of the connection', () => !from.connected);
    assert.deepEqual(seqs(acked), range(1, acked.length));
    assert.ok(acked.every((ack) => ack.durable && !ack.duplicate));
    assert.ok(offered.length > acked.length, 'some were never answered');

    const second = await started({ DATA_DIR });
    const { socket, seen, joined } = await joins(second, 'monitor', { sessionId: 's', lastSeq: 0 });
    assert.equal(joined.epoch, acked[0].epoch);
    const last = joined.seq;
    assert.ok(last >= acked.length && last <= offered.length, `${last} of ${offered.length}`);
    await until('all of them', () => seen.length >= Math.min(last, KEPT));
    const kept = new Map(seen.map((n) => [n.orderNo, n.seq]));
    const expected = acked.filter((ack) => ack.seq > last - KEPT);
    assert.deepEqual(expected.map((ack) => kept.get(ack.name)), seqs(expected));

    // The phone tries what was not answered again: no place is given twice, none is left out.
    const again = await phone(second, 's');
    const retried = [];
    for (const name of offered.slice(acked.length)) retried.push(await scan(again, 's', name, { nonce: name }));
    assert.deepEqual(seqs(retried), range(acked.length + 1, offered.length));
    assert.ok(retried.every((ack) => ack.duplicate === (ack.seq <= last) && ack.epoch === acked[0].epoch));
    assert.equal((await scan(again, 's', 'new')).seq, offered.length + 1);
    await until('the new one', () => seen.at(-1).orderNo === 'new');
    assertWhole(seen, Math.max(1, last - KEPT + 1));
    socket.close();
  });

  it('leaves its session at its place when that is idle and dropped', async () => {
    const server = await started({ SESSION_IDLE_TIMEOUT: '1s', SESSION_SWEEP_INTERVAL: '500ms' });
    const from = await phone(server, 's');
    const acks = await scans(from, 's', 3);
    assert.deepEqual(seqs(acks), [1, 2, 3]);
    await until('the session to be dropped', () => server.log().some((line) => line.includes('Idle sessions were dropped')));
    assert.equal((await scan(from, 's', 'X')).error.code, 'FORBIDDEN', 'nobody is in it any more');
    const { socket, joined } = await joins(server, 'mobile', { sessionId: 's' });
    assert.equal(joined.seq, 3);
    assert.equal(joined.epoch, acks[0].epoch);
    assert.equal((await scan(socket, 's', 'X')).seq, 4);
    // The nonce is as good as before.
    const { seq, duplicate } = await scan(await phone(server, 's'), 's', 'O-2', { nonce: 'O-2' });
    assert.deepEqual({ seq, duplicate }, { seq: 2, duplicate: true });
  });

  it('is of the epoch of its data: the same after a restart, another one for other data', async () => {
    const DATA_DIR = dataDir();
    const epochs = [];
    for (const settings of [{ DATA_DIR }, { DATA_DIR }, { DATA_DIR: dataDir() }]) {
      const server = await started(settings);
      const { socket, joined } = await joins(server, 'mobile', { sessionId: 's' });
      assert.equal((await scan(socket, 's', 'A')).epoch, joined.epoch);
      epochs.push(joined.epoch);
      await killed(server);
    }
    assert.equal(epochs[1], epochs[0]);
    assert.notEqual(epochs[2], epochs[0]);
  });
});

describe('a nonce', () => {
  it('lets a scan be sent again without being relayed again', async () => {
    const server = await started();
    const { seen } = await joins(server, 'monitor', { sessionId: 's' });
    const from = await phone(server, 's');
    const first = await scan(from, 's', 'A', { nonce: 'n' });
    assert.deepEqual([first.seq, first.duplicate], [1, false]);
    // Again, back to back, and from another connection of the same user.
    const elsewhere = await phone(server, 's');
    const again = await Promise.all([from, from, elsewhere].map((s) => scan(s, 's', 'A', { nonce: 'n', ts: 2 })));
    for (const ack of again) {
      const { flow, traceId, ...rest } = ack;
      assert.deepEqual(rest, { received: true, nonce: 'n', epoch: first.epoch, seq: 1, duplicate: true, durable: true, monitors: 1 });
      assert.ok(flow && traceId);
    }
    // Two that are under way at once: one of them is the scan.
    const both = await Promise.all([from, elsewhere].map((s) => scan(s, 's', 'B', { nonce: 'm' })));
    assert.deepEqual(seqs(both), [2, 2]);
    assert.deepEqual(both.map((ack) => ack.duplicate).sort(), [false, true]);
    await scan(from, 's', 'the end');
    await until('the last one', () => seen.at(-1)?.orderNo === 'the end');
    assert.deepEqual(seen.map((n) => n.orderNo), ['A', 'B', 'the end']);
    assert.deepEqual(seqs(seen), [1, 2, 3]);
  });

  it('holds over a restart', async () => {
    const DATA_DIR = dataDir();
    const first = await started({ DATA_DIR });
    const acks = await scans(await phone(first, 's'), 's', 5);
    await killed(first);
    const second = await started({ DATA_DIR });
    const { seen } = await joins(second, 'monitor', { sessionId: 's', lastSeq: 5 });
    const from = await phone(second, 's');
    const again = await scans(from, 's', 5);
    assert.deepEqual(seqs(again), seqs(acks));
    assert.ok(again.every((ack) => ack.duplicate && ack.durable && ack.received));
    assert.equal((await scan(from, 's', 'other', { nonce: 'O-1' })).error.code, 'CONFLICT');
    assert.equal((await scan(from, 's', 'the end')).seq, 6);
    await until('the last one', () => seen.at(-1)?.orderNo === 'the end');
    assert.deepEqual(seqs(seen), [6]);
  });

  it('is for one order: with another one it is a conflict, and that one is not relayed', async () => {
    const server = await started();
    const { seen } = await joins(server, 'monitor', { sessionId: 's' });
    const from = await phone(server, 's');
    await scan(from, 's', 'A', { nonce: 'n' });
    const answer = await scan(from, 's', 'B', { nonce: 'n' });
    assert.equal(errorOf(answer).code, 'CONFLICT');
    assert.equal(answer.received, undefined);
    assert.equal((await scan(from, 's', 'A', { nonce: 'n' })).seq, 1, 'it still stands for the first');
    assert.equal((await scan(from, 's', 'the end')).seq, 2, 'no place was given away');
    await until('the last one', () => seen.at(-1)?.orderNo === 'the end');
    assert.deepEqual(seen.map((n) => n.orderNo), ['A', 'the end']);
  });

  it('is of one user in one session; without one nothing is held to be the same', async () => {
    const server = await started();
    const { seen } = await joins(server, 'monitor', { sessionId: 's' });
    const one = await phone(server, 's', 'one');
    const two = await phone(server, 's', 'two');
    const there = await phone(server, 'there', 'one');
    const acks = [
      await scan(one, 's', 'A', { nonce: 'n' }),
      await scan(two, 's', 'B', { nonce: 'n' }),
      await scan(one, 's', 'C'),
      await scan(one, 's', 'C'),
      await scan(one, 's', 'C', { nonce: null }),
    ];
    assert.deepEqual(seqs(acks), [1, 2, 3, 4, 5]);
    assert.ok(acks.every((ack) => ack.received && !ack.duplicate));
    assert.deepEqual(acks.map((ack) => ack.nonce), ['n', 'n', null, null, null]);
    const { seq, duplicate } = await scan(there, 'there', 'D', { nonce: 'n' });
    assert.deepEqual({ seq, duplicate }, { seq: 1, duplicate: false });
    await until('all of them', () => seen.length >= 5);
    assert.deepEqual(seen.map((n) => n.orderNo), ['A', 'B', 'C', 'C', 'C']);
  });
});

describe('joining with lastSeq', () => {
  let server;
  before(async () => {
    server = await startServer(UNLIMITED);
    const filler = await inSession(server.url, 'filler', 'mobile', 'full', { transports: ['websocket'] });
    await scans(filler, 'full', 520);
    filler.close();
  });
  after(() => server.stop());

  it('replays every later scan in order, as it was, and then goes on live', async () => {
    const live = await joins(server, 'monitor', { sessionId: 'replay' }, { user: 'live' });
    const from = await phone(server, 'replay');
    const acks = await scans(from, 'replay', 10);
    await until('all of them', () => live.seen.length >= 10);
    const { seen, joined } = await joins(server, 'monitor', { sessionId: 'replay', lastSeq: 4, epoch: acks[0].epoch });
    assert.deepEqual(joined, {
      sessionId: 'replay', status: { isActive: true, hasMobile: true, hasMonitor: true }, epoch: acks[0].epoch, seq: 10, lastSeq: 4, recovered: true,
    });
    await until('the later ones', () => seen.length >= 6);
    assert.deepEqual(seen, live.seen.slice(4).map((n) => ({ ...n, replayed: true })));
    await scan(from, 'replay', 'live');
    await until('the live one', () => seen.length >= 7);
    assert.deepEqual([seen[6].orderNo, seen[6].seq, seen[6].replayed], ['live', 11, undefined]);
    assertWhole(seen, 5);
    // For whoever stayed there is nothing new about the old ones.
    await until('the live one there as well', () => live.seen.length >= 11);
    assert.ok(live.seen.every((n) => n.replayed === undefined));
    assertWhole(live.seen, 1);
  });

  it('replays nothing, and has recovered, when nothing was missed', async () => {
    const from = await phone(server, 'nothing');
    const fresh = await joins(server, 'monitor', { sessionId: 'nothing', lastSeq: 0 });
    assert.deepEqual([fresh.joined.seq, fresh.joined.recovered], [0, true]);
    await scan(from, 'nothing', 'A');
    const upToDate = await joins(server, 'monitor', { sessionId: 'nothing', lastSeq: 1 });
    assert.deepEqual([upToDate.joined.seq, upToDate.joined.recovered], [1, true]);
    await scan(from, 'nothing', 'B');
    await until('the new one', () => upToDate.seen.length >= 1 && fresh.seen.length >= 2);
    assert.deepEqual(upToDate.seen.map((n) => [n.seq, n.replayed]), [[2, undefined]]);
    assert.deepEqual(fresh.seen.map((n) => [n.seq, n.replayed]), [[1, undefined], [2, undefined]]);
  });

  it('replays the newest 500, and has not recovered when older ones are gone', async () => {
    for (const [lastSeq, first, recovered] of [[0, 21, false], [19, 21, false], [20, 21, true], [21, 22, true], [519, 520, true]]) {
      const { socket, seen, joined } = await joins(server, 'monitor', { sessionId: 'full', lastSeq });
      assert.deepEqual([joined.seq, joined.recovered, joined.lastSeq], [520, recovered, first - 1], `after ${lastSeq}`);
      await until('all of them', () => seen.at(-1)?.seq === 520);
      assert.deepEqual(seqs(seen), range(first, 520), `after ${lastSeq}`);
      assert.ok(seen.every((n) => n.replayed === true && n.orderNo === `O-${n.seq}`));
      socket.close();
    }
  });

  it('replays everything that is kept to whoever knows another epoch', async () => {
    const from = await phone(server, 'epoch');
    await scans(from, 'epoch', 5);
    for (const lastSeq of [0, 3, 5, 1000]) {
      const { socket, seen, joined } = await joins(server, 'monitor', { sessionId: 'epoch', lastSeq, epoch: '0123456789abcdef' });
      assert.equal(joined.recovered, false, `after ${lastSeq}`);
      assert.notEqual(joined.epoch, '0123456789abcdef');
      await until('all of them', () => seen.length >= 5);
      assert.deepEqual(seqs(seen), [1, 2, 3, 4, 5], `after ${lastSeq}`);
      assert.ok(seen.every((n) => n.replayed === true));
      socket.close();
    }
  });

  it('replays again to a socket that joins again, also to a phone', async () => {
    for (const role of ['monitor', 'mobile']) {
      const session = `again as ${role}`;
      const from = await phone(server, session);
      await scans(from, session, 3);
      const { socket, seen } = await joins(server, role, { sessionId: session, lastSeq: 3 });
      for (const [lastSeq, expected] of [[1, [2, 3]], [0, [1, 2, 3]], [3, []]]) {
        seen.length = 0;
        const answered = once(socket, 'joinedSession');
        socket.emit('joinSession', { sessionId: session, lastSeq });
        assert.deepEqual([(await answered).seq, (await answered).recovered], [3, true]);
        await until('all of them', () => seen.length >= expected.length);
        assert.deepEqual(seqs(seen), expected, `after ${lastSeq} as ${role}`);
        assert.ok(seen.every((n) => n.replayed === true));
      }
      seen.length = 0;
      await scan(from, session, 'live');
      await until('the live one', () => seen.length >= 1);
      assert.deepEqual(seen.map((n) => [n.seq, n.replayed]), [[4, undefined]], 'it is in the session once');
    }
  });

  it('replays nothing to whoever comes from the future, which is no recovery', async () => {
    const from = await phone(server, 'future');
    await scans(from, 'future', 2);
    const monitors = [];
    for (const lastSeq of [3, 1000, 2 ** 53]) {
      const monitor = await joins(server, 'monitor', { sessionId: 'future', lastSeq });
      assert.deepEqual([monitor.joined.seq, monitor.joined.recovered], [2, false], `after ${lastSeq}`);
      monitors.push(monitor);
    }
    await scan(from, 'future', 'live');
    await until('the live one', () => monitors.every(({ seen }) => seen.length >= 1));
    for (const { seen } of monitors) assert.deepEqual(seen.map((n) => [n.seq, n.replayed]), [[3, undefined]]);
  });

  it('is refused with a lastSeq that is none', async () => {
    const socket = tidy(client(server.url, 'm', 'monitor'));
    await socket.emitWithAck('registerClient', { role: 'monitor' });
    for (const lastSeq of [-1, 1.5, '3', true, [], {}]) {
      const answer = await socket.emitWithAck('joinSession', { sessionId: 'refused', lastSeq });
      assert.equal(answer.error?.code, 'VALIDATION_ERROR', JSON.stringify(lastSeq));
    }
    assert.equal((await scan(socket, 'refused', 'A')).error.code, 'FORBIDDEN', 'it has not joined');
    const failing = once(socket, 'error');
    socket.emit('joinSession', { sessionId: 'refused', lastSeq: -1 });
    assert.equal((await failing).code, 'VALIDATION_ERROR');
    assert.equal((await socket.emitWithAck('joinSession', { sessionId: 'refused', lastSeq: null })).recovered, true, 'null is none');
  });
});

describe('joining while scans keep coming', () => {
  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    it(`sees every scan once and in order: ${name}`, async () => {
      const server = await started();
      const phones = await Promise.all(['p1', 'p2'].map((user) => phone(server, 'busy', user)));
      let latest = 0;
      let scanning = true;
      const loops = phones.map(async (from, i) => {
        for (let n = 0; scanning; n += 1) {
          const ack = await scan(from, 'busy', `${i}-${n}`, { nonce: nonce() });
          assert.equal(ack.durable, true, JSON.stringify(ack));
          latest = Math.max(latest, ack.seq);
        }
      });
      await until('a past', () => latest >= 300);
      for (let round = 0; round < 8; round += 1) {
        // From the beginning of what is kept for sure, and from close by.
        const lastSeq = latest - [350, 200, 55, 50, 49, 10, 1, 0][round];
        const { socket, seen, joined } = await joins(server, 'monitor', { sessionId: 'busy', lastSeq: Math.max(lastSeq, 0) }, { transports });
        assert.equal(joined.recovered, true);
        const first = Math.max(lastSeq, 0) + 1;
        await until('live ones', () => seen.filter((n) => !n.replayed).length >= 20);
        assertWhole(seen, first);

        // And once more on the same socket: what it missed, as if it had lost its last hundred.
        const back = Math.max(seen.at(-1).seq - 100, 0);
        let from;
        socket.once('joinedSession', () => {
          from = seen.length;
        });
        socket.emit('joinSession', { sessionId: 'busy', lastSeq: back, epoch: joined.epoch });
        await until('live ones again', () => from !== undefined && seen.length > from && seen.slice(from).filter((n) => !n.replayed).length >= 20);
        assertWhole(seen.slice(0, from), first);
        assertWhole(seen.slice(from), back + 1);
        assert.ok(seen.slice(from).some((n) => n.replayed), 'some were replayed');
        assert.equal(socket.connected, true);
        socket.close();
      }
      scanning = false;
      await Promise.all(loops);
    });
  }
});

describe('scans that no monitor was there for', () => {
  let server;
  before(async () => {
    server = await startServer(UNLIMITED);
  });
  after(() => server.stop());

  it('go to the first monitor that joins, and not to the second, nor to a phone', async () => {
    const from = await phone(server, 'alone');
    const acks = await scans(from, 'alone', 120);
    assert.ok(acks.every((ack) => ack.monitors === 0 && ack.durable));
    const other = await joins(server, 'mobile', { sessionId: 'alone' });
    assert.deepEqual([other.joined.seq, other.joined.recovered, other.joined.lastSeq], [120, true, 120]);
    const first = await joins(server, 'monitor', { sessionId: 'alone' }, { user: 'first' });
    assert.deepEqual([first.joined.seq, first.joined.recovered, first.joined.lastSeq], [120, true, 0], 'it begins where nobody was');
    await until('all of them', () => first.seen.length >= 120);
    assert.deepEqual(seqs(first.seen), range(1, 120));
    assert.ok(first.seen.every((n) => n.replayed === true));
    await scan(from, 'alone', 'live');
    await until('the live one', () => first.seen.length >= 121);
    const second = await joins(server, 'monitor', { sessionId: 'alone' }, { user: 'second' });
    assert.equal((await scan(from, 'alone', 'the end')).monitors, 2);
    await until('the last one', () => [first, second, other].every(({ seen }) => seen.at(-1)?.orderNo === 'the end'));
    assertWhole(first.seen, 1);
    assert.deepEqual(second.seen.map((n) => [n.orderNo, n.replayed]), [['the end', undefined]]);
    assert.deepEqual(other.seen.map((n) => [n.orderNo, n.replayed]), [['live', undefined], ['the end', undefined]]);
  });

  it('are only those: without lastSeq nothing else is replayed', async () => {
    const from = await phone(server, 'gap');
    const first = await joins(server, 'monitor', { sessionId: 'gap' }, { user: 'first' });
    assert.equal((await scan(from, 'gap', 'seen')).monitors, 1);
    await until('it to be seen', () => first.seen.length >= 1);
    const left = once(from, 'clientLeft');
    first.socket.close();
    await left;
    assert.equal((await scan(from, 'gap', 'unseen')).monitors, 0);
    const second = await joins(server, 'monitor', { sessionId: 'gap' }, { user: 'second' });
    await until('what was missed', () => second.seen.length >= 1);
    await scan(from, 'gap', 'live');
    await until('the live one', () => second.seen.at(-1)?.orderNo === 'live');
    assert.deepEqual(second.seen.map((n) => [n.orderNo, n.seq, n.replayed]), [['unseen', 2, true], ['live', 3, undefined]]);

    // It comes again, without lastSeq: what it saw is not news.
    const gone = once(from, 'clientLeft');
    second.socket.close();
    await gone;
    const third = await joins(server, 'monitor', { sessionId: 'gap' }, { user: 'second' });
    await scan(from, 'gap', 'the end');
    await until('the last one', () => third.seen.at(-1)?.orderNo === 'the end');
    assert.deepEqual(third.seen.map((n) => n.orderNo), ['the end']);
  });

  it('wait for it also over a restart', async () => {
    const DATA_DIR = dataDir();
    const gone = await started({ DATA_DIR });
    await scans(await phone(gone, 's'), 's', 3);
    await killed(gone);
    const again = await started({ DATA_DIR });
    const first = await joins(again, 'monitor', { sessionId: 's' }, { user: 'first' });
    await until('all of them', () => first.seen.length >= 3);
    const second = await joins(again, 'monitor', { sessionId: 's' }, { user: 'second' });
    await scan(await phone(again, 's'), 's', 'the end');
    await until('the last one', () => [first, second].every(({ seen }) => seen.at(-1)?.orderNo === 'the end'));
    assert.deepEqual(first.seen.map((n) => [n.seq, n.replayed]), [[1, true], [2, true], [3, true], [4, undefined]]);
    assert.deepEqual(second.seen.map((n) => [n.seq, n.replayed]), [[4, undefined]]);
  });

  it('go to the first monitor only, also when the second comes while they are replayed', async () => {
    const from = await phone(server, 'race');
    await scans(from, 'race', 300);
    const slow = await gate(server.port);
    const first = tidy(client(slow.url, 'first', 'monitor', { transports: ['polling'], reconnection: false }));
    const seen = [];
    first.on('navigate', (n) => {
      if (seen.length === 0) slow.hold();
      seen.push(n);
    });
    first.emit('registerClient', { role: 'monitor' });
    first.emit('joinSession', { sessionId: 'race' });
    await until('a beginning', () => seen.length > 0);
    assert.ok(seen.length < 300, 'it takes its time');
    const second = await joins(server, 'monitor', { sessionId: 'race' }, { user: 'second' });
    slow.release();
    await until('all of them', () => seen.length >= 300);
    await scan(from, 'race', 'the end');
    await until('the last one', () => [seen, second.seen].every((list) => list.at(-1)?.orderNo === 'the end'));
    assertWhole(seen, 1);
    assert.equal(second.seen.filter((n) => n.replayed).length, 0, 'replayed to the second as well');
    assert.deepEqual(second.seen.map((n) => n.orderNo), ['the end']);
  });
});

describe('a replay of 500 with the smallest send queue', () => {
  let server;
  before(async () => {
    server = await startServer({ ...UNLIMITED, SEND_QUEUE_MAX: '256' });
    const filler = await inSession(server.url, 'filler', 'mobile', 'full', { transports: ['websocket'] });
    await scans(filler, 'full', KEPT);
    filler.close();
  });
  after(() => server.stop());

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    it(`arrives whole, three times at once, and nobody is disconnected: ${name}`, async () => {
      const monitors = await Promise.all([1, 2, 3].map((i) => joins(server, 'monitor', { sessionId: 'full', lastSeq: 0 }, { transports, user: `m${i}` })));
      const ends = [];
      monitors.forEach(({ socket }) => socket.on('disconnect', (reason) => ends.push(reason)));
      await until('all of them', () => ends.length > 0 || monitors.every(({ seen }) => seen.length >= KEPT));
      assert.deepEqual(ends, []);
      for (const { socket, seen, joined } of monitors) {
        assert.equal(joined.recovered, true);
        assert.deepEqual(seqs(seen), range(1, KEPT));
        assert.ok(seen.every((n) => n.replayed === true));
        assert.ok(Math.abs((await socket.emitWithAck('heartbeat')) - Date.now()) < 60_000, 'it is still there');
      }
      assert.deepEqual(ends, []);
    });
  }

  it('arrives whole when 230 more are scanned while the monitor takes its time', async () => {
    const from = await phone(server, 'more');
    await scans(from, 'more', KEPT);
    const slow = await gate(server.port);
    const monitor = tidy(client(slow.url, 'slow', 'monitor', { transports: ['polling'], reconnection: false }));
    const seen = [];
    const ends = [];
    monitor.on('disconnect', (reason) => ends.push(reason));
    monitor.on('navigate', (n) => {
      if (seen.length === 0) slow.hold();
      seen.push(n);
    });
    monitor.emit('registerClient', { role: 'monitor' });
    monitor.emit('joinSession', { sessionId: 'more', lastSeq: 0 });
    await until('a beginning', () => seen.length > 0);
    const acks = await scans(from, 'more', 230, 'M');
    assert.deepEqual(seqs(acks), range(KEPT + 1, KEPT + 230));
    slow.release();
    await until('all of them', () => ends.length > 0 || seen.length >= KEPT + 230);
    assert.deepEqual(ends, [], `disconnected after ${seen.length} scans`);
    await scan(from, 'more', 'live');
    await until('the live one', () => ends.length > 0 || seen.at(-1).orderNo === 'live');
    assert.deepEqual(ends, []);
    assert.equal(seen.at(-1).replayed, undefined);
    assertWhole(seen, 1);
  });
});

describe('a scan that is shown', () => {
  let server;
  before(async () => {
    server = await startServer(UNLIMITED);
  });
  after(() => server.stop());

  /** A phone that keeps what it is told about its scans. */
  const listening = async (session, user) => {
    const socket = await phone(server, session, user);
    const told = [];
    socket.on('scan:displayed', (d) => told.push(d));
    return { socket, told };
  };

  it('is told to the phone that scanned it, once by each monitor that acknowledges', async () => {
    const monitors = [];
    for (const user of ['m1', 'm2']) monitors.push(await joins(server, 'monitor', { sessionId: 'acks' }, { user, acks: true }));
    const { socket, told } = await listening('acks', 'p1');
    const bystander = await listening('acks', 'p2');
    await scan(socket, 'acks', 'A', { nonce: 'n-1' });
    await until('both', () => told.length >= 2);
    for (const { latencyMs, socketId, ...rest } of told) {
      assert.deepEqual(rest, { sessionId: 'acks', seq: 1, nonce: 'n-1' });
      assert.ok(Number.isInteger(latencyMs) && latencyMs >= 0 && latencyMs < 20_000, `${latencyMs} ms`);
    }
    assert.deepEqual(told.map((d) => d.socketId).sort(), monitors.map((m) => m.socket.id).sort());

    // Saying it again, in the other way, tells nobody anything.
    assert.equal((await monitors[0].socket.emitWithAck('navigate:displayed', { seq: 1 }))?.error, undefined);
    await scan(socket, 'acks', 'B');
    await until('the second one', () => told.length >= 4);
    assert.deepEqual(told.slice(2).map((d) => [d.seq, d.nonce]), [[2, null], [2, null]]);
    assert.deepEqual(new Set(told.slice(2).map((d) => d.socketId)).size, 2);
    await scan(bystander.socket, 'acks', 'C');
    await until('the other phone to be told', () => bystander.told.length >= 2);
    assert.deepEqual(seqs(bystander.told), [3, 3], 'only of its own');
    assert.equal(told.length, 4);
  });

  it('took as long as the monitor took to say so', async () => {
    const monitor = await joins(server, 'monitor', { sessionId: 'slow' });
    const { socket, told } = await listening('slow');
    const began = performance.now();
    await scan(socket, 'slow', 'A');
    await until('300 ms to pass', () => performance.now() - began > 300);
    monitor.socket.emit('navigate:displayed', { seq: 1 });
    await until('it to be told', () => told.length >= 1);
    const atMost = performance.now() - began;
    assert.ok(told[0].latencyMs >= 250 && told[0].latencyMs <= atMost + 1, `${told[0].latencyMs} of ${atMost} ms`);
  });

  it('says how long monitors take to show an order, as far as that can be believed', async () => {
    const PAINTED = (more) => `signalbox_scan_stage_seconds_${more}{stage="displayed"}`;
    const { socket, told } = await listening('painted');
    const monitor = await joins(server, 'monitor', { sessionId: 'painted' });
    const before = await server.metrics();
    const answers = [{ paintedMs: 120 }, { paintedMs: 30.5 }, undefined, { paintedMs: -1 }, { paintedMs: 'x' }, { paintedMs: 1e12 }, 'x', [1]];
    monitor.socket.on('navigate', (n, ack) => (answers[n.seq - 1] === undefined ? ack() : ack(answers[n.seq - 1])));
    for (const i of answers.keys()) await scan(socket, 'painted', `P-${i}`);
    await until('all of them', () => told.length >= answers.length);
    // By an event, for a monitor that was away when it could have acknowledged.
    monitor.socket.off('navigate');
    const { seq } = await scan(socket, 'painted', 'event');
    monitor.socket.emit('navigate:displayed', { seq, paintedMs: 49.5 });
    await until('the receipt', () => told.some((d) => d.seq === seq));
    const after = await server.metrics();
    const [count, sum] = ['count', 'sum'].map((what) => after[PAINTED(what)] - before[PAINTED(what)]);
    assert.equal(count, 3);
    assert.ok(Math.abs(sum - 0.2) < 1e-6, `${sum} s`);
  });

  it('can be told with navigate:displayed, with or without the session', async () => {
    for (const more of [{}, { sessionId: 'told' }]) {
      const monitor = await joins(server, 'monitor', { sessionId: 'told' });
      const { socket, told } = await listening('told');
      const { seq } = await scan(socket, 'told', 'A', { nonce: nonce() });
      await until('it to arrive', () => monitor.seen.some((n) => n.seq === seq));
      for (let i = 0; i < 3; i += 1) monitor.socket.emit('navigate:displayed', { seq, ...more });
      // What nobody ever scanned is ignored.
      for (const unknown of [seq + 1, 0, 2 ** 53]) {
        assert.equal((await monitor.socket.emitWithAck('navigate:displayed', { seq: unknown, ...more }))?.error, undefined);
      }
      const last = await scan(socket, 'told', 'B');
      monitor.socket.emit('navigate:displayed', { seq: last.seq, ...more });
      await until('the last one', () => told.at(-1)?.seq === last.seq);
      assert.deepEqual(told.map((d) => [d.sessionId, d.seq, d.socketId]), [seq, last.seq].map((s) => ['told', s, monitor.socket.id]));
      monitor.socket.close();
      socket.close();
    }
  });

  it('is told by whoever is in the session, and knows which one it means', async () => {
    const { socket, told } = await listening('mine');
    const monitor = await joins(server, 'monitor', { sessionId: 'mine' });
    const stranger = await joins(server, 'monitor', { sessionId: 'other' }, { user: 'stranger' });
    await scan(socket, 'mine', 'A');
    const foreign = await stranger.socket.emitWithAck('navigate:displayed', { sessionId: 'mine', seq: 1 });
    assert.equal(errorOf(foreign).code, 'FORBIDDEN');
    const failing = once(stranger.socket, 'error');
    stranger.socket.emit('navigate:displayed', { sessionId: 'never heard of', seq: 1 });
    assert.equal((await failing).code, 'FORBIDDEN');

    assert.equal((await monitor.socket.emitWithAck('joinSession', { sessionId: 'mine too' })).sessionId, 'mine too');
    const either = await monitor.socket.emitWithAck('navigate:displayed', { seq: 1 });
    assert.equal(errorOf(either).code, 'VALIDATION_ERROR');
    assert.equal((await monitor.socket.emitWithAck('navigate:displayed', { sessionId: 'mine', seq: 1 }))?.error, undefined);
    await until('it to be told', () => told.length >= 1);
    assert.deepEqual(told.map((d) => d.socketId), [monitor.socket.id]);
  });

  it('need not be told: monitors that never acknowledge get all of 200', async () => {
    const silent = await joins(server, 'monitor', { sessionId: 'silent' });
    const saying = await joins(server, 'monitor', { sessionId: 'silent' }, { user: 'saying', acks: true });
    const { socket, told } = await listening('silent');
    await scans(socket, 'silent', 200);
    await until('all of them', () => silent.seen.length >= 200 && saying.seen.length >= 200);
    assertWhole(silent.seen, 1);
    assertWhole(saying.seen, 1);
    await until('the other one to say so', () => told.length >= 200);
    assert.deepEqual(seqs(told).sort((a, b) => a - b), range(1, 200));
    assert.ok(told.every((d) => d.socketId === saying.socket.id));
    assert.equal(silent.socket.connected, true);
  });

  it('can be told of the last 64 when it was replayed', async () => {
    const { socket, told } = await listening('late');
    await scans(socket, 'late', 70);
    const monitor = await joins(server, 'monitor', { sessionId: 'late' });
    await until('all of them', () => monitor.seen.length >= 70);
    assert.ok(monitor.seen.every((n) => n.replayed));
    // 7 to 70 are 64.
    for (const n of monitor.seen) monitor.socket.emit('navigate:displayed', { seq: n.seq });
    await until('the last one', () => told.at(-1)?.seq === 70);
    assert.deepEqual(seqs(told), range(7, 70));
    assert.ok(told.every((d) => d.nonce === `O-${d.seq}` && d.socketId === monitor.socket.id));
  });
});

describe('while the store is away', () => {
  const failures = async (server) => (await server.metrics())['signalbox_scan_flows_total{outcome="storage_failed"}'] ?? 0;

  it('scans are relayed without a place, and acknowledged as not kept', async () => {
    const server = await started(NO_STORE);
    assert.equal(await failures(server), 0);
    const from = await phone(server, 's');
    const { seen, joined } = await joins(server, 'monitor', { sessionId: 's' });
    assert.deepEqual([joined.sessionId, joined.epoch, joined.seq], ['s', null, null]);
    const ack = await scan(from, 's', 'A', { nonce: 'n' });
    const { flow, traceId, ...rest } = ack;
    assert.deepEqual(rest, { received: true, nonce: 'n', epoch: null, seq: null, duplicate: false, durable: false, monitors: 1 });
    assert.ok(flow && traceId);
    for (let i = 0; i < 9; i += 1) await scan(from, 's', `B-${i}`);
    await until('all of them', () => seen.length >= 10);
    assert.deepEqual(seen.map((n) => n.orderNo), ['A', ...range(0, 8).map((i) => `B-${i}`)]);
    assert.ok(seen.every((n) => n.seq === null && n.replayed === undefined && n.from === 'mobile'));
    await until('them to be counted', async () => (await failures(server)) >= 10);
    assert.equal(await failures(server), 10);

    const late = await joins(server, 'monitor', { sessionId: 's', lastSeq: 3 }, { user: 'late' });
    assert.deepEqual([late.joined.epoch, late.joined.seq], [null, null]);
    await scan(from, 's', 'the end');
    await until('the last one', () => late.seen.length >= 1);
    assert.deepEqual(late.seen.map((n) => n.orderNo), ['the end'], 'and it is in the session');
  });

  it('scans are refused where that is wanted, and nothing arrives', async () => {
    const server = await started({ ...NO_STORE, SCAN_WITHOUT_STORE: 'refuse' });
    const from = await phone(server, 's');
    const { socket, seen, joined } = await joins(server, 'monitor', { sessionId: 's' });
    assert.deepEqual([joined.epoch, joined.seq], [null, null]);
    for (let i = 0; i < 5; i += 1) {
      const answer = await scan(from, 's', `A-${i}`, { nonce: nonce() });
      assert.equal(errorOf(answer).code, 'UNAVAILABLE');
      assert.equal(answer.received, undefined);
    }
    // What is sent to the monitor now comes behind whatever was sent before.
    const here = once(socket, 'clientJoined');
    await phone(server, 's', 'another');
    await here;
    assert.deepEqual(seen, []);
    await until('them to be counted', async () => (await failures(server)) >= 5);
    assert.equal(await failures(server), 5);
  });

  it('scans are kept where they are wanted refused, as long as it is there', async () => {
    const server = await started({ SCAN_WITHOUT_STORE: 'refuse' });
    const { durable, seq } = await scan(await phone(server, 's'), 's', 'A');
    assert.deepEqual({ durable, seq }, { durable: true, seq: 1 });
    assert.equal(await failures(server), 0);
  });
});
