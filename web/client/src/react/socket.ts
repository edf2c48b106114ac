// The connection as a component sees it, and one event that it looks at.
import { useEffect, useState, useSyncExternalStore } from 'react';
import { SignalboxError } from '../errors.js';
import type { EventId, RoomInfo, SessionRestored } from '../events.js';
import type { Link, LinkState, SignalboxSocket } from '../link.js';
import { same, usePush } from './latest.js';
import { useLink, useLinkState } from './provider.js';

/** What `useSocket` gives. */
export interface SocketView {
  /** socket.io-client's socket, for events that no hook is for. It stays the same over reconnects. */
  socket: SignalboxSocket;
  /** The link around it: `ask`, `reconnect`. */
  link: Link;
  state: LinkState;
  isConnected: boolean;
  /** A try is under way, also the first one. */
  isReconnecting: boolean;
  /** Where the user was, as the server last said it. */
  restoredSession: SessionRestored | null;
  /** How many look at the event; null until that is known. */
  roomInfo: RoomInfo | null;
  /** What was refused or failed last; null again after a new connection. */
  error: Error | null;
}

/** Who looks at which event by a link: as long as one component does, the link stays in. */
const visits = new WeakMap<Link, Map<string, { users: number; end: () => void }>>();

/** Looks at an event, also after reconnects. Returns what ends it. */
function visit(link: Link, eventId: EventId, failed: (error: Error) => void): () => void {
  const all = visits.get(link) ?? new Map<string, { users: number; end: () => void }>();
  visits.set(link, all);
  const key = String(eventId);
  const present = all.get(key) ?? { users: 0, end: enter(link, eventId, failed) };
  all.set(key, present);
  present.users += 1;
  return () => {
    present.users -= 1;
    // Not at once: another component may come in the same turn, or this one again.
    setTimeout(() => {
      if (present.users > 0 || all.get(key) !== present) return;
      all.delete(key);
      present.end();
    });
  };
}

function enter(link: Link, eventId: EventId, failed: (error: Error) => void): () => void {
  const { socket } = link;
  let restored = false;
  let informed = false;
  const join = () => link.ask('join-event', { eventId }).catch(failed);
  const connected = async () => {
    restored = false;
    informed = false;
    // Whatever the answer is, it comes after the news that the server has brought the user back.
    await link.ask('heartbeat').catch(() => {});
    if (socket.connected && !(restored && informed)) await join();
  };
  const back = (session: SessionRestored) => {
    restored = same(session.eventId, eventId);
  };
  const info = (news: RoomInfo) => {
    informed ||= same(news.eventId, eventId);
  };
  socket.on('connect', connected);
  socket.on('session-restored', back);
  socket.on('room-info', info);
  if (socket.connected) join();
  return () => {
    socket.off('connect', connected);
    socket.off('session-restored', back);
    socket.off('room-info', info);
    if (socket.connected) socket.emit('leave-event', { eventId });
  };
}

/**
 * The shared connection. With an event id it also looks at that event, as long as the component is there, and after each reconnect, unless
 * the server has seen to that already.
 */
export function useSocket(eventId?: EventId | null): SocketView {
  const link = useLink();
  const state = useLinkState(link);
  const restoredSession = useSyncExternalStore(link.subscribe, () => link.restored);
  const [info, setInfo] = useState<RoomInfo | null>(null);
  const [error, setError] = useState<Error | null>(null);

  usePush(link, 'room-info', (news) => {
    if (same(news.eventId, eventId)) setInfo(news);
  });
  usePush(link, 'error', ({ error: { code, message, ...more } }) => setError(new SignalboxError(code, message, more)));
  useEffect(() => {
    const connected = () => setError(null);
    link.socket.on('connect', connected);
    link.socket.on('connect_error', setError);
    return () => {
      link.socket.off('connect', connected);
      link.socket.off('connect_error', setError);
    };
  }, [link]);
  useEffect(() => {
    if (eventId != null) return visit(link, eventId, setError);
  }, [link, eventId]);

  return {
    socket: link.socket,
    link,
    state,
    isConnected: state === 'connected',
    isReconnecting: state === 'connecting' || state === 'reconnecting',
    restoredSession,
    // That of another event is none.
    roomInfo: same(info?.eventId, eventId) ? info : null,
    error,
  };
}
