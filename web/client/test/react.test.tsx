// The React hooks against the real server, in a browser's stead. @vitest-environment happy-dom
import { act, cleanup, configure, render, renderHook, screen, waitFor } from '@testing-library/react';
import { useEffect, type ReactNode } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { UNLIMITED, client, freePort, once, startServer, token } from '../../../tests/clients/server.mjs';
import type { ConnectOptions, Link } from '../src/index.js';
import { ConnectionStatus, SignalboxProvider, useChat, useMonitor, useQueueUpdates, useScanner, useSeatUpdates, useSocket } from '../src/react.js';

type Server = Awaited<ReturnType<typeof startServer>>;

// Everything is rendered twice, as StrictMode does.
configure({ reactStrictMode: true, asyncUtilTimeout: 15_000 });
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const ends: (() => unknown)[] = [];
const atEnd = (end: () => unknown) => ends.push(end);
afterEach(async () => {
  cleanup();
  vi.restoreAllMocks();
  vi.useRealTimers();
  localStorage.clear();
  for (const end of ends.splice(0).reverse()) await end();
});

async function server(settings: Record<string, string> = {}): Promise<Server> {
  const started = await startServer({ ...UNLIMITED, HTTP_RATE_MAX: '1000000', CANARY_INTERVAL: 'off', ...settings });
  atEnd(() => started.stop());
  return started;
}

/** What a hook renders below a provider with a link of its own to this server. */
function show<T>({ url }: { url: string }, user: string, hook: () => T, more: ConnectOptions = {}, claims = {}) {
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SignalboxProvider options={{ url, token: () => token(user, claims), socket: { reconnectionDelay: 50, reconnectionDelayMax: 200 }, ...more }}>
      {children}
    </SignalboxProvider>
  );
  return renderHook(hook, { wrapper });
}

/** The official client, as another user. */
async function other({ url }: { url: string }, user: string) {
  const socket = client(url, user, undefined, {});
  atEnd(() => socket.close());
  await once(socket, 'connect');
  return socket;
}

const peers = async ({ url }: { url: string }) => ((await (await fetch(`${url}/health`)).json()) as { peers: number }).peers;

/** Its connection ends, and it comes back. */
async function comeBack(link: Link) {
  const { id } = link.socket;
  link.socket.io.engine.close();
  await waitFor(() => expect(link.socket.connected && link.socket.id !== id).toBe(true));
}

/** Over WebSocket: in the middle of the upgrade engine.io learns only by its pings that a server was killed. */
const settled = (link: Link) => waitFor(() => expect(link.socket.io.engine.transport.name).toBe('websocket'));

