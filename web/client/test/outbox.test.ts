// The outbox by itself: what is kept, in which order, for which session, and what other tabs hear.
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type OutboxChange, type ScanEntry, indexedDbOutbox, memoryOutbox } from '../src/index.js';
import { until } from './helpers.js';

const entry = (nonce: string, more: Partial<ScanEntry> = {}): ScanEntry =>
  ({ nonce, sessionId: 's', orderNo: nonce, ts: 1, traceparent: 't', state: 'waiting', attempts: 0, ...more });

beforeEach(() => {
  vi.stubGlobal('indexedDB', new IDBFactory());
  vi.stubGlobal('IDBKeyRange', IDBKeyRange);
});

for (const [name, create] of [['in IndexedDB', indexedDbOutbox], ['in memory', memoryOutbox]] as const) {
  describe(`scans ${name}`, () => {
    it('are in the order in which they came, whatever they are called, and stay in their places', async () => {
      const outbox = create();
      await Promise.all(['z', 'a', '주문-1', 'm'].map((nonce) => outbox.put(entry(nonce))));
      await outbox.put(entry('z', { state: 'accepted', seq: 7 }));
      const kept = await outbox.load('s');
      expect(kept.map(({ nonce }) => nonce)).toEqual(['z', 'a', '주문-1', 'm']);
      expect(kept[0]).toEqual(entry('z', { state: 'accepted', seq: 7 }));
    });

    it('are of their session, until they are removed', async () => {
      const outbox = create();
      await outbox.put(entry('a'));
      await outbox.put(entry('b', { sessionId: 'elsewhere' }));
      await outbox.remove('a');
      await outbox.remove('never there');
      expect(await outbox.load('s')).toEqual([]);
      expect((await outbox.load('elsewhere')).map(({ nonce }) => nonce)).toEqual(['b']);
    });
  });
}

describe('the database', () => {
  it('is there for the next page', async () => {
    await indexedDbOutbox().put(entry('a'));
    expect(await indexedDbOutbox().load('s')).toEqual([entry('a')]);
  });

  it('is opened again when the connection to it was lost', async () => {
    const opened: IDBDatabase[] = [];
    const open = indexedDB.open.bind(indexedDB);
    vi.spyOn(indexedDB, 'open').mockImplementation((...args) => {
      const request = open(...args);
      request.addEventListener('success', () => opened.push(request.result));
      return request;
    });
    const outbox = indexedDbOutbox();
    await outbox.put(entry('a'));
    opened[0]!.close();
    await outbox.put(entry('b'));
    expect((await outbox.load('s')).map(({ nonce }) => nonce)).toEqual(['a', 'b']);
    expect(opened.length).toBe(2);
  });

  it('that cannot be opened is said to be so', async () => {
    vi.spyOn(indexedDB, 'open').mockImplementation(() => {
      throw new DOMException('denied', 'SecurityError');
    });
    await expect(indexedDbOutbox().put(entry('a'))).rejects.toMatchObject({ code: 'STORAGE' });
  });

  it('forgets what was accepted more than a day ago, of every session, and nothing else', async () => {
    const outbox = indexedDbOutbox();
    const day = 86_400_000;
    await outbox.put(entry('old', { state: 'accepted', acceptedAt: Date.now() - day - 1000, sessionId: 'elsewhere' }));
    await outbox.put(entry('new', { state: 'accepted', acceptedAt: Date.now() - day + 60_000, sessionId: 'elsewhere' }));
    await outbox.put(entry('waiting', { ts: 1, sessionId: 'elsewhere' }));
    await outbox.load('s');
    expect((await outbox.load('elsewhere')).map(({ nonce }) => nonce)).toEqual(['new', 'waiting']);
  });

  it('tells other tabs what was put and removed, and not its own', async () => {
    const [one, other] = [indexedDbOutbox(), indexedDbOutbox()];
    const heard: Record<string, OutboxChange[]> = { one: [], other: [] };
    const ends = [one.watch!((change) => heard.one!.push(change)), other.watch!((change) => heard.other!.push(change))];
    await one.put(entry('a'));
    await one.remove('a');
    await until('the news', () => heard.other!.length === 2);
    expect(heard.other).toEqual([{ entry: entry('a') }, { removed: 'a' }]);
    expect(heard.one).toEqual([]);
    ends.forEach((end) => end());
  });
});
