// The phone: what it scans is written down first, and then sent until the server has it, in order and once.
import { backoff } from './backoff.js';
import { SignalboxError, checkSession, checkText } from './errors.js';
import type { ScanDisplayed, SessionPaired, SessionStatus, SessionUnpaired } from './events.js';
import { lead } from './leader.js';
import type { Link } from './link.js';
import { Listeners } from './listeners.js';
import { member } from './member.js';
import { type OutboxChange, type OutboxStorage, type ScanEntry, indexedDbOutbox, memoryOutbox } from './outbox.js';
import { newNonce, newTraceparent } from './trace.js';

/** What `createScanner` is told. */
export interface ScannerOptions {
  sessionId: string;
  /** IndexedDB by default, memory where there is none. */
  storage?: OutboxStorage;
  /** So many accepted entries stay to be seen; 50 by default. */
  keep?: number;
}

/** The phone's part of a session. A link has one Scanner or one Monitor at a time. */
export interface Scanner {
  /** Newest first; a new array on each change, of entries that never change. */
  readonly entries: readonly ScanEntry[];
  /** Who is in the session; null while this phone is not. */
  readonly status: SessionStatus | null;
  /** A monitor sent this phone away, or the session is not for it. What waits goes on waiting; pairing again ends it. */
  readonly unpaired: boolean;
  /**
   * Takes a scan. Resolves when it is written to the outbox: from then on it will arrive, also after a reload. Throws SignalboxError
   * VALIDATION_ERROR for an order number that is empty, longer than 128 characters or has control characters; STORAGE where it could
   * not be written.
   */
  scan(orderNo: string): Promise<ScanEntry>;
  /** Sends a refused entry again. */
  retry(nonce: string): void;
  /** Forgets a refused entry. */
  discard(nonce: string): Promise<void>;
  /** Calls when something changed. Returns what ends it. */
  subscribe(listener: () => void): () => void;
  /** Leaves the session. What waits stays in the outbox. */
  close(): void;
}

const LONGEST_ORDER = 128;
/** Sending these again would change nothing. */
const FINAL = new Set(['VALIDATION_ERROR', 'PAYLOAD_TOO_LARGE', 'CONFLICT', 'FORBIDDEN', 'NOT_FOUND']);
const isKept = ({ state }: ScanEntry) => state === 'accepted' || state === 'displayed';

