// The monitor: shows each order once and in order, also over reloads, and says when it could be seen.
import { checkSession } from './errors.js';
import type { JoinedSession, Navigate, Painted, SessionStatus } from './events.js';
import type { Link } from './link.js';
import { Listeners } from './listeners.js';
import { member } from './member.js';
import { browserStorage } from './storage.js';

/** An order that arrived. */
export interface Order {
  /** The scan's place in the session; null where the server's database was away. */
  readonly seq: number | null;
  readonly orderNo: string;
  /** When it was scanned, by the phone's clock, in milliseconds since 1970. */
  readonly ts: number;
  readonly nonce?: string;
  readonly from: 'mobile' | 'monitor';
  readonly fromSocketId: string;
  readonly traceparent: string;
  /** It was missed before, and sent again. */
  readonly replayed: boolean;
  /** By this device's clock, in milliseconds since 1970. */
  readonly receivedAt: number;
}

/** Where a Monitor keeps what it knows, as localStorage does. */
export type MonitorStorage = Pick<Storage, 'getItem' | 'setItem'>;

/** What `createMonitor` is told. */
export interface MonitorOptions {
  sessionId: string;
  /** localStorage by default, memory where there is none. */
  storage?: MonitorStorage;
  /**
   * Shows an order. The next one waits for it, so it has to end. An order that the page is closed on before that comes again; one that
   * this throws for is in `orders`, but does not count as displayed.
   */
  show?: (order: Order) => void | Promise<void>;
  /** So many orders stay in `orders`; 50 by default. */
  history?: number;
}

/** The monitor's part of a session. A link has one Scanner or one Monitor at a time: what the server sends does not name the session. */
export interface Monitor {
  /** Newest first; a new array on each change. Survives a reload. */
  readonly orders: readonly Order[];
  /** Who is in the session; null while this monitor is not. */
  readonly status: SessionStatus | null;
  /** When this monitor came back the server no longer had everything that it had missed. Stays true. */
  readonly missed: boolean;
  /** Calls when something changed. Returns what ends it. */
  subscribe(listener: () => void): () => void;
  /** Leaves the session. */
  close(): void;
}

/** What survives a reload, written at once. */
interface Known {
  epoch: string | null;
  /** The last place that was applied; null while it is not known where the sequence begins. */
  lastSeq: number | null;
  orders: readonly Order[];
}

interface Arrival {
  navigate: Navigate;
  answer: ((said?: Painted) => void) | undefined;
  /** The connection that the answer belongs to. */
  socketId: string | undefined;
  at: number;
  receivedAt: number;
}

interface Receipt {
  seq: number;
  traceparent: string;
  paintedMs: number;
}

/** The server knows of so many scans of a session who scanned them. */
const RECEIPTS = 64;

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

/** What was drawn before is on a screen that somebody can look at: a hidden page has no frames. */
async function painted() {
  if (typeof requestAnimationFrame === 'undefined') return;
  // The first one is before the paint, the second one after it.
  await frame();
  await frame();
}

