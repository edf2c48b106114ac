// The phone with its outbox: against the real server, and by hand where a server cannot be brought to it.
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Link, type ScanEntry, type Scanner, createMonitor, createScanner, memoryOutbox } from '../src/index.js';
import { browser, connected, dataDir, freePort, killed, linkByHand, linked, locks, network, settled, started, storage, tidy, until } from './helpers.js';

beforeEach(() => {
  // Each test has a browser of its own; what is made in it shares a database.
  vi.stubGlobal('indexedDB', new IDBFactory());
  vi.stubGlobal('IDBKeyRange', IDBKeyRange);
});

const scannerOf = (link: Link, options: Partial<Parameters<typeof createScanner>[1]> = {}) => tidy(createScanner(link, { sessionId: 's', ...options }));

/** A monitor, and the orders that it was told to show, in that order. */
function monitorOf(link: Link) {
  const shown: string[] = [];
  const monitor = tidy(createMonitor(link, { sessionId: 's', storage: storage(), show: ({ orderNo }) => void shown.push(orderNo) }));
  return { monitor, shown };
}

const states = (scanner: Scanner) => scanner.entries.map(({ state }) => state);
const orders = (scanner: Scanner) => scanner.entries.map(({ orderNo }) => orderNo);
const paired = (scanner: Scanner) => until('both', () => scanner.status?.hasMobile === true && scanner.status.hasMonitor);
const all = (state: ScanEntry['state'], scanner: Scanner, count: number) =>
  until(`${count} ${state}`, () => states(scanner).filter((one) => one === state).length === count);

describe('a scan', () => {
  it('arrives, and the phone is told so, and that it was displayed', async () => {
    const server = await started();
    const { monitor, shown } = monitorOf(linked(server.url, 'm'));
    const scanner = scannerOf(linked(server.url, 'p'));
    await paired(scanner);
    const changes: string[] = [];
    scanner.subscribe(() => scanner.entries[0] && changes.at(-1) !== scanner.entries[0].state && changes.push(scanner.entries[0].state));
    const first = await scanner.scan(' 주문-서울-1 🍊\r\n');
    expect(first).toMatchObject({ orderNo: '주문-서울-1 🍊', state: 'waiting', attempts: 0, sessionId: 's' });
    await all('displayed', scanner, 1);
    expect(changes).toEqual(['waiting', 'accepted', 'displayed']);
    const entry = scanner.entries[0]!;
    expect(entry).toMatchObject({ nonce: first.nonce, ts: first.ts, traceparent: first.traceparent, attempts: 1, seq: 1, durable: true, duplicate: false, monitors: 1 });
    expect(entry.flow).toMatch(/^[0-9A-Z]{2}-[0-9A-Z]{4}$/);
    expect(entry.traceId, 'one trace from here to there').toBe(first.traceparent.slice(3, 35));
    expect(entry.latencyMs).toBeGreaterThanOrEqual(0);
    expect(Math.abs(entry.acceptedAt! - Date.now())).toBeLessThan(20_000);
    expect(entry.error).toBeUndefined();
    expect(shown).toEqual(['주문-서울-1 🍊']);
    expect(monitor.orders[0]).toMatchObject({ nonce: first.nonce, ts: first.ts, from: 'mobile' });
  });

  it('that cannot be one is refused at once, and not kept', async () => {
    const scanner = scannerOf(linkByHand().link);
    for (const wrong of ['', '  \n', 'A'.repeat(129), 'A\u0000B', 'A\u009fB']) {
      await expect(scanner.scan(wrong)).rejects.toMatchObject({ name: 'SignalboxError', code: 'VALIDATION_ERROR' });
    }
    expect(scanner.entries).toEqual([]);
    expect((await scanner.scan('가'.repeat(128))).orderNo.length).toBe(128);
    expect(() => createScanner(linkByHand().link, { sessionId: '' })).toThrow(expect.objectContaining({ code: 'VALIDATION_ERROR' }));
  });

  it('that cannot be written is said to be so, and not sent', async () => {
    const byHand = linkByHand();
    const scanner = scannerOf(byHand.link, { storage: { ...memoryOutbox(), put: () => Promise.reject(new Error('full')) } });
    await byHand.connect();
    await byHand.joined({});
    await expect(scanner.scan('A')).rejects.toThrow('full');
    expect(byHand.waiting('scanOrder')).toEqual([]);
    expect(scanner.entries).toEqual([]);
  });

  it('is displayed also when the monitor was quicker than the acknowledgement', async () => {
    const byHand = linkByHand();
    const scanner = scannerOf(byHand.link, { storage: memoryOutbox() });
    await byHand.connect();
    await byHand.joined({});
    const { nonce } = await scanner.scan('A');
    await settled();
    await byHand.push('scan:displayed', { sessionId: 'another', seq: 1, nonce, socketId: 'm', latencyMs: 5 });
    expect(states(scanner)).toEqual(['waiting']);
    await byHand.push('scan:displayed', { sessionId: 's', seq: 1, nonce, socketId: 'm', latencyMs: 5 });
    await byHand.waiting('scanOrder')[0]!.answer({ received: true, seq: 1, durable: true, duplicate: false, monitors: 1, flow: 'AB-1234', traceId: 't' });
    expect(scanner.entries[0]).toMatchObject({ state: 'displayed', seq: 1, durable: true, latencyMs: 5, flow: 'AB-1234' });
  });
});

