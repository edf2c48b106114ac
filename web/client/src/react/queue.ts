// A waiting queue as a component sees it: where the user stands, and when it is the user's turn.
import { useCallback, useEffect, useSyncExternalStore } from 'react';
import type { EventId, QueueEntryAllowed, QueueStatus, QueueUpdated } from '../events.js';
import { same, usePush } from './latest.js';
import { lineOf } from './line.js';
import { useLink } from './provider.js';

/** What `useQueueUpdates` gives. */
export interface QueueView {
  /** Where the user stands; null until that is known. */
  status: QueueStatus | null;
  /** The user is let in, and stays so while the component is there. */
  allowed: boolean;
  /** Waits, or is let in at once. The place survives reconnects and reloads. Throws SignalboxError. */
  join(): Promise<QueueStatus>;
  /** Gives up the place or the slot. Throws SignalboxError. */
  leave(): Promise<void>;
}

/**
 * The waiting queue of an event. `onQueueUpdate` hears that the line has another length, `onEntryAllowed` that it is the user's turn.
 * Whoever waited or was let in before a reload does so again, without `join`.
 */
export function useQueueUpdates(
  eventId: EventId,
  onQueueUpdate?: (news: QueueUpdated) => void,
  onEntryAllowed?: (news: QueueEntryAllowed) => void,
): QueueView {
  const link = useLink();
  const line = lineOf(link);
  const { status, allowed } = useSyncExternalStore(line.subscribe, () => line.of(eventId));

  usePush(link, 'queue-updated', (news) => {
    if (same(news.eventId, eventId)) onQueueUpdate?.(news);
  });
  usePush(link, 'queue-entry-allowed', (news) => {
    if (same(news.eventId, eventId)) onEntryAllowed?.(news);
  });
  useEffect(() => {
    if (allowed) return line.hold(eventId);
  }, [allowed, line, eventId]);

  const join = useCallback(() => line.join(eventId), [line, eventId]);
  const leave = useCallback(() => line.leave(eventId), [line, eventId]);
  return { status, allowed, join, leave };
}
