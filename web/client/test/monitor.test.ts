// The monitor: once and in order, over gaps, repeats, reloads and other ledgers, and honest about what could be seen.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Order, type ScanDisplayed, createMonitor, createScanner, memoryOutbox } from '../src/index.js';
import { browser, connected, linkByHand, linked, network, settled, started, storage, tidy, until } from './helpers.js';

type Options = Parameters<typeof createMonitor>[1];

const navigate = (seq: number | null, more: object = {}) =>
  ({ orderNo: `주문-${seq}`, ts: 1, nonce: `n-${seq}`, from: 'mobile', fromSocketId: 'phone', traceparent: `trace-${seq}`, seq, ...more });

/** A monitor with a link by hand, connected and in its session. */
async function monitorByHand(options: Partial<Options> = {}, answer: Record<string, unknown> = {}) {
  const byHand = linkByHand();
  const shown: string[] = [];
  const show = (order: Order) => void shown.push(order.orderNo);
  const monitor = tidy(createMonitor(byHand.link, { sessionId: 's', storage: storage(), show, ...options }));
  await byHand.connect();
  const said = await byHand.joined(answer);
  return {
    ...byHand,
    monitor,
    shown,
    /** What it said when it joined first. */
    said,
    /** The packet arrives, and asks for an answer. */
    arrives: async (seq: number | null, more: object = {}) => {
      const answered = vi.fn();
      await byHand.push('navigate', navigate(seq, more), answered);
      return answered;
    },
  };
}

const seqs = (monitor: { orders: readonly Order[] }) => monitor.orders.map(({ seq }) => seq);