describe('without a connection', () => {
  it('five scans wait, and arrive in order when it is back', async () => {
    const server = await started();
    const wire = await network(server.port);
    const { shown } = monitorOf(linked(server.url, 'm'));
    const link = linked(wire.url, 'p');
    const scanner = scannerOf(link);
    await paired(scanner);
    wire.down();
    await until('the end', () => link.state === 'reconnecting');
    expect(scanner.status).toBeNull();
    const numbers = ['A', 'B', '다', 'D', 'E'];
    for (const number of numbers) expect((await scanner.scan(number)).state).toBe('waiting');
    expect(orders(scanner)).toEqual([...numbers].reverse());
    wire.up();
    await all('displayed', scanner, 5);
    expect(shown).toEqual(numbers);
    expect(scanner.entries.map(({ seq }) => seq)).toEqual([5, 4, 3, 2, 1]);
  });

  it('they survive a reload, with the names under which they were tried', async () => {
    const server = await started();
    const { shown } = monitorOf(linked(server.url, 'm'));
    const before = scannerOf(linked('http://127.0.0.1:9', 'p'));
    const scanned = [];
    for (const number of ['A', 'B', 'C']) scanned.push(await before.scan(number));
    before.close();

    const after = scannerOf(linked(server.url, 'p'));
    await until('the outbox', () => after.entries.length === 3);
    expect(after.entries.map(({ nonce, traceparent }) => [nonce, traceparent])).toEqual(scanned.map(({ nonce, traceparent }) => [nonce, traceparent]).reverse());
    const later = await after.scan('D');
    await all('displayed', after, 4);
    expect(shown).toEqual(['A', 'B', 'C', 'D']);
    expect(after.entries[0]!.nonce).toBe(later.nonce);
    // What became of them is there after the next reload.
    after.close();
    const again = scannerOf(linkByHand().link);
    await until('the outbox', () => again.entries.length === 4);
    expect(states(again)).toEqual(['displayed', 'displayed', 'displayed', 'displayed']);
  });

  it('it does not wait for the back-off of a scan when it is back', async () => {
    const byHand = linkByHand();
    const scanner = scannerOf(byHand.link, { storage: memoryOutbox() });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    vi.useFakeTimers();
    await byHand.connect();
    await byHand.joined({});
    await scanner.scan('A');
    for (const ms of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
      await settled();
      await byHand.waiting('scanOrder')[0]!.refuse('UNAVAILABLE');
      expect(scanner.entries[0]).toMatchObject({ state: 'waiting', error: { code: 'UNAVAILABLE' } });
      await vi.advanceTimersByTimeAsync(ms - 1);
      expect(byHand.waiting('scanOrder')).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
    }
    await byHand.waiting('scanOrder')[0]!.refuse('UNAVAILABLE');
    await byHand.disconnect();
    await byHand.connect();
    expect(byHand.waiting('scanOrder'), 'not before it has joined').toEqual([]);
    await byHand.joined({});
    expect(byHand.waiting('scanOrder').length).toBe(1);
    vi.useRealTimers();
  });
});

