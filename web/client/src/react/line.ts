// What a link knows of the waiting queues that its user is in: one memory for all components, from the link's first connection on.
import { SignalboxError } from '../errors.js';
import type { EventId, QueueStatus } from '../events.js';
import type { Link } from '../link.js';
import { Listeners } from '../listeners.js';
import { same } from './latest.js';

/** A slot lasts five minutes from its last heartbeat. */
const HEARTBEAT_MS = 60_000;

/** Where the user stands with one event. */
export interface Standing {
  readonly status: QueueStatus | null;
  readonly allowed: boolean;
}

const NOWHERE: Standing = { status: null, allowed: false };

/** The waiting queues of one link. */
export class Line {
  readonly #link: Link;
  readonly #listeners = new Listeners();
  readonly #standings = new Map<string, Standing>();
  /** Those that the user is in, or wants to be. */
  readonly #wanted = new Set<string>();
  /** What the server has just brought the user back to; the next status says whether it waits there or is let in. */
  #restored: EventId | null = null;

  constructor(link: Link) {
    this.#link = link;
    const { socket } = link;
    socket.on('connect', () => this.#connected());
    socket.on('session-restored', ({ queueEventId }) => {
      this.#restored = queueEventId;
      if (queueEventId !== null) this.#wanted.add(String(queueEventId));
    });
    socket.on('queue-status', (status) => {
      const back = same(this.#restored, status.eventId);
      if (back) this.#restored = null;
      this.#know(status.eventId, { status, allowed: status.queued ? false : back || this.of(status.eventId).allowed });
    });
    socket.on('queue-entry-allowed', ({ eventId }) => {
      this.#wanted.add(String(eventId));
      this.#know(eventId, { ...this.of(eventId), allowed: true });
    });
    socket.on('queue-cleared', ({ eventId }) => this.#forget(eventId));
  }

  readonly subscribe = this.#listeners.subscribe;

  of(eventId: EventId): Standing {
    return this.#standings.get(String(eventId)) ?? NOWHERE;
  }

  async join(eventId: EventId): Promise<QueueStatus> {
    this.#wanted.add(String(eventId));
    const status = await this.#link.ask('join-queue', { eventId });
    // Whoever need not wait is let in.
    this.#know(eventId, { status, allowed: !status.queued });
    return status;
  }

  async leave(eventId: EventId): Promise<void> {
    this.#wanted.delete(String(eventId));
    await this.#link.ask('leave-queue', { eventId });
    this.#forget(eventId);
  }

  /** Renews a slot each minute. Returns what ends that. */
  hold(eventId: EventId): () => void {
    const timer = setInterval(() => this.#renew(eventId), HEARTBEAT_MS);
    return () => clearInterval(timer);
  }

  #renew(eventId: EventId) {
    this.#link.ask('queue:heartbeat', { eventId }).catch((error: unknown) => {
      // The slot has ended, and is somebody else's.
      if (error instanceof SignalboxError && error.code === 'FORBIDDEN') this.#forget(eventId);
    });
  }

  async #connected() {
    this.#restored = null;
    const before = [...this.#wanted];
    if (before.length === 0) return;
    const told = new Set<string>();
    const tell = ({ eventId }: QueueStatus) => told.add(String(eventId));
    this.#link.socket.on('queue-status', tell);
    // Whatever the answer is, it comes after the news that the server has brought the user back.
    await this.#link.ask('heartbeat').catch(() => {});
    this.#link.socket.off('queue-status', tell);
    if (!this.#link.socket.connected) return;
    // A server that was restarted knows of no line.
    const lost = before.filter((key) => !told.has(key) && this.#wanted.has(key));
    await Promise.all(lost.map((key) => this.join(this.of(key).status?.eventId ?? key).catch(() => {})));
  }

  #know(eventId: EventId, standing: Standing) {
    this.#standings.set(String(eventId), standing);
    this.#listeners.tell();
  }

  #forget(eventId: EventId) {
    this.#wanted.delete(String(eventId));
    this.#standings.delete(String(eventId));
    this.#listeners.tell();
  }
}

const lines = new WeakMap<Link, Line>();

/** The memory of a link. */
export function lineOf(link: Link): Line {
  const line = lines.get(link) ?? new Line(link);
  lines.set(link, line);
  return line;
}
