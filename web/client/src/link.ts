// One connection to Signalbox that comes back by itself: after the network, the server or the token was gone, and after sleep.
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { backoff } from './backoff.js';
import { SignalboxError, errorIn } from './errors.js';
import type { Ack, ClientEvents, Payload, ServerEvents, SessionRestored, UserId } from './events.js';
import { request } from './http.js';
import { Listeners } from './listeners.js';
import { browserStorage } from './storage.js';
import { userOf } from './user.js';
import { onWake } from './wake.js';

/** socket.io-client's socket, with Signalbox's events. */
export type SignalboxSocket = Socket<ServerEvents, ClientEvents>;

/**
 * Gives the token to connect with. `connect`: any that is good; `expiring`: a newer one of the same user, the present one ends within a
 * minute; `rejected`: the last one was refused or has ended. null: there is none. When it throws, that counts as a failed try.
 */
export type TokenSource = (why: 'connect' | 'expiring' | 'rejected') => string | null | Promise<string | null>;

/** What `connect` can be told. */
export interface ConnectOptions {
  /** Where the server is; the page's origin by default. */
  url?: string;
  /** By default what is in localStorage under `token`. */
  token?: TokenSource;
  /** The token was refused, and a fresh one too, or there is none: the person has to log in. The link is `refused` until `reconnect()`. */
  onAuthFailure?: (error: Error) => void;
  /** So many tries fail until the state is `lost`; they go on, slower. 5 by default. */
  lostAfter?: number;
  /**
   * For socket.io-client. The link reconnects by itself: `reconnectionDelay` (500 ms) and `reconnectionDelayMax` (5 s) say how fast, `timeout`
   * (15 s) how long a try may take.
   */
  socket?: Partial<ManagerOptions & SocketOptions>;
}

/**
 * `connecting`: for the first time; `reconnecting`: it was connected before; `lost`: so for a while, tries go on; `refused`: it needs another
 * token; `closed`: by `close()`, for good.
 */
export type LinkState = 'connecting' | 'connected' | 'reconnecting' | 'lost' | 'refused' | 'closed';

/** A connection. */
export interface Link {
  /** Use it for events; do not connect or disconnect it. */
  readonly socket: SignalboxSocket;
  readonly state: LinkState;
  /** The last `session-restored`: where the user was. */
  readonly restored: SessionRestored | null;
  /** Whose the last token was; null without one. */
  readonly user: UserId | null;
  /** Calls when `state`, `restored` or `user` changed. Returns what ends it. */
  subscribe(listener: () => void): () => void;
  /**
   * Sends an event and waits for its acknowledgement. Throws SignalboxError: with the server's code where it said no, `TIMEOUT` after
   * `timeoutMs` milliseconds (10 s), `OFFLINE` where there is no connection or it ended meanwhile. After the last two nobody knows
   * whether the server has done it.
   */
  ask<E extends keyof ClientEvents>(event: E, payload?: Payload<E>, timeoutMs?: number): Promise<Ack<E>>;
  /** Gets what the server has at this path, or posts `body` to it, as JSON and as the same user. Throws SignalboxError, as `ask` does. */
  request(path: string, body?: object): Promise<unknown>;
  /** Tries at once, whatever the back-off says, also after `refused`. While connected it only makes sure of that. */
  reconnect(): void;
  /** Ends it for good. */
  close(): void;
}

const ANSWER_MS = 10_000;
const PROBE_MS = 3_000;
/** A try that takes longer has failed. */
const TRY_MS = 15_000;
/** A try that began so lately is not begun again. */
const FRESH_MS = 1_000;
/** Whoever is sent away so soon after it came had better wait. */
const SHORT_MS = 10_000;
const BLAMES_TOKEN = /uthentication|인증/;

const stored: TokenSource = () => browserStorage()?.getItem('token') ?? null;

