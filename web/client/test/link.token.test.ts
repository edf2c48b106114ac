// A link and its token against the real server: refused, replaced, renewed, ended.
import { describe, expect, it, vi } from 'vitest';
import { type TokenSource, connect } from '../src/index.js';
import { connected, linked, started, tidy, token, until } from './helpers.js';

const expiring = (user: string, seconds: number) => token(user, { exp: Math.floor(Date.now() / 1000) + seconds });

/** A source that gives these one after the other, and what it was asked. */
function source(...tokens: (string | null | Error)[]) {
  const asked: string[] = [];
  const give: TokenSource = (why) => {
    asked.push(why);
    const next = tokens.length > 1 ? tokens.shift()! : tokens[0]!;
    if (next instanceof Error) throw next;
    return next;
  };
  return { give, asked };
}

describe('a token that is refused', () => {
  for (const [language, none, bad] of [
    ['en', 'Authentication required: no authentication token', 'Invalid authentication token'],
    ['ko', '인증 토큰이 없습니다', '인증 실패'],
  ] as const) {
    it(`is asked for once more, and then it is the person's turn (${language})`, async () => {
      const server = await started({ MESSAGE_LANGUAGE: language });
      const failures: string[] = [];
      const onAuthFailure = (error: Error) => failures.push(error.message);
      const wrong = source('wrong');
      const refused = linked(server.url, 'u', { token: wrong.give, onAuthFailure });
      await until('the refusal', () => refused.state === 'refused');
      expect(wrong.asked).toEqual(['connect', 'rejected']);
      expect(failures).toEqual([bad]);

      const nothing = source(null);
      const empty = linked(server.url, 'u', { token: nothing.give, onAuthFailure });
      await until('the refusal', () => empty.state === 'refused');
      expect(nothing.asked).toEqual(['connect', 'rejected']);
      expect(failures).toEqual([bad, none]);
      expect(empty.states).toEqual(['connecting', 'refused']);
    });
  }

  it('is replaced by the fresh one that the source has', async () => {
    const server = await started();
    const tokens = source('old', token('u'));
    const onAuthFailure = vi.fn();
    const link = linked(server.url, 'u', { token: tokens.give, onAuthFailure });
    await connected(link);
    expect(tokens.asked).toEqual(['connect', 'rejected']);
    expect(onAuthFailure).not.toHaveBeenCalled();
    expect(link.states).toEqual(['connecting', 'connected']);
  });

  it('is not tried again until the person has logged in', async () => {
    const server = await started();
    const tokens = source('wrong', 'wrong', token('u'));
    const link = linked(server.url, 'u', { token: tokens.give });
    await until('the refusal', () => link.state === 'refused');
    link.reconnect();
    await connected(link);
    expect(tokens.asked).toEqual(['connect', 'rejected', 'connect']);
    expect(link.states).toEqual(['connecting', 'refused', 'connecting', 'connected']);
  });

  it('is not blamed for a source that fails: that is tried again', async () => {
    const server = await started();
    const tokens = source(new Error('offline'), 'wrong', new Error('offline'), token('u'));
    const onAuthFailure = vi.fn();
    const link = linked(server.url, 'u', { token: tokens.give, onAuthFailure });
    await connected(link);
    expect(tokens.asked).toEqual(['connect', 'connect', 'rejected', 'rejected']);
    expect(onAuthFailure).not.toHaveBeenCalled();
  });

  it('is not blamed for too many attempts: those go on', async () => {
    const server = await started({ HANDSHAKES_PER_USER_PER_MIN: '1' });
    await connected(linked(server.url, 'u'));
    const onAuthFailure = vi.fn();
    const link = linked(server.url, 'u', { onAuthFailure });
    const refusals: string[] = [];
    link.socket.on('connect_error', ({ message }) => refusals.push(message));
    await until('some tries', () => refusals.length >= 3);
    expect(new Set(refusals)).toEqual(new Set(['Too many connection attempts, try again later']));
    expect(link.state).toBe('connecting');
    expect(onAuthFailure).not.toHaveBeenCalled();
  });

  it('is taken from localStorage where nobody gives one', async () => {
    const server = await started();
    vi.stubGlobal('localStorage', { getItem: (key: string) => (key === 'token' ? token('u') : null) });
    await connected(tidy(connect({ url: server.url })));
  });
});

describe('a token that ends', () => {
  it('is renewed while connected, each time the server says so', async () => {
    const server = await started();
    const tokens = source(expiring('u', 20), expiring('u', 40), token('u'));
    const link = linked(server.url, 'u', { token: tokens.give });
    await connected(link);
    const { id } = link.socket;
    // The second one ends soon as well: that the server says so shows that it took it.
    await until('the renewals', () => tokens.asked.length === 3);
    expect(tokens.asked).toEqual(['connect', 'expiring', 'expiring']);
    await link.ask('heartbeat');
    expect(link.socket.id).toBe(id);
  });

  it('is replaced after TOKEN_EXPIRED, by a fresh one, at once', async () => {
    const server = await started({ JWT_LEEWAY: '1s' });
    const asked: string[] = [];
    const give: TokenSource = (why) => {
      asked.push(why);
      return { connect: expiring('u', 3), expiring: null, rejected: token('u') }[why];
    };
    const onAuthFailure = vi.fn();
    // So slow that only "at once" is in time.
    const link = linked(server.url, 'u', { token: give, onAuthFailure, socket: { reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 } });
    const reasons: string[] = [];
    link.socket.on('disconnect', (reason) => reasons.push(reason));
    await until('the return', () => link.states.length === 4);
    expect(link.states).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
    expect(reasons).toEqual(['io server disconnect']);
    expect(asked).toEqual(['connect', 'expiring', 'rejected']);
    expect(onAuthFailure).not.toHaveBeenCalled();
  });

  it('ends in refused where there is none', async () => {
    const server = await started({ JWT_LEEWAY: '1s' });
    const tokens = source(expiring('u', 3), null);
    const onAuthFailure = vi.fn();
    const link = linked(server.url, 'u', { token: tokens.give, onAuthFailure });
    await until('the refusal', () => link.state === 'refused');
    expect(link.states).toEqual(['connecting', 'connected', 'reconnecting', 'refused']);
    expect(onAuthFailure).toHaveBeenCalledOnce();
  });
});