describe('the connection', () => {
  it('is connected, reconnecting, lost and connected again as the server goes and comes, and the banner says so', async () => {
    const port = String(await freePort());
    const first = await server({ PORT: port });
    const states: string[] = [];
    let link!: Link;
    function Page() {
      const { state, isConnected, isReconnecting, ...view } = useSocket();
      link = view.link;
      useEffect(() => {
        if (states.at(-1) !== state) states.push(state);
      }, [state]);
      return (
        <>
          <main>{state}</main>
          <section aria-label="told"><ConnectionStatus isConnected={isConnected} isReconnecting={isReconnecting} /></section>
          <section aria-label="by itself"><ConnectionStatus texts={{ reconnecting: '재연결 중...', lost: '연결 끊김' }} /></section>
        </>
      );
    }
    const options: ConnectOptions = {
      url: first.url, token: () => token('ann'), lostAfter: 4, socket: { reconnectionDelay: 200, reconnectionDelayMax: 400 },
    };
    render(<SignalboxProvider options={options}><Page /></SignalboxProvider>);
    const banners = (role: string) => screen.queryAllByRole(role);

    await waitFor(() => expect(screen.getByRole('main').textContent).toBe('connected'));
    expect([banners('status'), banners('alert')]).toEqual([[], []]);

    await settled(link);
    await first.stop();
    await waitFor(() => expect(banners('status')).toHaveLength(2));
    const [yellow, own] = banners('status');
    expect(yellow?.style.backgroundColor).toBe('#ffd54f');
    expect(yellow?.querySelector('[data-spinner]')).not.toBeNull();
    expect(yellow?.textContent).toBe('Reconnecting…');
    expect(own?.textContent).toBe('재연결 중...');
    expect(banners('alert')).toEqual([]);

    await waitFor(() => expect(banners('alert')).toHaveLength(2));
    expect(banners('alert')[0]?.style.backgroundColor).toBe('#b3261e');
    expect(banners('alert')[1]?.textContent).toBe('연결 끊김');
    expect(banners('status')).toEqual([]);

    await server({ PORT: port });
    await waitFor(() => expect(screen.getByRole('main').textContent).toBe('connected'));
    expect([banners('status'), banners('alert')]).toEqual([[], []]);
    expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'lost', 'connected']);
  });

  it('is one for all hooks below a provider, however often they render, and ends with it', async () => {
    const at = await server();
    const { result, rerender, unmount } = show(at, 'ann', () => [useSocket(), useSocket(1), useSocket(1)]);
    await waitFor(() => expect(result.current.map(({ state }) => state)).toEqual(['connected', 'connected', 'connected']));
    rerender();
    rerender();
    expect(new Set(result.current.map(({ socket }) => socket)).size).toBe(1);
    await waitFor(async () => expect(await peers(at)).toBe(1));

    unmount();
    await waitFor(async () => expect(await peers(at)).toBe(0));
  });

  it('stays where the page that it was given to is left', async () => {
    const at = await server();
    const { connect } = await import('../src/index.js');
    const link = connect({ url: at.url, token: () => token('ann') });
    atEnd(() => link.close());
    const wrapper = ({ children }: { children: ReactNode }) => <SignalboxProvider link={link}>{children}</SignalboxProvider>;
    const { result, unmount } = renderHook(() => useSocket(), { wrapper });
    await waitFor(() => expect(result.current.isConnected).toBe(true));
    expect(result.current.link).toBe(link);

    unmount();
    await link.ask('heartbeat');
    expect(link.state).toBe('connected');
  });

  it('tells of what the server refused', async () => {
    const at = await server();
    const { result } = show(at, 'ann', () => useSocket());
    await waitFor(() => expect(result.current.isConnected).toBe(true));

    act(() => {
      result.current.socket.emit('scanOrder', { sessionId: 's', orderNo: '1', ts: 1 });
    });
    await waitFor(() => expect(result.current.error).toMatchObject({ code: 'FORBIDDEN' }));
  });
});

describe('a token that is refused', () => {
  it('is removed, and the person led to the login', async () => {
    const at = await server();
    localStorage.setItem('token', 'no token');
    const navigate = vi.fn();
    const wrapper = ({ children }: { children: ReactNode }) => (
      <SignalboxProvider options={{ url: at.url }} navigate={navigate}>{children}</SignalboxProvider>
    );
    const { result } = renderHook(() => useSocket(), { wrapper });

    await waitFor(() => expect(navigate).toHaveBeenCalledWith('/login'));
    expect(localStorage.getItem('token')).toBeNull();
    expect(result.current.state).toBe('refused');
    expect(result.current.isConnected || result.current.isReconnecting).toBe(false);
    expect(result.current.error?.message).toContain('uthentication');
  });

  it('is the one in localStorage where there is no provider', async () => {
    const at = await server();
    (window as unknown as { happyDOM: { setURL(url: string): void } }).happyDOM.setURL(`${at.url}/events/7`);
    const assign = vi.spyOn(window.location, 'assign').mockImplementation(() => {});
    localStorage.setItem('token', token('ann'));
    const { result } = renderHook(() => [useSocket(), useSocket(7)]);
    await waitFor(() => expect(result.current.map(({ state }) => state)).toEqual(['connected', 'connected']));
    await waitFor(async () => expect(await peers(at)).toBe(1));
    expect(assign).not.toHaveBeenCalled();

    localStorage.setItem('token', 'no token');
    result.current[0]!.socket.io.engine.close();
    await waitFor(() => expect(assign).toHaveBeenCalledWith('/login'));
    expect(localStorage.getItem('token')).toBeNull();
  });
});

