// How long to wait before the next try.

/** Milliseconds: `base`, doubled with each failure up to `most`, and half of it more or less, so that not everybody comes at once. */
export function backoff(failures: number, base = 500, most = 15_000): number {
  return Math.min(most, base * 2 ** Math.min(failures, 20)) * (0.5 + Math.random());
}
