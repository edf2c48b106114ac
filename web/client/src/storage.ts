// The browser's localStorage and sessionStorage, where there are any that may be used.

/** undefined outside of browsers, and where the person forbade it: then even looking at it throws. */
export function browserStorage(): Storage | undefined {
  try {
    return typeof localStorage === 'undefined' ? undefined : localStorage;
  } catch {
    return undefined;
  }
}

/** The same, and as long as the tab is there: also over its reloads, and for nobody else. */
export function tabStorage(): Storage | undefined {
  try {
    return typeof sessionStorage === 'undefined' ? undefined : sessionStorage;
  } catch {
    return undefined;
  }
}