describe('an event that a component looks at', () => {
  it('says how many look at it, and is come back to', async () => {
    const at = await server();
    const { result } = show(at, 'ann', () => useSocket(7));
    await waitFor(() => expect(result.current.roomInfo).toEqual({ eventId: 7, userCount: 1 }));
    const bob = await other(at, 'bob');
    await bob.emitWithAck('join-event', { eventId: 7 });
    await waitFor(() => expect(result.current.roomInfo?.userCount).toBe(2));
    expect(result.current.restoredSession).toBeNull();

    await comeBack(result.current.link);
    await waitFor(() => expect(result.current.restoredSession).toMatchObject({ eventId: 7, selectedSeats: [] }));
    await waitFor(() => expect(result.current.isConnected).toBe(true));
    await bob.emitWithAck('leave-event', { eventId: 7 });
    await waitFor(() => expect(result.current.roomInfo?.userCount).toBe(1));
  });

  it('is joined again where the server remembers nothing', async () => {
    const port = String(await freePort());
    const first = await server({ PORT: port });
    const { result } = show(first, 'ann', () => useSocket('premiere'));
    await waitFor(() => expect(result.current.roomInfo?.userCount).toBe(1));

    await settled(result.current.link);
    await first.stop();
    const second = await server({ PORT: port });
    const bob = await other(second, 'bob');
    await waitFor(async () => expect((await bob.emitWithAck('join-event', { eventId: 'premiere' })).userCount).toBe(2));
  });

  it('is left when the last component that looks at it is gone', async () => {
    const at = await server();
    const seen: number[] = [];
    const bob = await other(at, 'bob');
    bob.on('room-info', ({ userCount }: { userCount: number }) => seen.push(userCount));
    await bob.emitWithAck('join-event', { eventId: 7 });
    function Visit() {
      useSocket(7);
      return null;
    }
    const page = (visits: number) => (
      <SignalboxProvider options={{ url: at.url, token: () => token('ann') }}>
        {Array.from({ length: visits }, (_, i) => <Visit key={i} />)}
      </SignalboxProvider>
    );
    const { rerender } = render(page(2));
    await waitFor(() => expect(seen.at(-1)).toBe(2));

    rerender(page(1));
    expect((await bob.emitWithAck('join-event', { eventId: 7 })).userCount).toBe(2);
    rerender(page(0));
    await waitFor(() => expect(seen.at(-1)).toBe(1));
  });
});