describe('a server that is killed', () => {
  it('and comes back has every scan once and in order, and so has the monitor', async () => {
    const settings = { PORT: String(await freePort()), DATA_DIR: dataDir() };
    let server = await started(settings);
    const { monitor, shown } = monitorOf(linked(server.url, 'm'));
    const link = linked(server.url, 'p');
    const scanner = scannerOf(link, { keep: 1000 });
    await paired(scanner);
    const scanned: string[] = [];
    const scan = async (count: number) => {
      for (let i = 0; i < count; i += 1) scanned.push((await scanner.scan(`주문-${scanned.length}`)).orderNo);
    };
    const waiting = () => scanner.entries.filter(({ state }) => state === 'waiting').length;
    for (let round = 0; round < 2; round += 1) {
      await scan(5);
      await until('the scans', () => waiting() === 0);
      const before = scanned.length;
      const some = scan(20);
      await until('the middle of it', () => scanned.length - waiting() >= before + 5);
      await killed(server);
      await until('the end', () => link.state !== 'connected');
      await some;
      await scan(5);
      expect(waiting()).toBeGreaterThanOrEqual(5);
      server = await started(settings);
    }
    await until('all of them', () => shown.length >= scanned.length && waiting() === 0);
    expect(shown).toEqual(scanned);
    expect([...scanner.entries].reverse().map(({ seq }) => seq)).toEqual(scanned.map((_, i) => i + 1));
    expect(scanner.entries.every(({ durable }) => durable)).toBe(true);
    expect(monitor.missed).toBe(false);
  });

  it('or an acknowledgement that is lost lets a scan be sent twice, and arrive once', async () => {
    const server = await started();
    const wire = await network(server.port);
    const { shown } = monitorOf(linked(server.url, 'm'));
    const scanner = scannerOf(linked(wire.url, 'p'));
    await paired(scanner);
    wire.swallowAnswers();
    await scanner.scan('A');
    await until('its arrival', () => shown.length === 1);
    expect(states(scanner)).toEqual(['waiting']);
    wire.down();
    wire.up();
    await until('the answer', () => states(scanner)[0] !== 'waiting');
    expect(scanner.entries[0]).toMatchObject({ duplicate: true, attempts: 2, seq: 1 });
    await scanner.scan('B');
    await until('the next one', () => shown.length >= 2);
    expect(shown).toEqual(['A', 'B']);
  });
});

