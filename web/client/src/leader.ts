// Which of several tabs sends: the one that was looked at last.

/**
 * Calls `changed(true)` when this tab is the one, and `changed(false)` when another one took over. Where there are no Web Locks every tab is.
 * A visible tab takes the lock away from a hidden one, since phones suspend those, and what they hold with them. Returns what ends it.
 */
export function lead(name: string, changed: (leads: boolean) => void): () => void {
  const locks = typeof navigator === 'undefined' ? undefined : (navigator.locks as LockManager | undefined);
  if (!locks) {
    changed(true);
    return () => {};
  }
  const page = typeof document === 'undefined' ? undefined : document;
  const over = new AbortController();
  let queued = false;
  let held = 0;

  function ask(steal: boolean) {
    if (!steal && queued) return;
    if (!steal) queued = true;
    let granted = false;
    const hold = () => {
      if (over.signal.aborted) return undefined;
      granted = true;
      if (!steal) queued = false;
      held += 1;
      changed(true);
      return new Promise<void>((resolve) => over.signal.addEventListener('abort', () => resolve()));
    };
    locks!.request(name, steal ? { steal } : { signal: over.signal }, hold).catch(() => {
      if (granted) held -= 1;
      if (over.signal.aborted) return;
      if (held === 0) changed(false);
      ask(false);
    });
  }

  const looked = () => {
    if (page?.visibilityState === 'visible' && held === 0) ask(true);
  };
  page?.addEventListener('visibilitychange', looked);
  if (page?.visibilityState === 'visible') ask(true);
  else ask(false);
  return () => {
    page?.removeEventListener('visibilitychange', looked);
    over.abort();
  };
}
