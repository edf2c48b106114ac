// When to look at the connection again: the network or the page is back, or the device slept.

const TICK_MS = 5_000;
/** A timer this late has slept. */
const LATE_MS = 10_000;

/** Calls `wake` when the network came back, the page is shown again or the clock jumped. Returns what ends it. Works without a window. */
export function onWake(wake: () => void): () => void {
  const ends: (() => void)[] = [];
  const listen = (target: Partial<EventTarget> | undefined, event: string, listener: () => void) => {
    target?.addEventListener?.(event, listener);
    ends.push(() => target?.removeEventListener?.(event, listener));
  };
  const page = typeof document === 'undefined' ? undefined : document;
  const network = typeof navigator === 'undefined' ? undefined : (navigator as { connection?: EventTarget }).connection;
  listen(globalThis, 'online', wake);
  listen(globalThis, 'pageshow', wake);
  listen(network, 'change', wake);
  listen(page, 'visibilitychange', () => page?.visibilityState === 'visible' && wake());

  let due = Date.now() + TICK_MS;
  const timer = setInterval(() => {
    const late = Date.now() - due;
    due = Date.now() + TICK_MS;
    if (late > LATE_MS) wake();
  }, TICK_MS);
  // A Node process ends although a link waits.
  (timer as { unref?: () => void }).unref?.();
  ends.push(() => clearInterval(timer));
  return () => ends.forEach((end) => end());
}
