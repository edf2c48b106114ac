// What hooks have in common.
import { useEffect, useRef, useState } from 'react';
import { SignalboxError } from '../errors.js';
import type { Link } from '../link.js';
import type { ServerEvents } from '../events.js';

/** Calls the function of the latest rendering, though its own identity never changes. */
export function useLatest<A extends unknown[], R>(given: ((...args: A) => R) | undefined): (...args: A) => R | undefined {
  const latest = useRef(given);
  useEffect(() => {
    latest.current = given;
  });
  return useRef((...args: A) => latest.current?.(...args)).current;
}

/** Listens to an event of the link while the component is there. */
export function usePush<E extends keyof ServerEvents>(link: Link, event: E, listener: ServerEvents[E]): void {
  const call = useLatest(listener as (...args: unknown[]) => void);
  useEffect(() => {
    // The types of socket.io-client cannot follow a generic event.
    const socket = link.socket as unknown as { on(event: string, listener: unknown): void; off(event: string, listener: unknown): void };
    socket.on(event, call);
    return () => socket.off(event, call);
  }, [link, event, call]);
}

export const NONE: readonly never[] = [];
/** Nothing to subscribe to. */
export const still = () => () => {};

/** A thing of `@signalbox/client` for as long as the component is there; null in the first rendering. */
export function useThing<T extends { close(): void }>(make: () => T, about: readonly unknown[]): T | null {
  const [thing, setThing] = useState<T | null>(null);
  useEffect(() => {
    const made = make();
    setThing(made);
    return () => {
      made.close();
      setThing(null);
    };
    // It is about these, the rest of its options is read once.
  }, about);
  return thing;
}

/** What a function of a thing gives that is not there. */
export const early = () => Promise.reject(new SignalboxError('OFFLINE', 'the component is not there yet, or no longer'));

/** `7` and `"7"` are the same id. */
export function same(a: string | number | null | undefined, b: string | number | null | undefined): boolean {
  return a != null && b != null && String(a) === String(b);
}
