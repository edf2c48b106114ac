// Where scans are kept until the server has them: IndexedDB, shared by all tabs, or memory.
import { SignalboxError } from './errors.js';

/** A scan and what became of it. */
export interface ScanEntry {
  /** Its name for good: the server takes it once, however often it is sent. */
  readonly nonce: string;
  readonly sessionId: string;
  readonly orderNo: string;
  /** When it was scanned, in milliseconds since 1970. */
  readonly ts: number;
  readonly traceparent: string;
  /** `waiting` to be accepted by the server; `displayed` by a monitor, at least one; `refused` for good, see `error`. */
  readonly state: 'waiting' | 'accepted' | 'displayed' | 'refused';
  /** How often it was sent. */
  readonly attempts: number;
  /** Its place in the session; null where the server's database was away. */
  readonly seq?: number | null;
  /** The server keeps it, whatever happens. */
  readonly durable?: boolean;
  /** The server had it already. */
  readonly duplicate?: boolean;
  /** So many monitors were there. */
  readonly monitors?: number;
  /** By this code an operator finds what happened to it. */
  readonly flow?: string;
  readonly traceId?: string;
  /** Why the last try did not do. */
  readonly error?: { readonly code: string; readonly message: string };
  /** Milliseconds from the server's receipt of the scan to that of the first monitor that displayed it. */
  readonly latencyMs?: number;
  /** In milliseconds since 1970. */
  readonly acceptedAt?: number;
}

/** What another tab did. */
export type OutboxChange = { readonly entry: ScanEntry } | { readonly removed: string };

/** Keeps scans. Used by one Scanner. */
export interface OutboxStorage {
  /** All entries of a session, oldest first. */
  load(sessionId: string): Promise<ScanEntry[]>;
  /** Keeps an entry: at the end, or instead of the one with its nonce. Resolves when it will survive a reload. */
  put(entry: ScanEntry): Promise<void>;
  remove(nonce: string): Promise<void>;
  /** Calls with what other tabs do, where they share it. Returns what ends it. */
  watch?(changed: (change: OutboxChange) => void): () => void;
}

const STORE = 'scans';
/** As long as the server knows nonces. */
const DAY_MS = 86_400_000;

/** Keeps scans in IndexedDB, for all tabs of this origin. Rejects with code `STORAGE` where that does not work. */
export function indexedDbOutbox(name = 'signalbox'): OutboxStorage {
  let opened: Promise<IDBDatabase> | undefined;
  let channel: BroadcastChannel | undefined;

  const open = () => new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      // Its own keys count up: the order of the scans.
      const scans = request.result.createObjectStore(STORE, { autoIncrement: true });
      scans.createIndex('nonce', 'nonce', { unique: true });
      scans.createIndex('session', 'sessionId');
      scans.createIndex('accepted', 'acceptedAt');
    };
    request.onsuccess = () => {
      const database = request.result;
      database.onversionchange = () => {
        database.close();
        opened = undefined;
      };
      resolve(database);
    };
    request.onerror = () => reject(request.error);
  });

  async function transaction<T>(work: (scans: IDBObjectStore, give: (result: T) => void) => void): Promise<T> {
    for (let tries = 2; ; tries -= 1) {
      try {
        opened ??= open();
        const database = await opened;
        return await new Promise<T>((resolve, reject) => {
          // By default Chrome answers before it is on the disk.
          const all = database.transaction(STORE, 'readwrite', { durability: 'strict' });
          let result: T;
          all.oncomplete = () => resolve(result);
          all.onabort = () => reject(all.error);
          work(all.objectStore(STORE), (given) => {
            result = given;
          });
        });
      } catch (error) {
        // Safari loses its connection to the database in the background; a new one works.
        opened = undefined;
        if (tries === 1) throw new SignalboxError('STORAGE', `this device cannot keep scans: ${(error as Error | null)?.message ?? 'aborted'}`);
      }
    }
  }

  const keyOf = (scans: IDBObjectStore, nonce: string, then: (key: IDBValidKey | undefined) => void) => {
    const request = scans.index('nonce').getKey(nonce);
    request.onsuccess = () => then(request.result);
  };

  return {
    load: (sessionId) => transaction((scans, give) => {
      const old = scans.index('accepted').openCursor(IDBKeyRange.upperBound(Date.now() - DAY_MS));
      old.onsuccess = () => {
        old.result?.delete();
        old.result?.continue();
      };
      const all = scans.index('session').getAll(sessionId);
      all.onsuccess = () => give(all.result);
    }),
    async put(entry) {
      await transaction<void>((scans) => keyOf(scans, entry.nonce, (key) => scans.put(entry, key)));
      channel?.postMessage({ entry } satisfies OutboxChange);
    },
    async remove(nonce) {
      await transaction<void>((scans) => keyOf(scans, nonce, (key) => key !== undefined && scans.delete(key)));
      channel?.postMessage({ removed: nonce } satisfies OutboxChange);
    },
    watch(changed) {
      if (typeof BroadcastChannel === 'undefined') return () => {};
      const mine = new BroadcastChannel(`${name}:outbox`);
      // In Node it would keep the process going.
      (mine as { unref?: () => void }).unref?.();
      mine.onmessage = ({ data }: MessageEvent<OutboxChange>) => changed(data);
      channel = mine;
      return () => {
        mine.close();
        channel = undefined;
      };
    },
  };
}

/** Keeps scans until the page is gone. */
export function memoryOutbox(): OutboxStorage {
  const kept = new Map<string, ScanEntry>();
  return {
    load: async (sessionId) => [...kept.values()].filter((entry) => entry.sessionId === sessionId),
    async put(entry) {
      kept.set(entry.nonce, entry);
    },
    async remove(nonce) {
      kept.delete(nonce);
    },
  };
}