describe('a waiting queue', () => {
  it('tells of the place, the length of the line and the turn, and keeps the slot', async () => {
    const at = await server({ QUEUE_THRESHOLD: '1' });
    const bob = await other(at, 'bob');
    await bob.emitWithAck('join-queue', { eventId: 7 });
    const [updated, allowed] = [vi.fn(), vi.fn()];
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { result } = show(at, 'ann', () => ({ ...useQueueUpdates(7, updated, allowed), link: useSocket().link }));
    await vi.waitFor(() => expect(result.current.link.state).toBe('connected'), 15_000);
    expect(result.current.status).toBeNull();

    await act(() => result.current.join());
    expect(result.current.status).toMatchObject({ eventId: 7, queued: true, position: 1, queueSize: 1, threshold: 1 });
    expect(result.current.allowed).toBe(false);
    const cem = await other(at, 'cem');
    await cem.emitWithAck('join-queue', { eventId: 7 });
    await vi.waitFor(() => expect(updated).toHaveBeenCalledWith(expect.objectContaining({ eventId: 7, queueSize: 2 })), 15_000);

    bob.emit('leave-queue', { eventId: 7 });
    await vi.waitFor(() => expect(allowed).toHaveBeenCalledWith(expect.objectContaining({ eventId: 7, userId: 'ann' })), 15_000);
    await vi.waitFor(() => expect(result.current.allowed).toBe(true), 15_000);
    expect(allowed).toHaveBeenCalledTimes(1);

    const sent: string[] = [];
    result.current.link.socket.onAnyOutgoing((event: string) => sent.push(event));
    vi.advanceTimersByTime(60_000);
    expect(sent).toContain('queue:heartbeat');
    vi.useRealTimers();

    await act(() => result.current.leave());
    expect(result.current).toMatchObject({ allowed: false, status: null });
    await waitFor(async () => expect((await cem.emitWithAck('queue:heartbeat', { eventId: 7 })).success).toBe(true));
  });

  it('keeps the place over a lost connection and is found again by another component, without joining anew', async () => {
    const at = await server({ QUEUE_THRESHOLD: '1' });
    const bob = await other(at, 'bob');
    await bob.emitWithAck('join-queue', { eventId: 7 });
    const earlier = await other(at, 'ann');
    expect(await earlier.emitWithAck('join-queue', { eventId: 7 })).toMatchObject({ position: 1 });
    earlier.close();

    const { result } = show(at, 'ann', () => ({ ...useQueueUpdates(7), link: useSocket().link }));
    const sent: string[] = [];
    result.current.link.socket.onAnyOutgoing((event: string) => sent.push(event));
    await waitFor(() => expect(result.current.status).toMatchObject({ queued: true, position: 1 }));
    await comeBack(result.current.link);
    await result.current.link.ask('heartbeat');
    bob.emit('leave-queue', { eventId: 7 });
    await waitFor(() => expect(result.current.allowed).toBe(true));
    expect(sent).not.toContain('join-queue');
  });

  it('is joined again where the server remembers nothing', async () => {
    const port = String(await freePort());
    const first = await server({ PORT: port, QUEUE_THRESHOLD: '1' });
    const { result } = show(first, 'ann', () => ({ ...useQueueUpdates(7), link: useSocket().link }));
    await waitFor(() => expect(result.current.link.state).toBe('connected'));
    await act(() => result.current.join());
    expect(result.current.allowed).toBe(true);

    await settled(result.current.link);
    await first.stop();
    const second = await server({ PORT: port, QUEUE_THRESHOLD: '1' });
    await waitFor(() => expect(result.current.link.state).toBe('connected'));
    const bob = await other(second, 'bob');
    await waitFor(async () => expect(await bob.emitWithAck('join-queue', { eventId: 7 })).toMatchObject({ queued: true, currentUsers: 1 }));
    expect(result.current.allowed).toBe(true);
  });
});

describe('seats', () => {
  it('are the own, those of others, or to be had, as both users see them', async () => {
    const at = await server();
    const [selected, released] = [vi.fn(), vi.fn()];
    const ann = show(at, 'ann', () => ({ ...useSeatUpdates(7, selected, released), ...useSocket() })).result;
    const bob = show(at, 'bob', () => ({ ...useSeatUpdates(7), ...useSocket() })).result;
    await waitFor(() => expect([ann.current.state, bob.current.state]).toEqual(['connected', 'connected']));

    await act(() => ann.current.select('A-1'));
    expect(ann.current).toMatchObject({ selected: ['A-1'], held: [] });
    await waitFor(() => expect(bob.current).toMatchObject({ selected: [], held: ['A-1'] }));
    await expect(bob.current.select('A-1')).rejects.toMatchObject({ code: 'CONFLICT' });
    await act(() => bob.current.select(12));
    await waitFor(() => expect(ann.current).toMatchObject({ selected: ['A-1'], held: [12] }));
    expect(selected.mock.calls.map(([news]) => [news.seatId, news.userId])).toEqual([['A-1', 'ann'], [12, 'bob']]);

    await act(() => ann.current.change(['A-2', 12]));
    expect(ann.current).toMatchObject({ selected: ['A-2'], held: [12] });
    await waitFor(() => expect([...bob.current.held]).toEqual(['A-2']));
    expect(released).toHaveBeenCalledWith({ eventId: 7, seatIds: ['A-1'] });

    await act(() => ann.current.release('A-2'));
    expect(ann.current.selected).toEqual([]);
    await waitFor(() => expect(bob.current.held).toEqual([]));
  });

  it('are known at once by whoever comes later or comes back, also from another tab', async () => {
    const at = await server();
    const tab = await other(at, 'ann');
    await tab.emitWithAck('select-seat', { eventId: 7, seatId: 'A-1' });
    const bob = await other(at, 'bob');
    await bob.emitWithAck('select-seat', { eventId: 7, seatId: 'B-1' });
    const { result } = show(at, 'ann', () => ({ ...useSeatUpdates(7), link: useSocket().link }));
    await waitFor(() => expect(result.current).toMatchObject({ selected: ['A-1'], held: ['B-1'], sold: [] }));

    await comeBack(result.current.link);
    await bob.emitWithAck('select-seat', { eventId: 7, seatId: 'B-2' });
    await waitFor(() => expect(result.current.held).toEqual(expect.arrayContaining(['B-1', 'B-2'])));

    await act(() => result.current.select('A-2'));
    await tab.emitWithAck('select-seat', { eventId: 7, seatId: 'A-3' });
    await waitFor(() => expect(result.current.selected).toEqual(['A-1', 'A-2', 'A-3']));
  });
});

