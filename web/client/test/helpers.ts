// What the tests need: servers and networks that fail, browsers that are not there, and a link by hand.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, vi } from 'vitest';
import { UNLIMITED, freePort, startServer, token, until } from '../../../tests/clients/server.mjs';
import { type ConnectOptions, type Link, type LinkState, type MonitorStorage, SignalboxError, connect } from '../src/index.js';

export { freePort, token, until };

const leftovers: (() => unknown)[] = [];
afterEach(async () => {
  while (leftovers.length > 0) await leftovers.pop()!();
});

/** Ends it after the test, also after one that failed; what came later goes first. */
export function tidy<T extends { close(): unknown }>(thing: T): T {
  leftovers.push(() => thing.close());
  return thing;
}

export function dataDir(): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-web-'));
  leftovers.push(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A server that whoever starts it stops. Limits are far away, unless they are asked for. */
export const launched = (settings: Record<string, string> = {}) =>
  startServer({ ...UNLIMITED, HTTP_RATE_MAX: '1000000', HANDSHAKE_FAILURES_PER_MIN: '1000000', ...settings });

/** A server for this test. */
export async function started(settings?: Record<string, string>) {
  const server = await launched(settings);
  leftovers.push(() => server.stop());
  return server;
}

export type Server = Awaited<ReturnType<typeof launched>>;

export async function killed(server: Server) {
  server.kill('SIGKILL');
  await server.exited;
}

/** A link of this user that comes back fast, and the states that it went through. */
export function linked(url: string, user: string, options: ConnectOptions = {}) {
  const link = tidy(connect({ url, token: () => token(user), ...options, socket: { reconnectionDelay: 20, reconnectionDelayMax: 100, ...options.socket } }));
  return Object.assign(link, { states: watched(link) });
}

/** Every state of a link from now on, the present one first. */
export function watched(link: Link): LinkState[] {
  const states = [link.state];
  link.subscribe(() => states.at(-1) !== link.state && states.push(link.state));
  return states;
}

export const connected = (link: Link) => until('a connection', () => link.state === 'connected');

/** A network between a client and a server: it can be cut, and it can swallow everything, as a dead Wi-Fi does. */
export async function network(port: number) {
  let target = port;
  let up = true;
  let deaf: Set<net.Socket> | undefined;
  let hostile: 'refuse' | 'swallow' | undefined;
  const all = new Set<net.Socket>();
  const server = net.createServer((from) => {
    if (!up) return from.destroy();
    const to = net.connect({ port: target, host: '127.0.0.1' });
    for (const [one, other] of [[from, to], [to, from]] as const) {
      all.add(one);
      one.on('data', (data) => {
        if (deaf?.has(one)) return;
        if (hostile && one === from && /^Upgrade: websocket/im.test(data.toString('latin1'))) return hostile === 'refuse' ? one.destroy() : undefined;
        other.write(data);
      });
      one.on('error', () => {});
      one.on('close', () => {
        all.delete(one);
        other.destroy();
      });
    }
    heard.set(from, to);
  });
  const heard = new Map<net.Socket, net.Socket>();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => all.forEach((socket) => socket.destroy());
  tidy({ close: () => new Promise((resolve) => {
    server.close(resolve);
    cut();
  }) });
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    /** No connection, and none to be had. */
    down() {
      up = false;
      cut();
    },
    up() {
      up = true;
    },
    /** Nothing arrives any more on the connections that are there, in either direction. */
    swallow() {
      deaf = new Set(all);
    },
    /** What the server says does not arrive on the connections that are there. */
    swallowAnswers() {
      deaf = new Set(heard.values());
    },
    /** As some proxies do it: no WebSockets. */
    webSockets(fate: 'refuse' | 'swallow') {
      hostile = fate;
    },
    /** Where new connections lead to. */
    leadTo(other: number) {
      target = other;
    },
  };
}

/** localStorage, with its writes counted. */
export function storage() {
  const kept = new Map<string, string>();
  return {
    writes: 0,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem(key: string, value: string) {
      this.writes += 1;
      kept.set(key, String(value));
    },
    removeItem: (key: string) => void kept.delete(key),
  } satisfies MonitorStorage & { writes: number; removeItem(key: string): void };
}

