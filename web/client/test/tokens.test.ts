// Accounts against the real server: logging in, tokens that are renewed in time and once, and logins that ended.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Account, accountTokens } from '../src/index.js';
import { type Server, connected, launched, linked, locks, storage, until } from './helpers.js';

const PASSWORD = 'correct horse battery staple';
const DAY_MS = 86_400_000;
let server: Server;
let accounts = 0;

beforeAll(async () => {
  server = await launched({ LOGINS_PER_ADDRESS: '1000000', LOGINS_PER_ACCOUNT: '1000000' });
});
afterAll(() => server.stop());
beforeEach(() => {
  vi.stubGlobal('localStorage', storage());
  vi.stubGlobal('navigator', { locks: locks() });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Only what the client takes for the time; the server's clock goes on. */
function clockAt(ms: number) {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

/** A tab of the browser, and how often it renewed. */
const tab = () => accountTokens({ url: server.url });
function renewals() {
  const calls = vi.spyOn(globalThis, 'fetch');
  return () => calls.mock.calls.filter(([url]) => String(url).endsWith('/refresh')).length;
}

async function registered(): Promise<Account> {
  accounts += 1;
  const account = tab();
  await account.register('김철수', `kim${accounts}@example.com`, PASSWORD);
  return account;
}

describe('an account', () => {
  it('is registered, logged out of and logged in to, and opens a link', async () => {
    const account = tab();
    expect(account.user).toBeNull();
    expect(await account.token('connect')).toBeNull();
    const user = await account.register('김철수', 'kim@example.com', PASSWORD);
    expect(user).toMatchObject({ username: '김철수', email: 'kim@example.com' });
    expect(account.user).toEqual(user);
    const link = linked(server.url, '', { token: account.token });
    await connected(link);
    await account.logout();
    expect(account.user).toBeNull();
    expect(await account.token('connect')).toBeNull();
    // The server ends the connections of a login that ended.
    await until('the end', () => link.state === 'refused');
    await expect(account.login('kim@example.com', 'a wrong password')).rejects.toMatchObject({ code: 'AUTH_ERROR' });
    expect(await account.login('kim@example.com', PASSWORD)).toMatchObject({ id: user.id });
    link.reconnect();
    await connected(link);
  });

  it('survives a reload, and is the same in another tab', async () => {
    const account = await registered();
    const token = await account.token('connect');
    expect(await tab().token('connect')).toBe(token);
    expect(tab().user).toEqual(account.user);
  });

  it('is not there while the server is away, and is after that', async () => {
    const account = await registered();
    vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('fetch failed'));
    await expect(account.token('rejected')).rejects.toMatchObject({ code: 'OFFLINE' });
    await expect(account.login('a@b.c', 'x')).rejects.toMatchObject({ code: 'OFFLINE' });
    expect(account.user).not.toBeNull();
    vi.restoreAllMocks();
    const renewed = renewals();
    expect(await account.token('rejected')).not.toBeNull();
    expect(renewed()).toBe(1);
    expect(account.user).not.toBeNull();
  });
});

describe('its token', () => {
  it('is used until shortly before its end, and then renewed before it is used', async () => {
    const account = await registered();
    const renewed = renewals();
    const first = await account.token('connect');
    clockAt(DAY_MS - 60_000);
    expect(await account.token('connect')).toBe(first);
    expect(renewed()).toBe(0);
    vi.useRealTimers();
    clockAt(DAY_MS - 20_000);
    const second = await account.token('connect');
    expect(renewed()).toBe(1);
    vi.useRealTimers();
    await connected(linked(server.url, '', { token: () => second }));
  });

  it('is renewed when it is about to end, and when it was rejected', async () => {
    const account = await registered();
    const renewed = renewals();
    for (const [times, why] of (['connect', 'expiring', 'rejected'] as const).entries()) {
      const token = await account.token(why);
      await connected(linked(server.url, '', { token: () => token }));
      expect(renewed()).toBe(times);
    }
  });

  it('is renewed once for all tabs, also when all want it at once', async () => {
    const tabs = [await registered(), tab(), tab()];
    for (const each of tabs) await each.token('connect');
    const renewed = renewals();
    const tokens = await Promise.all(tabs.map((each) => each.token('expiring')));
    expect(new Set(tokens).size).toBe(1);
    expect(renewed()).toBe(1);
    // A refresh token that is shown twice ends the login: it goes on.
    expect(await tabs[0]!.token('expiring')).not.toBeNull();
    expect(renewed()).toBe(2);
  });

  it('is no more when the login was ended elsewhere', async () => {
    const account = await registered();
    const { refreshToken } = JSON.parse(localStorage.getItem('signalbox:login')!);
    const headers = { 'content-type': 'application/json' };
    await fetch(`${server.url}/api/auth/logout`, { method: 'POST', headers, body: JSON.stringify({ refreshToken }) });
    expect(await account.token('rejected')).toBeNull();
    expect(account.user).toBeNull();
  });
});
