// The scan relay as components see it: a phone's outbox, a monitor's orders.
import { useSyncExternalStore } from 'react';
import { createMonitor, type Monitor, type MonitorOptions } from '../monitor.js';
import type { ScanEntry } from '../outbox.js';
import { createScanner, type Scanner, type ScannerOptions } from '../scanner.js';
import { NONE, early, still, useLatest, useThing } from './latest.js';
import { useLink } from './provider.js';

/** What `useScanner` gives: the fields and functions of a `Scanner`. */
export type ScannerView = Omit<Scanner, 'subscribe' | 'close'>;
/** What `useMonitor` gives: the fields of a `Monitor`. */
export type MonitorView = Omit<Monitor, 'subscribe' | 'close'>;

/** A phone in a session. `scan` resolves when the scan is in the outbox: from then on it will arrive. Other options are read once. */
export function useScanner(options: ScannerOptions): ScannerView {
  const link = useLink();
  const { sessionId } = options;
  const scanner = useThing(() => createScanner(link, options), [link, sessionId]);
  const subscribe = scanner?.subscribe ?? still;
  const entries: readonly ScanEntry[] = useSyncExternalStore(subscribe, () => scanner?.entries ?? NONE);
  const status = useSyncExternalStore(subscribe, () => scanner?.status ?? null);
  const unpaired = useSyncExternalStore(subscribe, () => scanner?.unpaired ?? false);
  const scan = useLatest((orderNo: string) => scanner?.scan(orderNo) ?? early()) as Scanner['scan'];
  const retry = useLatest((nonce: string) => scanner?.retry(nonce)) as Scanner['retry'];
  const discard = useLatest((nonce: string) => scanner?.discard(nonce) ?? early()) as Scanner['discard'];
  return { entries, status, unpaired, scan, retry, discard };
}

/**
 * A monitor in a session. Each order is given to `show`, one after the other, and acknowledged when it is on the screen. Other options are
 * read once.
 */
export function useMonitor(options: MonitorOptions): MonitorView {
  const link = useLink();
  const { sessionId } = options;
  const show = useLatest(options.show) as NonNullable<MonitorOptions['show']>;
  const monitor = useThing(() => createMonitor(link, { ...options, show }), [link, sessionId]);
  const subscribe = monitor?.subscribe ?? still;
  const orders = useSyncExternalStore(subscribe, () => monitor?.orders ?? NONE);
  const status = useSyncExternalStore(subscribe, () => monitor?.status ?? null);
  const missed = useSyncExternalStore(subscribe, () => monitor?.missed ?? false);
  return { orders, status, missed };
}