describe('orders', () => {
  it('are shown as they come, and are there newest first', async () => {
    const { monitor, arrives, shown } = await monitorByHand();
    const before = monitor.orders;
    await arrives(1);
    await arrives(2, { replayed: true, from: 'monitor', nonce: undefined });
    expect(shown).toEqual(['주문-1', '주문-2']);
    expect(monitor.orders).toEqual([
      { seq: 2, orderNo: '주문-2', ts: 1, from: 'monitor', fromSocketId: 'phone', traceparent: 'trace-2', replayed: true, receivedAt: expect.any(Number) },
      { seq: 1, orderNo: '주문-1', ts: 1, nonce: 'n-1', from: 'mobile', fromSocketId: 'phone', traceparent: 'trace-1', replayed: false, receivedAt: expect.any(Number) },
    ]);
    expect(before).toEqual([]);
  });

  it('that come again are shown once, and acknowledged', async () => {
    const { arrives, shown } = await monitorByHand();
    const first = await arrives(1);
    await arrives(2);
    const again = [await arrives(1, { replayed: true }), await arrives(2)];
    expect(shown).toEqual(['주문-1', '주문-2']);
    for (const answered of [first, ...again]) expect(answered).toHaveBeenCalledOnce();
  });

  it('after a gap wait for what was left out, which is asked for once', async () => {
    vi.useFakeTimers();
    const { arrives, shown, monitor, waiting, joined } = await monitorByHand();
    await arrives(1);
    const early = await arrives(4);
    await arrives(5);
    expect(shown).toEqual(['주문-1']);
    expect(early).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(waiting('joinSession').map(({ payload }) => payload)).toEqual([{ sessionId: 's', lastSeq: 1, epoch: 'e1' }]);
    vi.useRealTimers();
    await joined({ seq: 5 });
    for (const seq of [2, 3, 4, 5]) await arrives(seq, { replayed: true });
    expect(shown).toEqual([1, 2, 3, 4, 5].map((seq) => `주문-${seq}`));
    expect(early, 'the one that came early is acknowledged').toHaveBeenCalledOnce();
    expect(seqs(monitor)).toEqual([5, 4, 3, 2, 1]);
    expect(monitor.missed).toBe(false);
    // The next gap is another one.
    await arrives(8);
    expect(waiting('joinSession').map(({ payload }) => payload.lastSeq)).toEqual([5]);
  });

  it('after a gap that stays are asked for again, but not in a loop', async () => {
    const { arrives, waiting, joined } = await monitorByHand();
    vi.useFakeTimers();
    await arrives(3);
    await joined({ seq: 3 });
    await arrives(3, { replayed: true });
    expect(waiting('joinSession')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(waiting('joinSession').length).toBe(1);
    vi.useRealTimers();
  });

  it('are shown one after the other, however long one takes', async () => {
    const ends: (() => void)[] = [];
    const begun: (number | null)[] = [];
    const { arrives, monitor } = await monitorByHand({
      show({ seq }) {
        begun.push(seq);
        return new Promise<void>((resolve) => ends.push(resolve));
      },
    });
    const answers = [await arrives(1), await arrives(2)];
    expect(begun).toEqual([1]);
    expect(seqs(monitor)).toEqual([]);
    expect(answers[0]).not.toHaveBeenCalled();
    ends[0]!();
    await settled();
    expect(begun).toEqual([1, 2]);
    expect(seqs(monitor)).toEqual([1]);
    expect(answers.map((answer) => answer.mock.calls.length)).toEqual([1, 0]);
  });

  it('whose showing fails do not stop the others, and do not count as displayed', async () => {
    const complaint = vi.spyOn(console, 'error').mockImplementation(() => {});
    const shown: (number | null)[] = [];
    const { arrives, monitor } = await monitorByHand({
      show({ seq }) {
        if (seq === 1) throw new Error('no window');
        shown.push(seq);
      },
    });
    const answers = [await arrives(1), await arrives(2)];
    expect(shown).toEqual([2]);
    expect(seqs(monitor)).toEqual([2, 1]);
    expect(answers.map((answer) => answer.mock.calls.length)).toEqual([0, 1]);
    expect(complaint).toHaveBeenCalledOnce();
  });

  it('are as many as wanted', async () => {
    const { arrives, monitor } = await monitorByHand({ history: 2 });
    for (const seq of [1, 2, 3]) await arrives(seq);
    expect(seqs(monitor)).toEqual([3, 2]);
  });
});

describe('before the join', () => {
  it('what comes is of a session that was left, and is not shown', async () => {
    const byHand = linkByHand();
    const monitor = tidy(createMonitor(byHand.link, { sessionId: 's', storage: storage() }));
    await byHand.connect();
    await byHand.push('navigate', navigate(41));
    await byHand.push('joinedSession', { sessionId: 'left', status: {}, epoch: 'e1', seq: 41, lastSeq: 41, recovered: true });
    await byHand.push('navigate', navigate(42));
    await byHand.joined({});
    await byHand.push('navigate', navigate(1));
    expect(seqs(monitor)).toEqual([1]);
  });

  it('one that is closed leaves, and shows nothing any more', async () => {
    const { monitor, sent, arrives, shown } = await monitorByHand();
    monitor.close();
    await arrives(1);
    expect(sent).toEqual([['leaveSession', { sessionId: 's' }]]);
    expect(shown).toEqual([]);
  });
});

describe('while the database is away', () => {
  it('orders have no place, and are shown at once, each once', async () => {
    const { arrives, shown, waiting, monitor } = await monitorByHand({}, { seq: 3, lastSeq: 3 });
    await arrives(null, { nonce: 'a', orderNo: 'A' });
    await arrives(null, { nonce: 'a', orderNo: 'A' });
    await arrives(null, { nonce: 'b', orderNo: 'B' });
    expect(shown).toEqual(['A', 'B']);
    // The phone was not answered and tried again, when the database was back: it has a place now.
    const answered = await arrives(4, { nonce: 'a', orderNo: 'A' });
    expect(shown).toEqual(['A', 'B']);
    expect(answered).toHaveBeenCalledOnce();
    expect(seqs(monitor)).toEqual([null, 4]);
    await arrives(5, { nonce: 'c', orderNo: 'C' });
    expect(shown).toEqual(['A', 'B', 'C']);
    expect(waiting('joinSession')).toEqual([]);
  });

  it('a monitor that comes back keeps its place, has missed nothing, and asks later', async () => {
    const { arrives, connect, disconnect, joined, waiting, monitor } = await monitorByHand();
    await arrives(1);
    await disconnect();
    vi.useFakeTimers();
    await connect();
    await joined({ epoch: null, seq: null, lastSeq: null, recovered: false });
    expect(monitor.missed).toBe(false);
    expect(waiting('joinSession')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(waiting('joinSession').map(({ payload }) => payload)).toEqual([{ sessionId: 's', lastSeq: 1, epoch: 'e1' }]);
    vi.useRealTimers();
  });
});

describe('a monitor that comes back', () => {
  it('says what it knows, on every connection', async () => {
    const { said, arrives, disconnect, connect, joined } = await monitorByHand({}, { seq: 7, lastSeq: 5 });
    expect(said).toEqual({ sessionId: 's' });
    await disconnect();
    await connect();
    expect(await joined({ seq: 7 }), 'also where nothing came yet').toEqual({ sessionId: 's', lastSeq: 5, epoch: 'e1' });
    await arrives(6, { replayed: true });
    await disconnect();
    await connect();
    expect(await joined({ seq: 7 })).toEqual({ sessionId: 's', lastSeq: 6, epoch: 'e1' });
  });

  it('goes on after what the server no longer has, and says that it missed something', async () => {
    const { arrives, disconnect, connect, joined, shown, monitor, waiting } = await monitorByHand();
    await arrives(1);
    await disconnect();
    await connect();
    await joined({ seq: 600, lastSeq: 99, recovered: false });
    expect(monitor.missed).toBe(true);
    await arrives(100, { replayed: true });
    expect(shown).toEqual(['주문-1', '주문-100']);
    expect(waiting('joinSession')).toEqual([]);
  });

  it('starts over with another ledger', async () => {
    const { arrives, disconnect, connect, joined, shown, monitor, waiting } = await monitorByHand();
    for (const seq of [1, 2, 3]) await arrives(seq);
    await disconnect();
    await connect();
    await joined({ epoch: 'e2', seq: 2, lastSeq: 0, recovered: false });
    for (const seq of [1, 2]) await arrives(seq, { replayed: true, nonce: `new-${seq}`, orderNo: `new-${seq}` });
    expect(shown).toEqual(['주문-1', '주문-2', '주문-3', 'new-1', 'new-2']);
    expect(monitor.missed).toBe(true);
    await arrives(9);
    expect(waiting('joinSession')[0]!.payload).toEqual({ sessionId: 's', lastSeq: 2, epoch: 'e2' });
  });

  it('follows a ledger that was set back', async () => {
    const { arrives, disconnect, connect, joined, shown } = await monitorByHand();
    for (const seq of [1, 2, 3]) await arrives(seq);
    await disconnect();
    await connect();
    await joined({ seq: 1, lastSeq: 1, recovered: false });
    await arrives(2, { nonce: 'other', orderNo: 'other' });
    expect(shown.at(-1)).toBe('other');
  });

  it('joins again before the server forgets a session in which nothing happens', async () => {
    vi.useFakeTimers();
    const { waiting, joined } = await monitorByHand();
    await vi.advanceTimersByTimeAsync(10 * 60_000 - 1);
    expect(waiting('joinSession')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await joined({});
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(waiting('joinSession').length).toBe(1);
    vi.useRealTimers();
  });

  it('tries to join again where that failed', async () => {
    vi.useFakeTimers();
    const byHand = linkByHand();
    const monitor = tidy(createMonitor(byHand.link, { sessionId: 's', storage: storage() }));
    await byHand.connect();
    await byHand.waiting('joinSession')[0]!.refuse('INTERNAL');
    expect(monitor.status).toBeNull();
    await vi.advanceTimersByTimeAsync(1_000);
    await byHand.joined({});
    expect(monitor.status).toEqual({ isActive: true, hasMobile: true, hasMonitor: true });
    vi.useRealTimers();
  });
});

describe('a reload', () => {
  it('neither repeats nor loses: each order is one write, after it was shown', async () => {
    const kept = storage();
    const writes: number[] = [];
    const first = await monitorByHand({ storage: kept, show: () => void writes.push(kept.writes) });
    const before = kept.writes;
    for (const seq of [1, 2]) await first.arrives(seq);
    expect(kept.writes - before).toBe(2);
    expect(writes).toEqual([before, before + 1]);
    first.monitor.close();

    const second = await monitorByHand({ storage: kept }, { seq: 2 });
    expect(second.said).toEqual({ sessionId: 's', lastSeq: 2, epoch: 'e1' });
    expect(second.monitor.orders).toEqual(first.monitor.orders);
    await second.arrives(2, { replayed: true });
    await second.arrives(3);
    expect(second.shown).toEqual(['주문-3']);
    expect(seqs(second.monitor)).toEqual([3, 2, 1]);
  });

  it('in the middle of showing brings that order again', async () => {
    const kept = storage();
    const first = await monitorByHand({ storage: kept, show: () => new Promise(() => {}) });
    await first.arrives(1);
    const second = await monitorByHand({ storage: kept }, { seq: 1 });
    expect(second.said).toEqual({ sessionId: 's', lastSeq: 0, epoch: 'e1' });
  });

  it('is of one session, and survives what cannot be read or written', async () => {
    const kept = storage();
    const first = await monitorByHand({ storage: kept });
    await first.arrives(1);
    expect((await monitorByHand({ storage: kept, sessionId: 'other' })).monitor.orders).toEqual([]);
    kept.setItem('signalbox:monitor:broken', '{');
    expect((await monitorByHand({ storage: kept, sessionId: 'broken' })).monitor.orders).toEqual([]);
    const full = await monitorByHand({ storage: { getItem: () => null, setItem: () => { throw new DOMException('full', 'QuotaExceededError'); } } });
    await full.arrives(1);
    expect(full.shown).toEqual(['주문-1']);
  });
});

describe('a receipt', () => {
  let page: ReturnType<typeof browser>;
  beforeEach(() => {
    page = browser();
  });

  it('is given after two frames, with the time since the arrival', async () => {
    const { arrives } = await monitorByHand();
    const answered = await arrives(1);
    await page.frame();
    expect(answered).not.toHaveBeenCalled();
    await page.frame();
    expect(answered).toHaveBeenCalledExactlyOnceWith({ paintedMs: expect.any(Number) });
    expect(answered.mock.calls[0]![0].paintedMs).toBeGreaterThanOrEqual(0);
    expect(answered.mock.calls[0]![0].paintedMs).toBeLessThan(20_000);
  });

  it('waits where nobody can see the page; orders do not', async () => {
    const { arrives, shown } = await monitorByHand();
    page.hide();
    const answers = [await arrives(1), await arrives(2)];
    for (let i = 0; i < 5; i += 1) await page.frame();
    expect(shown).toEqual(['주문-1', '주문-2']);
    for (const answered of answers) expect(answered).not.toHaveBeenCalled();
    page.show();
    await settled();
    await page.frame();
    await page.frame();
    for (const answered of answers) expect(answered).toHaveBeenCalledOnce();
  });

  it('goes by navigate:displayed after the next join, where the connection that asked for it is gone', async () => {
    const { arrives, disconnect, connect, joined, waiting } = await monitorByHand();
    const answered = await arrives(1);
    await disconnect();
    await page.frame();
    await page.frame();
    expect(waiting('navigate:displayed')).toEqual([]);
    await connect();
    expect(waiting('navigate:displayed'), 'not before it is in the session').toEqual([]);
    await joined({ seq: 1 });
    expect(waiting('navigate:displayed').map(({ payload }) => payload)).toEqual([{ sessionId: 's', seq: 1, traceparent: 'trace-1', paintedMs: expect.any(Number) }]);
    expect(answered).not.toHaveBeenCalled();
    // Also that can be lost on the way.
    await disconnect();
    await connect();
    await joined({ seq: 1 });
    expect(waiting('navigate:displayed').length).toBe(1);
    await waiting('navigate:displayed')[0]!.answer(null);
    await disconnect();
    await connect();
    await joined({ seq: 1 });
    expect(waiting('navigate:displayed')).toEqual([]);
  });

  it('goes by navigate:displayed where nobody asked for one, as for what is replayed', async () => {
    const { push, waiting } = await monitorByHand();
    await push('navigate', navigate(1, { replayed: true }));
    await page.frame();
    await page.frame();
    expect(waiting('navigate:displayed').map(({ payload }) => payload.seq)).toEqual([1]);
  });

  it('of an order that came again before it could be seen goes to whoever asked last', async () => {
    const { arrives, disconnect, connect, joined, waiting } = await monitorByHand();
    page.hide();
    const first = await arrives(1);
    await disconnect();
    await connect();
    await joined({ seq: 1 });
    const again = await arrives(1, { replayed: true });
    expect(again, 'it was not seen yet').not.toHaveBeenCalled();
    page.show();
    await settled();
    await page.frame();
    await page.frame();
    expect(first).not.toHaveBeenCalled();
    expect(again).toHaveBeenCalledExactlyOnceWith({ paintedMs: expect.any(Number) });
    expect(waiting('navigate:displayed')).toEqual([]);
  });
});

describe('with the real server', () => {
  it('a phone hears of what was shown before it came back, and of what was replayed', async () => {
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'm');
    let seen = () => {};
    const shown: number[] = [];
    const monitor = tidy(createMonitor(link, {
      sessionId: 's',
      storage: storage(),
      show({ seq }) {
        shown.push(seq!);
        // The first one takes until the network is gone.
        return seq === 1 ? new Promise<void>((resolve) => (seen = resolve)) : undefined;
      },
    }));
    const phone = linked(server.url, 'p');
    const told: ScanDisplayed[] = [];
    phone.socket.on('scan:displayed', (receipt) => told.push(receipt));
    const scanner = tidy(createScanner(phone, { sessionId: 's', storage: memoryOutbox() }));
    await until('both', () => scanner.status?.hasMonitor === true && monitor.status?.hasMobile === true);
    await scanner.scan('A');
    await until('its arrival', () => shown.length === 1);
    wire.down();
    await until('the end', () => link.state === 'reconnecting' && scanner.status?.hasMonitor === false);
    expect(monitor.status).toBeNull();
    await scanner.scan('B');
    await until('the scan', () => scanner.entries[0]!.state === 'accepted');
    seen();
    wire.up();
    await until('the receipts', () => scanner.entries.every(({ state }) => state === 'displayed'));
    expect(shown).toEqual([1, 2]);
    expect(told.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(monitor.orders.map(({ seq, replayed }) => [seq, replayed])).toEqual([[2, true], [1, false]]);
    expect(monitor.missed).toBe(false);
  });

  it('a reload in the middle of scans neither repeats nor loses, also of a monitor that came late', async () => {
    const server = await started();
    const scanner = tidy(createScanner(linked(server.url, 'p'), { sessionId: 's', storage: memoryOutbox(), keep: 1000 }));
    for (let i = 0; i < 10; i += 1) await scanner.scan(`${i}`);
    await until('the scans', () => scanner.entries.every(({ state }) => state === 'accepted'));
    const kept = storage();
    const shown: (number | null)[] = [];
    for (let page = 0; page < 4; page += 1) {
      const link = linked(server.url, 'm');
      const monitor = tidy(createMonitor(link, { sessionId: 's', storage: kept, show: ({ seq }) => void shown.push(seq) }));
      const before = shown.length;
      const scanning = (async () => {
        for (let i = 0; i < 10; i += 1) await scanner.scan(`${page}-${i}`);
      })();
      await until('some orders', () => shown.length > before + 3);
      // The page is gone, whatever was on its way.
      monitor.close();
      link.close();
      await scanning;
    }
    const link = linked(server.url, 'm');
    await connected(link);
    tidy(createMonitor(link, { sessionId: 's', storage: kept, show: ({ seq }) => void shown.push(seq) }));
    await until('all of them', () => shown.length >= 50);
    expect(shown).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it('tells who is there', async () => {
    const server = await started();
    const monitor = tidy(createMonitor(linked(server.url, 'm'), { sessionId: 's', storage: storage() }));
    const told = vi.fn();
    monitor.subscribe(told);
    expect(monitor.status).toBeNull();
    await until('the session', () => monitor.status !== null);
    expect(monitor.status).toEqual({ isActive: true, hasMobile: false, hasMonitor: true });
    const scanner = tidy(createScanner(linked(server.url, 'p'), { sessionId: 's', storage: memoryOutbox() }));
    await until('the phone', () => monitor.status!.hasMobile);
    scanner.close();
    await until('it to leave', () => !monitor.status!.hasMobile);
    expect(told.mock.calls.length).toBeGreaterThanOrEqual(3);
  });
});
