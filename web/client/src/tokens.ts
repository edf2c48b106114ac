// Accounts of /api/auth: logging in, and tokens that are renewed before they end.
import type { SignalboxError } from './errors.js';
import { request } from './http.js';
import type { TokenSource } from './link.js';
import { browserStorage } from './storage.js';

/** An account, as its owner sees it. */
export interface User {
  id: number;
  username: string;
  email: string;
  /** ISO 8601. */
  createdAt: string;
  /** ISO 8601; missing before the first login. */
  lastLogin?: string;
}

/** A login, kept in localStorage and shared by all tabs. What it asks the server throws SignalboxError, OFFLINE where there was no answer. */
export interface Account {
  /** Gives the access token, and renews it when it is about to end. null where nobody is logged in, or no longer. */
  readonly token: TokenSource;
  login(email: string, password: string): Promise<User>;
  register(username: string, email: string, password: string): Promise<User>;
  /** Ends the login here at once, and on the server; where that cannot be reached it ends there by itself. */
  logout(): Promise<void>;
  readonly user: User | null;
}

interface Login {
  token: string;
  refreshToken: string;
  /** In milliseconds since 1970. */
  expiresAt: number;
  user: User;
}

/** A token that ends sooner is renewed before it is used. */
const MARGIN_MS = 30_000;

/** One at a time in all tabs: a refresh token that is shown twice ends the login. */
async function alone<T>(name: string, work: () => Promise<T>): Promise<T> {
  const locks = typeof navigator === 'undefined' ? undefined : (navigator.locks as LockManager | undefined);
  if (locks) return locks.request(name, work);
  // Without https there are no locks; tabs that are told at once at least do not ask at once.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 1_000));
  return work();
}

function memory(): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  const kept = new Map<string, string>();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value), removeItem: (key) => void kept.delete(key) };
}

/** The account of whoever uses this browser. `url` is the server, the page's origin by default; `storageKey` where the login is kept. */
export function accountTokens({ url = '', storageKey = 'signalbox:login' }: { url?: string; storageKey?: string } = {}): Account {
  const storage = browserStorage() ?? memory();
  /** The refresh token of the login that was given last: access tokens of the same second are the same. */
  let given: string | undefined;

  function current(): Login | null {
    try {
      return JSON.parse(storage.getItem(storageKey) ?? 'null');
    } catch {
      return null;
    }
  }

  const post = (where: string, body: object) => request(`${url}/api/auth/${where}`, { body });

  function keep(answer: unknown): Login {
    const { token, refreshToken, expiresIn, user } = answer as { token: string; refreshToken: string; expiresIn: number; user: User };
    const login = { token, refreshToken, expiresAt: Date.now() + expiresIn * 1000, user };
    storage.setItem(storageKey, JSON.stringify(login));
    return login;
  }

  const isGood = (login: Login) => login.expiresAt - Date.now() > MARGIN_MS;

  async function renewed(before: string | undefined): Promise<Login | null> {
    const login = current();
    // Another tab did it meanwhile, or somebody logged in.
    if (!login || (login.refreshToken !== before && isGood(login))) return login;
    try {
      return keep(await post('refresh', { refreshToken: login.refreshToken }));
    } catch (error) {
      const { code } = error as SignalboxError;
      if (code !== 'AUTH_ERROR' && code !== 'TOKEN_EXPIRED') throw error;
      if (current()?.refreshToken === login.refreshToken) storage.removeItem(storageKey);
      return null;
    }
  }

  return {
    async token(why) {
      let login = current();
      // Any login but this one will do.
      const before = why === 'connect' ? undefined : given ?? login?.refreshToken;
      if (login && !(isGood(login) && login.refreshToken !== before)) login = await alone(storageKey, () => renewed(before));
      given = login?.refreshToken;
      return login?.token ?? null;
    },
    login: async (email, password) => keep(await post('login', { email, password })).user,
    register: async (username, email, password) => keep(await post('register', { username, email, password })).user,
    async logout() {
      const login = current();
      storage.removeItem(storageKey);
      if (login) await post('logout', { refreshToken: login.refreshToken }).catch(() => {});
    },
    get user() {
      return current()?.user ?? null;
    },
  };
}