/** Connects, and stays connected until `close()`. */
export function connect(options: ConnectOptions = {}): Link {
  const { token: source = stored, onAuthFailure, lostAfter = 5, socket: more = {} } = options;
  const { reconnectionDelay = 500, reconnectionDelayMax = 5_000, timeout = TRY_MS } = more;
  const settings = { tryAllTransports: true, ...more, autoConnect: false, reconnection: false, forceNew: true };
  const socket: SignalboxSocket = options.url === undefined ? io(settings) : io(options.url, settings);
  const listeners = new Listeners();

  let state: LinkState = 'connecting';
  let restored: SessionRestored | null = null;
  let user: UserId | null = null;
  /** What the next try tells the source. */
  let why: 'connect' | 'rejected' = 'connect';
  let refusal = new Error('no token');
  /** Of the last `error` event of this connection. */
  let lastCode: string | undefined;
  let failures = 0;
  let connectedBefore = false;
  /** When the present connection began; undefined where there is none. */
  let since: number | undefined;
  /** When the try under way began; 0 where there is none. */
  let triedAt = 0;
  /** The server asked not to come back before. */
  let notBefore = 0;
  /** The try under way; what earlier ones still find out is of no interest. */
  let round = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const become = (next: LinkState) => {
    if (state === next || state === 'closed') return;
    state = next;
    listeners.tell();
  };
  const later = (ms: number, what: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(what, ms);
  };
  const away = () => become(connectedBefore ? 'reconnecting' : 'connecting');
  const ended = () => state === 'closed' || state === 'refused';

  async function attempt() {
    round += 1;
    const mine = round;
    triedAt = Date.now();
    // What hangs is given up; a new transport is made.
    if (socket.active) socket.disconnect();
    later(timeout, failed);
    // Without an upgrade there is no moment in which the loss of the network goes unnoticed. Some proxies swallow WebSockets, though.
    if (!more.transports) socket.io.opts.transports = failures % 2 === 0 ? ['websocket', 'polling'] : ['polling', 'websocket'];
    let token;
    try {
      token = await source(why);
    } catch {
      if (mine === round) failed();
      return;
    }
    if (mine !== round) return;
    if (token === null && why === 'rejected') return refuse();
    const before = user;
    user = userOf(token);
    if (user !== before) listeners.tell();
    socket.auth = token === null ? {} : { token };
    socket.connect();
  }

  function failed() {
    round += 1;
    triedAt = 0;
    if (socket.active) socket.disconnect();
    failures += 1;
    const lost = failures >= lostAfter;
    if (lost) become('lost');
    later(backoff(failures - 1, reconnectionDelay, lost ? 3 * reconnectionDelayMax : reconnectionDelayMax), attempt);
  }

  function refuse() {
    round += 1;
    clearTimeout(timer);
    become('refused');
    onAuthFailure?.(refusal);
  }

  /** The types of socket.io-client cannot follow an event that is not known here. */
  const send = (event: string, payload: unknown, timeoutMs: number, done: (silence: Error | null, answer: unknown) => void) =>
    (socket.timeout(timeoutMs) as unknown as Socket).emit(event, payload, done);

  function probe() {
    const { id } = socket;
    send('heartbeat', undefined, PROBE_MS, (silent) => {
      if (silent && socket.connected && socket.id === id) attempt();
    });
  }

  socket.on('connect', () => {
    clearTimeout(timer);
    connectedBefore = true;
    since = Date.now();
    triedAt = 0;
    why = 'connect';
    lastCode = undefined;
    notBefore = 0;
    become('connected');
  });

  socket.on('connect_error', (error) => {
    // Else the transport did not open.
    const refused = !socket.active;
    if (!refused || !BLAMES_TOKEN.test(error.message)) return failed();
    refusal = error;
    if (why === 'rejected') return refuse();
    why = 'rejected';
    attempt();
  });

  socket.on('disconnect', (reason) => {
    // What was not sent must not be sent first on the next connection, before it is registered and joined.
    socket.sendBuffer = [];
    const began = since;
    since = undefined;
    if (ended()) return;
    if (began === undefined) return failed();
    away();
    const sentAway = reason === 'io server disconnect';
    failures = sentAway && Date.now() - began < SHORT_MS ? failures + 1 : 0;
    if (sentAway && (lastCode === 'TOKEN_EXPIRED' || lastCode === 'AUTH_ERROR')) {
      why = 'rejected';
      later(0, attempt);
    } else {
      later(Math.max(0, notBefore - Date.now()) + backoff(failures, reconnectionDelay, reconnectionDelayMax), attempt);
    }
  });

  socket.on('error', ({ code }) => {
    lastCode = code;
  });
  socket.on('server:draining', ({ retryAfterMs }) => {
    // Everybody is told at once, and had better not come back at once.
    notBefore = Date.now() + retryAfterMs * (1 + Math.random() / 2);
  });
  socket.on('session-restored', (record) => {
    restored = record;
    listeners.tell();
  });
  socket.on('token:expiring', async () => {
    // Where there is no newer one now, the next connection asks for it.
    try {
      const token = await source('expiring');
      if (token !== null && socket.connected) socket.emit('token:renew', { token });
    } catch {
      // As if there were none.
    }
  });

  const sleepless = onWake(() => {
    if (ended()) return;
    if (socket.connected) probe();
    else if (Date.now() - triedAt > FRESH_MS) reconnect();
  });

  function reconnect() {
    if (state === 'closed') return;
    if (socket.connected) return probe();
    if (state === 'refused') why = 'connect';
    failures = 0;
    notBefore = 0;
    away();
    attempt();
  }

  attempt();
  return {
    socket,
    get state() {
      return state;
    },
    get restored() {
      return restored;
    },
    get user() {
      return user;
    },
    subscribe: listeners.subscribe,
    async request(path, body) {
      let token;
      try {
        token = await source('connect');
      } catch {
        throw new SignalboxError('OFFLINE', 'no token');
      }
      return request(options.url === undefined ? path : new URL(path, options.url).href, { token, ...(body && { body }) });
    },
    ask(event, payload, timeoutMs = ANSWER_MS) {
      return new Promise((resolve, reject) => {
        const offline = () => reject(new SignalboxError('OFFLINE', 'not connected'));
        if (!socket.connected) return offline();
        const { id } = socket;
        send(event, payload, timeoutMs, (silence, answer) => {
          if (silence && socket.id !== id) return offline();
          if (silence) {
            probe();
            return reject(new SignalboxError('TIMEOUT', `no answer to ${event}`));
          }
          const error = errorIn(answer);
          if (error) reject(error);
          else resolve(answer as Ack<typeof event>);
        });
      });
    },
    reconnect,
    close() {
      if (state === 'closed') return;
      become('closed');
      round += 1;
      clearTimeout(timer);
      sleepless();
      listeners.clear();
      socket.disconnect();
    },
  };
}