/** Begins to show the orders of a session, after the last one that this browser has shown. */
export function createMonitor(link: Link, { sessionId, storage = browserStorage(), show, history = 50 }: MonitorOptions): Monitor {
  checkSession(sessionId);
  const { socket } = link;
  const listeners = new Listeners();
  const key = `signalbox:monitor:${sessionId}`;
  let known: Known = { epoch: null, lastSeq: null, orders: [] };
  try {
    known = { ...known, ...JSON.parse(storage?.getItem(key) ?? '{}') };
  } catch {
    // What cannot be read is as good as nothing.
  }
  let missed = false;
  let closed = false;
  let working = false;
  /** In the order in which they came: what joining said, and orders. */
  const arrived: (JoinedSession | Arrival)[] = [];
  /** What came too early, until what was left out is there. */
  const held = new Map<number, Arrival>();
  /** What was left out after this place was asked for. */
  let gapAfter: number | undefined;
  let asking = false;
  /** Applied, and not yet seen. */
  const unseen = new Map<number, Arrival>();
  /** Seen, and to be told with the next join. */
  let owed: Receipt[] = [];

  function learn(what: Partial<Known>) {
    known = { ...known, ...what };
    try {
      storage?.setItem(key, JSON.stringify(known));
    } catch {
      // A full storage is no reason not to show orders.
    }
    listeners.tell();
  }

  const place = member(link, {
    role: 'monitor',
    sessionId,
    known: () => ({ ...(known.lastSeq !== null && { lastSeq: known.lastSeq }), ...(known.epoch !== null && { epoch: known.epoch }) }),
    joined(answer) {
      arrived.push(answer);
      work();
    },
    changed: listeners.tell,
  });

  function navigated(navigate: Navigate, answer?: (said?: Painted) => void) {
    // It does not say of which session it is: what comes before the join is of one that was left.
    if (!place.inside) return;
    arrived.push({ navigate, answer, socketId: socket.id, at: performance.now(), receivedAt: Date.now() });
    work();
  }
  socket.on('navigate', navigated);

  async function work() {
    if (working) return;
    working = true;
    for (let next = arrived.shift(); next && !closed; next = arrived.shift()) {
      if ('status' in next) joined(next);
      else await take(next);
      for (let due = nextHeld(); due && !closed; due = nextHeld()) await apply(due);
    }
    working = false;
  }

  function joined({ epoch, seq, lastSeq, recovered }: JoinedSession) {
    asking = false;
    // Where the server does not say it the next one is taken as it comes.
    const start = lastSeq ?? null;
    // The server cannot read what was scanned before: ask later.
    if (epoch === null || seq === null) return place.joinLater();
    if (known.epoch !== null && !recovered) missed = true;
    if (epoch !== known.epoch) {
      held.clear();
      learn({ epoch, lastSeq: start });
    } else if (!recovered && known.lastSeq !== null) {
      // Either what follows is gone, or the server is behind: it was restored from a backup.
      learn({ lastSeq: start === null || seq < known.lastSeq ? start : Math.max(known.lastSeq, start) });
    }
    tellOwed();
  }

  async function take(arrival: Arrival) {
    const { seq, nonce } = arrival.navigate;
    const last = known.lastSeq;
    if (seq === null) {
      const again = nonce !== undefined && known.orders.some((order) => order.nonce === nonce);
      return again ? arrival.answer?.() : apply(arrival);
    }
    if (last === null || seq === last + 1) return apply(arrival);
    if (seq <= last) return repeated(arrival, seq);
    const early = held.get(seq);
    held.set(seq, early ?? arrival);
    if (asking) return;
    asking = true;
    // Where asking at once did not help, not so fast.
    if (gapAfter === last) place.joinLater();
    else place.join();
    gapAfter = last;
  }

  function nextHeld(): Arrival | undefined {
    const last = known.lastSeq;
    if (last === null) return undefined;
    for (const seq of held.keys()) if (seq <= last) held.delete(seq);
    return held.get(last + 1);
  }

  /** It was applied already; whoever waits for the answer to this one gets it. */
  function repeated(arrival: Arrival, seq: number) {
    const first = unseen.get(seq);
    if (!first) arrival.answer?.();
    else if (arrival.answer) unseen.set(seq, { ...arrival, at: first.at });
  }

  async function apply(arrival: Arrival) {
    const { seq, orderNo, ts, nonce, from, fromSocketId, traceparent, replayed = false } = arrival.navigate;
    // While the database was away it came without a place, the phone was not told so, and sent it again.
    const before = known.orders.find((order) => seq !== null && order.seq === null && nonce !== undefined && order.nonce === nonce && order.orderNo === orderNo);
    if (before) {
      learn({ lastSeq: seq, orders: known.orders.map((order) => (order === before ? { ...before, seq } : order)) });
      return confirm(arrival);
    }
    const { receivedAt } = arrival;
    const order: Order = { seq, orderNo, ts, ...(nonce !== undefined && { nonce }), from, fromSocketId, traceparent, replayed, receivedAt };
    let displayed = true;
    try {
      await show?.(order);
    } catch (error) {
      displayed = false;
      console.error(error);
    }
    learn({ lastSeq: seq ?? known.lastSeq, orders: [order, ...known.orders].slice(0, history) });
    if (displayed) confirm(arrival);
  }

  /** Tells the server when the order could be seen; does not keep the next one waiting. */
  async function confirm(arrival: Arrival) {
    const { seq, traceparent } = arrival.navigate;
    if (seq !== null) unseen.set(seq, arrival);
    await painted();
    const { answer, socketId, at } = (seq !== null && unseen.get(seq)) || arrival;
    if (seq !== null) unseen.delete(seq);
    if (closed) return;
    const paintedMs = Math.round((performance.now() - at) * 10) / 10;
    if (answer && socketId === socket.id) answer({ paintedMs });
    else if (seq !== null) {
      owed = [...owed, { seq, traceparent, paintedMs }].slice(-RECEIPTS);
      tellOwed();
    }
  }

  function tellOwed() {
    if (!place.inside) return;
    const now = owed;
    owed = [];
    for (const receipt of now) {
      link.ask('navigate:displayed', { sessionId, ...receipt }).catch(() => {
        owed = [...owed, receipt].slice(-RECEIPTS);
      });
    }
  }

  return {
    get orders() {
      return known.orders;
    },
    get status() {
      return place.status;
    },
    get missed() {
      return missed;
    },
    subscribe: listeners.subscribe,
    close() {
      closed = true;
      socket.off('navigate', navigated);
      place.close();
      listeners.clear();
    },
  };
}