describe('a scan that the server does not take', () => {
  async function joined() {
    const byHand = linkByHand();
    const scanner = scannerOf(byHand.link, { storage: memoryOutbox() });
    await byHand.connect();
    await byHand.joined({});
    return { ...byHand, scanner };
  }
  const taken = { received: true, seq: 1, durable: true, duplicate: false, monitors: 1, flow: 'AB-1234', traceId: 't' };

  for (const code of ['VALIDATION_ERROR', 'PAYLOAD_TOO_LARGE', 'CONFLICT', 'NOT_FOUND']) {
    it(`because of ${code} is refused and stays to be seen, and the next one goes`, async () => {
      const { scanner, waiting } = await joined();
      const first = await scanner.scan('A');
      await scanner.scan('B');
      await settled();
      expect(waiting('scanOrder').map(({ payload }) => payload.orderNo), 'one at a time').toEqual(['A']);
      await waiting('scanOrder')[0]!.refuse(code);
      expect(waiting('scanOrder')[0]!.payload.orderNo).toBe('B');
      await waiting('scanOrder')[0]!.answer(taken);
      expect(states(scanner)).toEqual(['accepted', 'refused']);
      expect(scanner.entries[1]).toMatchObject({ error: { code, message: code.toLowerCase() }, flow: 'AB-1234', attempts: 1 });

      scanner.retry(first.nonce);
      expect(waiting('scanOrder')[0]!.payload).toMatchObject({ orderNo: 'A', nonce: first.nonce });
      await waiting('scanOrder')[0]!.refuse(code);
      await scanner.discard(first.nonce);
      expect(orders(scanner)).toEqual(['B']);
      await scanner.discard(scanner.entries[0]!.nonce);
      expect(orders(scanner), 'what was accepted is not forgotten').toEqual(['B']);
    });
  }

  for (const code of ['UNAVAILABLE', 'RATE_LIMIT', 'INTERNAL', 'TIMEOUT', 'OFFLINE']) {
    it(`because of ${code} is sent again, and the next one waits for it`, async () => {
      vi.useFakeTimers();
      const { scanner, waiting } = await joined();
      await scanner.scan('A');
      await scanner.scan('B');
      await settled();
      await waiting('scanOrder')[0]!.refuse(code);
      expect(waiting('scanOrder')).toEqual([]);
      await vi.advanceTimersByTimeAsync(1000);
      expect(waiting('scanOrder').map(({ payload }) => payload.orderNo)).toEqual(['A']);
      await waiting('scanOrder')[0]!.answer(taken);
      expect(scanner.entries.map(({ state, attempts, error }) => [state, attempts, error])).toEqual([['waiting', 0, undefined], ['accepted', 2, undefined]]);
      expect(waiting('scanOrder').map(({ payload }) => payload.orderNo)).toEqual(['B']);
      vi.useRealTimers();
    });
  }

  it('because it is not in the session makes the phone join again; only then it is refused', async () => {
    vi.useFakeTimers();
    const { scanner, waiting, joined: join } = await joined();
    await scanner.scan('A');
    await settled();
    await waiting('scanOrder')[0]!.refuse('FORBIDDEN');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(states(scanner)).toEqual(['waiting']);
    expect(waiting('scanOrder'), 'not before it has joined').toEqual([]);
    vi.useRealTimers();
    await join({});
    await waiting('scanOrder')[0]!.refuse('FORBIDDEN');
    expect(states(scanner)).toEqual(['refused']);
    expect(scanner.unpaired).toBe(false);
  });

  it('because the idle session was dropped arrives all the same', async () => {
    const server = await started({ SESSION_IDLE_TIMEOUT: '1s', SESSION_SWEEP_INTERVAL: '200ms' });
    const scanner = scannerOf(linked(server.url, 'p'));
    await until('the session', () => scanner.status !== null);
    await until('its end', () => server.log().some((line: string) => line.includes('Idle sessions were dropped')));
    await scanner.scan('A');
    await all('accepted', scanner, 1);
    expect(scanner.entries[0]).toMatchObject({ attempts: 2, seq: 1 });
  });

  it('because the session is not for this phone waits, and the person is told', async () => {
    const byHand = linkByHand();
    const scanner = scannerOf(byHand.link, { storage: memoryOutbox() });
    await byHand.connect();
    await scanner.scan('A');
    await byHand.waiting('joinSession')[0]!.refuse('FORBIDDEN');
    expect(scanner.unpaired).toBe(true);
    expect(states(scanner)).toEqual(['waiting']);
    await byHand.disconnect();
    await byHand.connect();
    expect(byHand.waiting('joinSession'), 'it does not insist').toEqual([]);
  });

  it('while joining fails for now waits for the join, which is tried again', async () => {
    vi.useFakeTimers();
    const byHand = linkByHand();
    const scanner = scannerOf(byHand.link, { storage: memoryOutbox() });
    await byHand.connect();
    await scanner.scan('A');
    await byHand.waiting('joinSession')[0]!.refuse('UNAVAILABLE');
    expect(byHand.waiting('scanOrder')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    await byHand.joined({});
    expect(byHand.waiting('scanOrder').length).toBe(1);
    expect(scanner.unpaired).toBe(false);
    vi.useRealTimers();
  });
});

describe('a phone that is sent away', () => {
  it('knows it, stays away, keeps what it scans, and goes on when it is paired again', async () => {
    const server = await started();
    const wire = await network(server.port);
    const monitorLink = linked(server.url, 'm');
    const { shown } = monitorOf(monitorLink);
    const link = linked(wire.url, 'p');
    const scanner = scannerOf(link);
    await paired(scanner);
    await monitorLink.ask('session:unpair', { sessionId: 's', socketId: link.socket.id! });
    await until('the news', () => scanner.unpaired);
    expect(scanner.status).toBeNull();
    await scanner.scan('A');
    wire.down();
    await until('the end', () => link.state === 'reconnecting');
    wire.up();
    await connected(link);
    await link.ask('heartbeat');
    expect(scanner.unpaired).toBe(true);
    expect(states(scanner)).toEqual(['waiting']);

    const { pairingCode } = await monitorLink.ask('session:create', { sessionId: 's' });
    await link.ask('session:join', { pairingCode });
    await all('displayed', scanner, 1);
    expect(scanner.unpaired).toBe(false);
    expect(shown).toEqual(['A']);
  });
});

describe('the outbox', () => {
  it('keeps as many accepted scans as wanted, the newest, also over a reload', async () => {
    const server = await started();
    const link = linked(server.url, 'p');
    const scanner = scannerOf(link, { keep: 3 });
    for (const number of ['A', 'B', 'C', 'D', 'E']) await scanner.scan(number);
    await until('the newest', () => states(scanner).length === 3 && states(scanner).every((state) => state === 'accepted'));
    expect(orders(scanner)).toEqual(['E', 'D', 'C']);
    scanner.close();
    const again = scannerOf(linkByHand().link, { keep: 3 });
    await until('what is kept', () => again.entries.length > 0);
    expect(orders(again)).toEqual(['E', 'D', 'C']);
  });

  it('is memory where there is no database, or none that can be opened', async () => {
    const server = await started();
    for (const broken of [undefined, { open: () => { throw new DOMException('denied', 'SecurityError'); } }]) {
      vi.stubGlobal('indexedDB', broken);
      const scanner = scannerOf(linked(server.url, 'p'));
      await scanner.scan('A');
      await all('accepted', scanner, 1);
      scanner.close();
    }
  });

  it('gives a new array on each change, of entries that stay as they were', async () => {
    const server = await started();
    const scanner = scannerOf(linked(server.url, 'p'));
    const first = await scanner.scan('A');
    const before = scanner.entries;
    await all('accepted', scanner, 1);
    expect(scanner.entries).not.toBe(before);
    expect(first.state).toBe('waiting');
    expect(scanner.entries).toBe(scanner.entries);
  });
});

describe('several tabs', () => {
  /** Tabs of one browser, each with a link by hand, in the session. */
  async function tabs(count: number) {
    return Promise.all(Array.from({ length: count }, async () => {
      const byHand = linkByHand();
      const scanner = scannerOf(byHand.link);
      await byHand.connect();
      await byHand.joined({});
      return { ...byHand, scanner };
    }));
  }
  const taken = { received: true, seq: 1, durable: true, duplicate: false, monitors: 1, flow: 'AB-1234', traceId: 't' };

  it('show each other what they scanned, and one of them sends it', async () => {
    vi.stubGlobal('navigator', { locks: locks() });
    const [one, other] = await tabs(2);
    await scannerOf(linkByHand().link, { sessionId: 'elsewhere' }).scan('of another session');
    await other!.scanner.scan('A');
    await until('it to be sent', () => one!.waiting('scanOrder').length === 1);
    await one!.scanner.scan('B');
    expect(other!.waiting('scanOrder')).toEqual([]);
    await one!.waiting('scanOrder')[0]!.answer(taken);
    await until('the news', () => states(other!.scanner).includes('accepted'));
    expect(orders(other!.scanner).sort()).toEqual(['A', 'B']);
    expect(one!.waiting('scanOrder').map(({ payload }) => payload.orderNo)).toEqual(['B']);
    // The one that sends is closed, in the middle of it: the other one goes on, under the same name.
    const { nonce } = one!.waiting('scanOrder')[0]!.payload;
    one!.scanner.close();
    await until('it to be sent', () => other!.waiting('scanOrder').length === 1);
    expect(other!.waiting('scanOrder')[0]!.payload).toMatchObject({ orderNo: 'B', nonce });
  });

  it('leave the sending to the one that is looked at, also when the one before is suspended', async () => {
    vi.stubGlobal('navigator', { locks: locks() });
    const page = browser();
    const [hidden] = await tabs(1);
    page.hide();
    const [shown] = await tabs(1);
    await shown!.scanner.scan('A');
    await until('it to be sent', () => hidden!.waiting('scanOrder').length === 1);
    expect(shown!.waiting('scanOrder')).toEqual([]);
    // The hidden tab of a phone does nothing any more. Its listeners are those of the same page here: it is asked for nothing.
    hidden!.scanner.close();
    page.show();
    await until('it to be sent', () => shown!.waiting('scanOrder').length === 1);
  });

  it('send all what they know of where there are no locks: the name makes it one scan', async () => {
    const server = await started();
    const { shown } = monitorOf(linked(server.url, 'm'));
    const one = scannerOf(linked(server.url, 'p'));
    const other = scannerOf(linked(server.url, 'p'));
    await paired(one);
    await paired(other);
    for (let i = 0; i < 5; i += 1) {
      await one.scan(`one-${i}`);
      await other.scan(`other-${i}`);
    }
    await until('all of them, everywhere', () => [one, other].every(({ entries }) => entries.length === 10 && entries.every(({ state }) => state !== 'waiting')));
    await until('the last one', () => shown.length >= 10);
    expect([...shown].sort()).toEqual([...new Set(shown)].sort());
    expect(shown.filter((order) => order.startsWith('one'))).toEqual(['one-0', 'one-1', 'one-2', 'one-3', 'one-4']);
  });
});
