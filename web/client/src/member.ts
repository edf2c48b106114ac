// A device in a scan session: joins on every connection, and again before the server forgets an idle session.
import { backoff } from './backoff.js';
import type { SignalboxError } from './errors.js';
import type { Device, JoinedSession, SessionStatus } from './events.js';
import type { Link } from './link.js';
import { listen } from './listen.js';

/** The server drops sessions in which nothing happened for half an hour, and tells nobody. */
const AGAIN_MS = 600_000;

/** What a member is told. */
export interface MemberOptions {
  role: Device;
  sessionId: string;
  /** What to say at each join of what was seen so far. */
  known?: () => { lastSeq?: number; epoch?: string };
  /** The server took it in; on the same connection everything that it is sent comes after this. */
  joined: (answer: JoinedSession) => void;
  /** `status` changed, or it is outside now. */
  changed: () => void;
  /** The server does not let it in. Without this it tries again. */
  denied?: () => void;
}

/** A place in a session. */
export interface Member {
  readonly inside: boolean;
  readonly status: SessionStatus | null;
  /** Joins now, also where it is inside. */
  join(): void;
  /** Joins in a while, each time a longer one. */
  joinLater(): void;
  /** Stays outside until `join()`. */
  stayOut(): void;
  close(): void;
}

/** Takes part in a session as long as the link is connected. */
export function member(link: Link, options: MemberOptions): Member {
  const { role, sessionId } = options;
  const { socket } = link;
  let status: SessionStatus | null = null;
  let inside = false;
  let wanted = true;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const later = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(join, ms);
    (timer as { unref?: () => void }).unref?.();
  };
  const joinLater = () => {
    later(backoff(failures));
    failures += 1;
  };

  function join() {
    clearTimeout(timer);
    wanted = true;
    if (!socket.connected) return;
    const { id } = socket;
    // Where this is refused the token's device may do: joining tells.
    link.ask('registerClient', { role }).catch(() => {});
    link.ask('joinSession', { sessionId, ...options.known?.() }).catch(({ code }: SignalboxError) => {
      if (socket.id !== id || !wanted) return;
      if (code === 'FORBIDDEN' && options.denied) options.denied();
      else joinLater();
    });
  }

  function outside() {
    clearTimeout(timer);
    inside = false;
    status = null;
    options.changed();
  }

  function news({ status: now }: { status: SessionStatus }) {
    if (!inside) return;
    status = now;
    options.changed();
  }

  function joined(answer: JoinedSession) {
    if (answer.sessionId !== sessionId || !wanted) return;
    inside = true;
    status = answer.status;
    if (answer.epoch !== null) failures = 0;
    later(AGAIN_MS);
    options.joined(answer);
    options.changed();
  }

  const connected = () => {
    failures = 0;
    if (wanted) join();
  };
  const cease = listen(socket, { connect: connected, disconnect: outside, joinedSession: joined, clientJoined: news, clientLeft: news });
  if (socket.connected) connected();

  return {
    get inside() {
      return inside;
    },
    get status() {
      return status;
    },
    join,
    joinLater,
    stayOut() {
      wanted = false;
      outside();
    },
    close() {
      cease();
      clearTimeout(timer);
      if (wanted && socket.connected) socket.emit('leaveSession', { sessionId });
      wanted = false;
      inside = false;
    },
  };
}
