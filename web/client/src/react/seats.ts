// The seats of an event as a component sees them: which are the user's, which somebody else's.
import { useCallback, useEffect, useRef, useState } from 'react';
import type { EventId, SeatHeld, SeatId, SeatReleased, SeatSelected, SeatsReleased, SelectionChanged, UserId } from '../events.js';
import { same, usePush } from './latest.js';
import { useLink } from './provider.js';

/** What `useSeatUpdates` gives. Seats in no list can be had. */
export interface SeatsView {
  /** Held by the user. */
  selected: readonly SeatId[];
  /** Held by others. */
  held: readonly SeatId[];
  sold: readonly SeatId[];
  /** Takes a seat for five minutes. Throws SignalboxError, `CONFLICT` where somebody else has it. */
  select(seatId: SeatId): Promise<SeatHeld>;
  /** Gives a seat back. Throws SignalboxError. */
  release(seatId: SeatId): Promise<SeatReleased>;
  /** Holds these instead of those that the user had, as far as they can be had. Throws SignalboxError. */
  change(seats: SeatId[]): Promise<SelectionChanged>;
}

type Seats = Pick<SeatsView, 'selected' | 'held' | 'sold'>;
const NO_SEATS: Seats = { selected: [], held: [], sold: [] };

const without = (seats: readonly SeatId[], gone: readonly SeatId[]) => seats.filter((seat) => !gone.some((other) => same(seat, other)));
const withSeat = (seats: readonly SeatId[], seat: SeatId) => [...without(seats, [seat]), seat];
const free = ({ selected, held, sold }: Seats, gone: readonly SeatId[]): Seats =>
  ({ selected: without(selected, gone), held: without(held, gone), sold });
const mine = (seats: Seats, taken: readonly SeatId[]): Seats => {
  const rest = free(seats, taken);
  return { ...rest, selected: [...rest.selected, ...taken] };
};
const others = (seats: Seats, taken: SeatId): Seats => ({ ...free(seats, [taken]), held: withSeat(seats.held, taken) });

/** The seats of an event, from when the component is there, and after each reconnect. Callbacks hear of everybody's seats, the user's too. */
export function useSeatUpdates(
  eventId: EventId,
  onSeatSelected?: (news: SeatSelected) => void,
  onSeatsReleased?: (news: SeatsReleased) => void,
): SeatsView {
  const link = useLink();
  const [seats, setSeats] = useState<Seats>(NO_SEATS);
  /** Who took which seat last, as far as this socket has heard; and by that, once it has taken one, who the user is. */
  const takers = useRef(new Map<string, UserId>());
  const me = useRef<UserId | null>(null);
  /** What happened while the map was asked for: the answer may be from before that. */
  const meanwhile = useRef<((seats: Seats) => Seats)[] | null>(null);
  const apply = useCallback((change: (seats: Seats) => Seats) => {
    meanwhile.current?.push(change);
    setSeats(change);
  }, []);

  useEffect(() => {
    const enter = async () => {
      takers.current.clear();
      const changes: ((seats: Seats) => Seats)[] = [];
      meanwhile.current = changes;
      const hand = await link.ask('join-seat-selection', { eventId }).catch(() => null);
      if (meanwhile.current !== changes) return;
      meanwhile.current = null;
      if (hand) setSeats(changes.reduce<Seats>((seats, change) => change(seats), { selected: hand.selected, held: hand.held, sold: hand.sold }));
    };
    setSeats(NO_SEATS);
    if (link.socket.connected) enter();
    link.socket.on('connect', enter);
    return () => {
      meanwhile.current = null;
      link.socket.off('connect', enter);
    };
  }, [link, eventId]);

  usePush(link, 'seat-selected', (news) => {
    if (!same(news.eventId, eventId)) return;
    const { seatId, userId } = news;
    takers.current.set(String(seatId), userId);
    const own = same(me.current, userId);
    apply((now) => (own ? mine(now, [seatId]) : others(now, seatId)));
    onSeatSelected?.(news);
  });
  usePush(link, 'seats-released', (news) => {
    if (!same(news.eventId, eventId)) return;
    news.seatIds.forEach((seat) => takers.current.delete(String(seat)));
    apply((now) => free(now, news.seatIds));
    onSeatsReleased?.(news);
  });

  const select = useCallback(async (seatId: SeatId) => {
    const answer = await link.ask('select-seat', { eventId, seatId });
    // The news that somebody has it came right before the answer that it is the user.
    me.current = takers.current.get(String(seatId)) ?? me.current;
    apply((now) => mine(now, [answer.seatId]));
    return answer;
  }, [link, eventId, apply]);

  const release = useCallback(async (seatId: SeatId) => {
    const answer = await link.ask('release-seat', { eventId, seatId });
    apply((now) => free(now, [seatId]));
    return answer;
  }, [link, eventId, apply]);

  const change = useCallback(async (wanted: SeatId[]) => {
    const answer = await link.ask('seat-selection-changed', { eventId, seats: wanted });
    apply((now) => ({ ...mine(now, answer.selected), selected: answer.selected }));
    return answer;
  }, [link, eventId, apply]);

  return { ...seats, select, release, change };
}
