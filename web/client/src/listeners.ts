// Who wants to know of a change.

/** Listeners that are called without arguments, for useSyncExternalStore and the like. */
export class Listeners {
  readonly #all = new Set<() => void>();

  /** Returns what ends it. */
  readonly subscribe = (listener: () => void): (() => void) => {
    // Its own function, so that one that is given twice is called twice and ended once.
    const own = () => listener();
    this.#all.add(own);
    return () => this.#all.delete(own);
  };

  readonly tell = (): void => this.#all.forEach((listener) => listener());

  readonly clear = (): void => this.#all.clear();
}