/** Begins to scan for a session; what an earlier page or another tab left in the outbox is sent as well. */
export function createScanner(link: Link, { sessionId, storage, keep = 50 }: ScannerOptions): Scanner {
  checkSession(sessionId);
  const { socket } = link;
  const listeners = new Listeners();
  const outbox = storage ?? (typeof indexedDB === 'undefined' ? memoryOutbox() : indexedDbOutbox());
  let store = outbox;
  let entries: readonly ScanEntry[] = [];
  let unpaired = false;
  let closed = false;
  let leads = false;
  let busy = false;
  let failures = 0;
  let pause: ReturnType<typeof setTimeout> | undefined;
  /** Refused as if this phone were outside; once it has joined again they are sent once more. */
  const outsiders = new Set<string>();

  const find = (nonce: string) => entries.find((entry) => entry.nonce === nonce);

  function show(entry: ScanEntry) {
    entries = find(entry.nonce) ? entries.map((old) => (old.nonce === entry.nonce ? entry : old)) : [entry, ...entries];
    listeners.tell();
  }

  function hide(nonce: string) {
    entries = entries.filter((entry) => entry.nonce !== nonce);
    listeners.tell();
  }

  function change(nonce: string, what: Partial<ScanEntry>) {
    const entry = find(nonce);
    if (!entry) return;
    const { error: _, ...rest } = entry;
    const next = { ...rest, ...what };
    show(next);
    // Where this is not written the entry is sent once more after a reload, which changes nothing.
    store.put(next).catch(() => {});
  }

  async function forget(nonce: string) {
    hide(nonce);
    await store.remove(nonce);
  }

  function prune() {
    for (const { nonce } of entries.filter(isKept).slice(keep)) forget(nonce).catch(() => {});
  }

  const place = member(link, {
    role: 'mobile',
    sessionId,
    joined() {
      resume();
    },
    changed: listeners.tell,
    denied: leave,
  });

  function leave() {
    unpaired = true;
    place.stayOut();
  }

  function resume() {
    clearTimeout(pause);
    pause = undefined;
    failures = 0;
    next();
  }

  function next() {
    if (busy || pause !== undefined || closed || !leads || !place.inside) return;
    const entry = entries.findLast(({ state }) => state === 'waiting');
    if (!entry) return;
    busy = true;
    send(entry).finally(() => {
      busy = false;
      next();
    });
  }

  async function send({ nonce, orderNo, ts, traceparent, attempts: before }: ScanEntry) {
    const attempts = before + 1;
    try {
      const ack = await link.ask('scanOrder', { sessionId, orderNo, ts, nonce, traceparent });
      failures = 0;
      const { seq, durable, duplicate, monitors, flow, traceId } = ack;
      // A monitor may have been quicker than the acknowledgement.
      const state = find(nonce)?.state === 'displayed' ? 'displayed' : 'accepted';
      change(nonce, { state, attempts, seq, durable, duplicate, monitors, flow, traceId, acceptedAt: Date.now() });
      prune();
    } catch (failure) {
      failed(nonce, attempts, failure as SignalboxError);
    }
  }

  function failed(nonce: string, attempts: number, { code, message, flow }: SignalboxError) {
    // Another tab may have got it through.
    if (find(nonce)?.state !== 'waiting') return;
    const error = { code, message };
    const outside = code === 'FORBIDDEN' && (unpaired || !outsiders.has(nonce));
    if (FINAL.has(code) && !outside) return change(nonce, { state: 'refused', attempts, error, ...(flow !== undefined && { flow }) });
    change(nonce, { attempts, error });
    failures += 1;
    pause = setTimeout(resumeSlowly, backoff(failures - 1));
    if (outside && !unpaired) {
      // The server drops idle sessions without telling.
      outsiders.add(nonce);
      place.stayOut();
      place.join();
    }
  }

  function resumeSlowly() {
    pause = undefined;
    next();
  }

  function heard(change: OutboxChange) {
    if ('removed' in change) {
      if (find(change.removed)) hide(change.removed);
      return;
    }
    const { entry } = change;
    const known = find(entry.nonce);
    if (entry.sessionId !== sessionId || (known && isKept(known) && !isKept(entry))) return;
    show(entry);
    next();
  }

  function displayed({ sessionId: where, seq, nonce, latencyMs }: ScanDisplayed) {
    const entry = where === sessionId && nonce !== null ? find(nonce) : undefined;
    if (!entry || entry.state === 'displayed') return;
    change(entry.nonce, { state: 'displayed', seq, latencyMs, acceptedAt: entry.acceptedAt ?? Date.now() });
  }

  function sentAway({ sessionId: where }: SessionUnpaired) {
    if (where === sessionId) leave();
  }

  function paired({ sessionId: where, socketId }: SessionPaired) {
    if (where !== sessionId || socketId !== socket.id || !unpaired) return;
    unpaired = false;
    place.join();
    listeners.tell();
  }

  const ends = [
    () => socket.off('scan:displayed', displayed).off('session:unpaired', sentAway).off('session:paired', paired),
    outbox.watch?.(heard),
    // What only this tab keeps only this tab can send.
    outbox.watch ? lead(`signalbox:outbox:${sessionId}`, (now) => {
      leads = now;
      next();
    }) : void (leads = true),
  ];
  socket.on('scan:displayed', displayed);
  socket.on('session:unpaired', sentAway);
  socket.on('session:paired', paired);

  const loaded = outbox.load(sessionId).then((old) => {
    entries = [...entries, ...old.filter(({ nonce }) => !find(nonce)).reverse()];
    prune();
    listeners.tell();
    next();
  }, () => {
    // Private windows of some browsers have a database that cannot be opened.
    store = memoryOutbox();
    leads = true;
  });

  return {
    get entries() {
      return entries;
    },
    get status() {
      return place.status;
    },
    get unpaired() {
      return unpaired;
    },
    async scan(given) {
      const orderNo = given.trim();
      checkText('orderNo', orderNo, LONGEST_ORDER);
      const nonce = newNonce();
      const entry: ScanEntry = { nonce, sessionId, orderNo, ts: Date.now(), traceparent: newTraceparent(), state: 'waiting', attempts: 0 };
      await loaded;
      await store.put(entry);
      show(entry);
      next();
      return entry;
    },
    retry(nonce) {
      if (find(nonce)?.state !== 'refused') return;
      outsiders.delete(nonce);
      change(nonce, { state: 'waiting' });
      next();
    },
    async discard(nonce) {
      if (find(nonce)?.state === 'refused') await forget(nonce);
    },
    subscribe: listeners.subscribe,
    close() {
      if (closed) return;
      closed = true;
      clearTimeout(pause);
      ends.forEach((end) => end?.());
      place.close();
      listeners.clear();
    },
  };
}