describe('a scan', () => {
  it('goes from useScanner to useMonitor, and the news that it is on the screen comes back', async () => {
    const at = await server();
    const shown: string[] = [];
    const monitor = show(at, 'desk', () => useMonitor({ sessionId: 'packing-7', show: ({ orderNo }) => void shown.push(orderNo) })).result;
    await waitFor(() => expect(monitor.current.status).toMatchObject({ hasMonitor: true }));
    const scanner = show(at, 'worker', () => useScanner({ sessionId: 'packing-7' })).result;
    await waitFor(() => expect(scanner.current.status).toEqual({ isActive: true, hasMobile: true, hasMonitor: true }));

    await act(async () => {
      await scanner.current.scan('A-1');
    });
    await waitFor(() => expect(monitor.current.orders).toHaveLength(1));
    expect(monitor.current.orders[0]).toMatchObject({ orderNo: 'A-1', seq: 1, from: 'mobile' });
    expect(shown).toEqual(['A-1']);
    await waitFor(() => expect(scanner.current.entries.map(({ orderNo, state }) => [orderNo, state])).toEqual([['A-1', 'displayed']]));
    await expect(scanner.current.scan(' ')).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
  });
});

describe('a chat', () => {
  const memory = () => {
    const kept = new Map<string, string>();
    return { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
  };

  it('shows rooms and what is said in them, once, also over a lost connection', async () => {
    const signalbox = await server();
    const [mina, jun] = ['mina', 'jun'].map((user) => {
      const storage = memory();
      return show(signalbox, user, () => ({ ...useChat({ storage }), ...useSocket() }));
    });
    await waitFor(() => expect([mina, jun].every((hook) => hook!.result.current.loaded)).toBe(true));
    const { roomID } = await act(() => mina!.result.current.create('Lunch', ['jun']));
    const lines = (hook: typeof mina) => hook!.result.current.rooms[0]?.lines.map(({ content, state }) => `${content} ${state}`);
    await waitFor(() => expect(lines(jun)).toEqual([]));
    act(() => void mina!.result.current.send(roomID, 'Hungry?'));
    for (const hook of [mina, jun]) await waitFor(() => expect(lines(hook)).toEqual(['Hungry? sent']));
    await settled(jun!.result.current.link);
    await comeBack(jun!.result.current.link);
    act(() => void jun!.result.current.send(roomID, 'Always'));
    for (const hook of [mina, jun]) await waitFor(() => expect(lines(hook)).toEqual(['Hungry? sent', 'Always sent']));
    const [, answer] = jun!.result.current.rooms[0]!.lines;
    await act(() => jun!.result.current.edit(roomID, answer!.id!, 'Always!'));
    await waitFor(() => expect(lines(mina)).toEqual(['Hungry? sent', 'Always! sent']));
    expect(await act(() => mina!.result.current.remove(roomID))).toBe(true);
    for (const hook of [mina, jun]) await waitFor(() => expect(hook!.result.current.rooms).toEqual([]));
    expect(mina!.result.current.problem).toBeNull();
  });
});
