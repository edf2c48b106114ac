// Keeps a page and what it has loaded, so that it opens without a network as well: offline.js serves it then.

/**
 * Keeps what this page has loaded so far; call it again when that became more. What an earlier version of the page needed goes when
 * there is a new one. Does nothing where the browser has no service workers, as on plain HTTP.
 */
export async function keep(): Promise<void> {
  if (!navigator.serviceWorker) return;
  const { pathname } = location;
  try {
    await navigator.serviceWorker.register('/offline.js');
    const cache = await caches.open(`signalbox:${pathname}`);
    const loaded = performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname);
    const wanted = new Set(loaded.filter((path) => path.startsWith('/assets/')));
    const kept = (await cache.keys()).map(({ url }) => new URL(url).pathname);
    const missing = [...wanted].filter((path) => !kept.includes(path));
    await cache.addAll([pathname, ...missing]);
    // Something is new: what is not needed any more is of before.
    const old = missing.length > 0 ? kept.filter((path) => path !== pathname && !wanted.has(path)) : [];
    await Promise.all(old.map((path) => cache.delete(path)));
  } catch {
    // Without a network, or where storage is forbidden or full: next time.
  }
}
