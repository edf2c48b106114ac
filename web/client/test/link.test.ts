// A link against the real server: it comes back from whatever happens to the server and the network.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { type Link, SignalboxError } from '../src/index.js';
import { browser, connected, dataDir, freePort, killed, linked, network, started, token as tokenOf, until } from './helpers.js';

describe('the state of a link', () => {
  it('tells when the server goes away, that it is gone for long, and that it is back', async () => {
    const settings = { PORT: String(await freePort()), DATA_DIR: dataDir() };
    const first = await started(settings);
    const link = linked(first.url, 'u', { lostAfter: 2 });
    expect(link.state).toBe('connecting');
    await connected(link);
    await killed(first);
    await until('the loss', () => link.state === 'lost');
    await started(settings);
    await connected(link);
    expect(link.states).toEqual(['connecting', 'connected', 'reconnecting', 'lost', 'connected']);
  });

  it('is connecting, and then lost, where there never was a server; it still comes when there is one', async () => {
    const PORT = String(await freePort());
    const link = linked(`http://127.0.0.1:${PORT}`, 'u', { lostAfter: 3 });
    await until('the loss', () => link.state === 'lost');
    await started({ PORT });
    await connected(link);
    expect(link.states).toEqual(['connecting', 'lost', 'connected']);
  });

  it('is closed for good after close()', async () => {
    const server = await started();
    const link = linked(server.url, 'u');
    await connected(link);
    link.close();
    expect(link.state).toBe('closed');
    link.reconnect();
    await until('the server to see it', async () => (await server.metrics()).signaling_active_connections === 0);
    expect(link.state).toBe('closed');
    expect(link.socket.active).toBe(false);
    await expect(link.ask('heartbeat')).rejects.toMatchObject({ code: 'OFFLINE' });
  });

  it('is lost also where something answers that lets nobody in', async () => {
    const server = await started();
    // It opens a transport, and closes it before the handshake is through.
    const odd = http.createServer((request, response) => {
      const open = '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}';
      const answer = request.method === 'POST' ? 'ok' : request.url!.includes('sid=') ? '1' : open;
      request.resume().on('end', () => response.end(answer));
    });
    await new Promise<void>((resolve) => odd.listen(0, '127.0.0.1', resolve));
    const wire = await network((odd.address() as AddressInfo).port);
    const link = linked(wire.url, 'u', { lostAfter: 3 });
    await until('the loss', () => link.state === 'lost');
    wire.leadTo(server.port);
    wire.down();
    wire.up();
    await connected(link);
    odd.close();
  });
});

describe('the transport of a link', () => {
  const transport = (link: Link) => link.socket.io.engine.transport.name;

  it('is a WebSocket from the beginning, without an upgrade', async () => {
    const server = await started();
    const link = linked(server.url, 'u');
    await connected(link);
    expect(transport(link)).toBe('websocket');
  });

  for (const fate of ['refuse', 'swallow'] as const) {
    it(`is polling behind a proxy that ${fate}s WebSockets`, async () => {
      const server = await started();
      const wire = await network(server.port);
      wire.webSockets(fate);
      const link = linked(wire.url, 'u', { socket: { timeout: 500 } });
      const failed = vi.fn();
      link.socket.on('connect_error', failed);
      await connected(link);
      expect(transport(link)).toBe('polling');
      expect(failed, 'what is refused costs no try').not.toHaveBeenCalled();
      await link.ask('heartbeat');
    });
  }
});

describe('asking', () => {
  it('gives the acknowledgement, or throws what the server said', async () => {
    const server = await started();
    const link = linked(server.url, 'u');
    await connected(link);
    expect(Math.abs((await link.ask('heartbeat')) - Date.now())).toBeLessThan(60_000);
    const refused = await link.ask('scanOrder', { sessionId: 's', orderNo: 'A', ts: 1 }).catch((error) => error);
    expect(refused).toBeInstanceOf(SignalboxError);
    expect(refused).toMatchObject({ code: 'FORBIDDEN', message: 'this socket has not joined the session', flow: expect.stringMatching(/^[0-9A-Z]{2}-[0-9A-Z]{4}$/) });
  });

  it('throws OFFLINE where there is no connection, or it ends meanwhile', async () => {
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'u');
    await expect(link.ask('heartbeat')).rejects.toMatchObject({ code: 'OFFLINE' });
    await connected(link);
    wire.swallow();
    const asking = link.ask('heartbeat');
    wire.down();
    await expect(asking).rejects.toMatchObject({ code: 'OFFLINE' });
  });

  it('throws TIMEOUT when no answer comes, and finds out that the connection is dead', async () => {
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'u');
    await connected(link);
    const { id } = link.socket;
    wire.swallow();
    await expect(link.ask('heartbeat', undefined, 50)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await until('another connection', () => link.socket.connected && link.socket.id !== id);
  });
});