/** A window and a document for code that asks for them, shown or hidden by hand. */
export function browser() {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  const frames: (() => void)[] = [];
  vi.stubGlobal('addEventListener', window.addEventListener.bind(window));
  vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window));
  vi.stubGlobal('document', document);
  vi.stubGlobal('requestAnimationFrame', (draw: () => void) => frames.push(draw));
  const look = (state: string) => {
    document.visibilityState = state;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  return {
    happens: (event: string) => window.dispatchEvent(new Event(event)),
    hide: () => look('hidden'),
    show: () => look('visible'),
    /** Draws what waits to be drawn, as a browser does where it can be seen. */
    async frame() {
      if (document.visibilityState === 'visible') frames.splice(0).forEach((draw) => draw());
      await settled();
    },
  };
}

/** Everything that can be done without time passing is done. */
export async function settled() {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
}

/** Web Locks of one browser, with stealing. */
export function locks() {
  const lines = new Map<string, { grant(): void; lose(): void }[]>();
  return {
    request(name: string, ...rest: unknown[]) {
      const work = rest.pop() as () => unknown;
      const { steal = false, signal } = (rest[0] ?? {}) as { steal?: boolean; signal?: AbortSignal };
      const line = lines.get(name) ?? [];
      lines.set(name, line);
      return new Promise((resolve, reject) => {
        let holds = false;
        const leave = () => {
          const at = line.indexOf(me);
          if (at < 0) return;
          line.splice(at, 1);
          if (at === 0) line[0]?.grant();
        };
        const me = {
          grant() {
            holds = true;
            Promise.resolve().then(work).then(resolve, reject).finally(leave);
          },
          lose() {
            line.splice(line.indexOf(me), 1);
            reject(new DOMException('stolen', 'AbortError'));
          },
        };
        signal?.addEventListener('abort', () => {
          if (holds) return;
          leave();
          reject(new DOMException('no longer wanted', 'AbortError'));
        });
        if (steal) {
          line[0]?.lose();
          line.unshift(me);
          me.grant();
        } else if (line.push(me) === 1) {
          me.grant();
        }
      });
    },
  };
}

/** Something that was asked over a link by hand, and can be answered once. */
export interface Question {
  event: string;
  payload: Record<string, unknown>;
  answer(ack: unknown): Promise<void>;
  refuse(code: string): Promise<void>;
}

/** A link whose server is the test: what it pushes and answers is said by hand. */
export function linkByHand() {
  const handlers = new Map<string, Set<(...args: never[]) => void>>();
  const asked: Question[] = [];
  const sent: [string, unknown][] = [];
  let connections = 0;
  const socket = {
    connected: false,
    id: undefined as string | undefined,
    on(event: string, handler: (...args: never[]) => void) {
      handlers.set(event, (handlers.get(event) ?? new Set()).add(handler));
      return socket;
    },
    off(event: string, handler: (...args: never[]) => void) {
      handlers.get(event)?.delete(handler);
      return socket;
    },
    emit: (event: string, payload: unknown) => void sent.push([event, payload]),
  };
  const push = async (event: string, ...args: unknown[]) => {
    [...(handlers.get(event) ?? [])].forEach((handler) => handler(...(args as never[])));
    await settled();
  };
  const link = {
    socket,
    ask: (event: string, payload: Record<string, unknown>) => new Promise((resolve, reject) => {
      const take = async () => {
        asked.splice(asked.indexOf(question), 1);
      };
      const question: Question = {
        event,
        payload,
        answer: (ack) => take().then(() => resolve(ack)).then(settled),
        refuse: (code) => take().then(() => reject(new SignalboxError(code, code.toLowerCase(), { flow: 'AB-1234' }))).then(settled),
      };
      asked.push(question);
    }),
  } as unknown as Link;
  return {
    link,
    sent,
    asked,
    push,
    /** The questions of this kind that wait for an answer. */
    waiting: (event: string) => asked.filter((question) => question.event === event),
    async connect() {
      connections += 1;
      socket.connected = true;
      socket.id = `socket-${connections}`;
      await push('connect');
    },
    async disconnect() {
      socket.connected = false;
      socket.id = undefined;
      await push('disconnect', 'transport close');
      for (const question of [...asked]) await question.refuse('OFFLINE');
    },
    /** Answers the join that waits, as the server does: with the event. */
    async joined(answer: Record<string, unknown>) {
      const everyone = { isActive: true, hasMobile: true, hasMonitor: true };
      const [join] = asked.filter((question) => question.event === 'joinSession');
      if (!join) throw new Error('nobody asked to join');
      for (const question of asked.filter(({ event }) => event === 'registerClient')) await question.answer({ success: true, socketId: socket.id });
      const full = { sessionId: join.payload.sessionId, status: everyone, epoch: 'e1', seq: 0, lastSeq: join.payload.lastSeq ?? 0, recovered: true, ...answer };
      await push('joinedSession', full);
      await join.answer(full);
      return join.payload;
    },
  };
}
