// The browser's localStorage, where there is one that may be used.

/** undefined outside of browsers, and where the person forbade it: then even looking at it throws. */
export function browserStorage(): Storage | undefined {
  try {
    return typeof localStorage === 'undefined' ? undefined : localStorage;
  } catch {
    return undefined;
  }
}