describe('coming back', () => {
  it('waits as long as a server that is about to stop said, and not before the connection ended', async () => {
    const [first, second] = [await started({ DRAIN_PERIOD: '1s' }), await started()];
    const wire = await network(first.port);
    const link = linked(wire.url, 'u');
    await connected(link);
    let told: { at: number; ms: number } | undefined;
    link.socket.on('server:draining', ({ retryAfterMs }) => {
      told = { at: performance.now(), ms: retryAfterMs };
      expect(link.state).toBe('connected');
    });
    wire.leadTo(second.port);
    first.kill('SIGTERM');
    await until('the end', () => link.state === 'reconnecting');
    await connected(link);
    expect(told!.ms).toBe(1000);
    const took = performance.now() - told!.at;
    expect(took).toBeGreaterThanOrEqual(1000);
    expect(took).toBeLessThan(5000);
  });

  it('is at once when the network is back, whatever the back-off says', async () => {
    const page = browser();
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'u', { socket: { reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 } });
    await connected(link);
    for (const back of [() => page.happens('online'), () => page.happens('pageshow'), () => page.show(), () => link.reconnect()]) {
      const id = link.socket.id;
      wire.down();
      await until('the end', () => link.state === 'reconnecting');
      wire.up();
      back();
      await connected(link);
      expect(link.socket.id).not.toBe(id);
    }
  });

  it('is at once also right after a try that failed, and one that is under way is not begun again', async () => {
    const page = browser();
    const PORT = String(await freePort());
    const tries = vi.fn();
    const token = () => {
      tries();
      return tokenOf('u');
    };
    const link = linked(`http://127.0.0.1:${PORT}`, 'u', { token, socket: { reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 } });
    await new Promise((resolve) => link.socket.once('connect_error', resolve));
    await started({ PORT });
    for (const news of ['online', 'pageshow', 'online']) page.happens(news);
    await connected(link);
    expect(tries).toHaveBeenCalledTimes(2);
  });

  it('notices on waking up that the connection is dead', async () => {
    const page = browser();
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'u');
    await connected(link);
    const { id } = link.socket;
    page.happens('online');
    await link.ask('heartbeat');
    expect(link.socket.id, 'a connection that answers stays').toBe(id);
    wire.swallow();
    page.happens('online');
    await until('another connection', () => link.socket.connected && link.socket.id !== id);
    expect(link.states).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
  });

  it('sends nothing of before on the new connection', async () => {
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'u');
    await connected(link);
    // As it is after sleep: the library still calls itself connected, and keeps what it is given for later.
    link.socket.sendBuffer.push({ type: 2, data: ['create-room', { roomId: 'ghost', name: 'Ghost' }], options: {} } as never);
    wire.down();
    await until('the end', () => link.state === 'reconnecting');
    wire.up();
    await connected(link);
    await expect(link.ask('join-room', { roomId: 'ghost' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('brings the user back to where it was', async () => {
    const server = await started();
    const wire = await network(server.port);
    const link = linked(wire.url, 'u');
    await connected(link);
    expect(link.restored).toBeNull();
    await link.ask('join-event', { eventId: '콘서트-1' });
    const told = vi.fn();
    link.subscribe(() => link.restored && told());
    wire.down();
    await until('the end', () => link.state === 'reconnecting');
    wire.up();
    await until('the record', () => link.restored !== null);
    expect(link.restored).toMatchObject({ eventId: '콘서트-1', queueEventId: null });
    expect(told).toHaveBeenCalled();
  });
});
