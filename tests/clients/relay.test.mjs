// The scan relay with the official client, over every transport.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TRANSPORTS, UNLIMITED, client, errorOf, inSession, nonce, once, startServer, token, until } from './server.mjs';

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(name, () => {
    let server;
    before(async () => {
      server = await startServer(UNLIMITED);
    });
    after(() => server.stop());

    it('loses nothing that is emitted in the same tick as connect, 500 times', async () => {
      let joined = 0;
      const one = async (i) => {
        const socket = client(server.url, `u${i}`, undefined, { transports });
        const registered = once(socket, 'registered');
        const answer = once(socket, 'joinedSession');
        socket.on('connect', () => {
          socket.emit('registerClient', { role: 'mobile' });
          socket.emit('joinSession', { sessionId: `s${i}` });
        });
        assert.deepEqual(await registered, { success: true, socketId: socket.id });
        const { sessionId, status } = await answer;
        assert.equal(sessionId, `s${i}`);
        assert.deepEqual(status, { isActive: true, hasMobile: true, hasMonitor: false });
        joined += 1;
        socket.close();
      };
      for (let i = 0; i < 500; i += 10) {
        await Promise.all(Array.from({ length: 10 }, (_, k) => one(i + k)));
      }
      assert.equal(joined, 500);
    });

    it('delivers 2,000 scans back to back, in order and complete, to three monitors', async () => {
      const monitors = await Promise.all([1, 2, 3].map((i) => inSession(server.url, `m${i}`, 'monitor', 'burst', { transports })));
      const seen = monitors.map((m) => {
        const orders = [];
        m.on('navigate', (n) => orders.push(n));
        return orders;
      });
      const phone = await inSession(server.url, 'p', 'mobile', 'burst', { transports });
      const echoed = [];
      phone.on('navigate', (n) => echoed.push(n.orderNo));
      const acks = [];
      for (let i = 0; i < 2000; i += 1) {
        phone.emit('scanOrder', { sessionId: 'burst', orderNo: `O-${i}`, ts: i, nonce: nonce() }, (ack) => acks.push(ack.seq));
      }
      await until('all of them', () => [...seen, echoed, acks].every((list) => list.length >= 2000), 60_000);
      const wanted = Array.from({ length: 2000 }, (_, i) => `O-${i}`);
      for (const orders of seen) {
        assert.deepEqual(orders.map((n) => n.orderNo), wanted);
        assert.deepEqual(orders.map((n) => n.seq), wanted.map((_, i) => i + 1));
        assert.ok(orders.every((n) => n.from === 'mobile' && n.fromSocketId === phone.id && Number.isInteger(n.ts)));
      }
      assert.deepEqual(echoed, wanted);
      assert.deepEqual(acks, wanted.map((_, i) => i + 1));
      [phone, ...monitors].forEach((s) => s.close());
    });

    it('keeps two sessions apart and tells who comes and goes', async () => {
      const monitorA = await inSession(server.url, 'ma', 'monitor', 'A', { transports });
      const monitorB = await inSession(server.url, 'mb', 'monitor', 'B', { transports });
      const heardByB = [];
      monitorB.onAny((event) => heardByB.push(event));
      const coming = once(monitorA, 'clientJoined');
      const phone = await inSession(server.url, 'pa', 'mobile', 'A', { transports });
      assert.deepEqual(await coming, {
        socketId: phone.id, role: 'mobile', status: { isActive: true, hasMobile: true, hasMonitor: true },
      });

      const arriving = once(monitorA, 'navigate');
      const ack = await phone.emitWithAck('scanOrder', { sessionId: 'A', orderNo: 'X', ts: 7, nonce: 'n-1' });
      const { traceparent, ...navigate } = await arriving;
      assert.deepEqual(navigate, { orderNo: 'X', ts: 7, nonce: 'n-1', from: 'mobile', fromSocketId: phone.id, seq: 1 });
      assert.match(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
      const { epoch, flow, traceId, ...rest } = ack;
      assert.deepEqual(rest, { received: true, nonce: 'n-1', seq: 1, duplicate: false, durable: true, monitors: 1 });
      assert.match(flow, /^[0-9A-Z]{2}-[0-9A-Z]{4}$/);
      assert.equal(traceparent.split('-')[1], traceId);
      assert.match(epoch, /^[0-9a-f]{16}$/);

      const injected = await phone.emitWithAck('scanOrder', { sessionId: 'B', orderNo: 'X', ts: 7 });
      assert.equal(injected.error.code, 'FORBIDDEN');
      const going = once(monitorA, 'clientLeft');
      const id = phone.id;
      phone.close();
      assert.deepEqual(await going, { socketId: id, status: { isActive: true, hasMobile: false, hasMonitor: true } });
      assert.deepEqual(heardByB, []);

      const left = await monitorA.emitWithAck('leaveSession', { sessionId: 'A' });
      assert.equal(left.success, true);
      [monitorA, monitorB].forEach((s) => s.close());
    });

    it('answers heartbeats with the server time and unknown events with an error', async () => {
      const socket = client(server.url, 'h', 'mobile', { transports });
      const beat = once(socket, 'heartbeat:ack');
      socket.emit('heartbeat');
      assert.ok(Math.abs((await beat) - Date.now()) < 60_000);
      const failing = once(socket, 'error');
      socket.emit('no-such-event', { a: 1 });
      const error = await failing;
      assert.equal(error.code, 'UNKNOWN_EVENT');
      assert.equal(error.message, 'unknown event');
      assert.deepEqual(errorOf(error), { code: 'UNKNOWN_EVENT', message: 'unknown event' });
      assert.equal(error.success, false);
      assert.equal(socket.connected, true);
      socket.close();
    });
  });
}

describe('namespaces and identity', () => {
  let server;
  before(async () => {
    server = await startServer(UNLIMITED);
  });
  after(() => server.stop());

  it('relays between / and /scan, and knows no other namespace', async () => {
    const monitor = await inSession(`${server.url}/scan`, 'm', 'monitor', 'x');
    const phone = await inSession(server.url, 'p', 'mobile', 'x');
    const arriving = once(monitor, 'navigate');
    phone.emit('scanOrder', { sessionId: 'x', orderNo: 'over', ts: 1 });
    assert.equal((await arriving).orderNo, 'over');
    const nowhere = client(`${server.url}/nowhere`, 'n', 'mobile');
    assert.equal((await once(nowhere, 'connect_error')).message, 'Invalid namespace');
    [monitor, phone, nowhere].forEach((s) => s.close());
  });

  it('takes auth.token, auth.accessToken and the Authorization header, and integer user ids', async () => {
    const good = token('u', { userId: 42, role: 'mobile' });
    for (const options of [{ auth: { token: good } }, { auth: { accessToken: good } }, { auth: {}, extraHeaders: { Authorization: `Bearer ${good}` } }]) {
      const socket = client(server.url, 'x', undefined, options);
      await once(socket, 'connect');
      socket.close();
    }
  });

  it('never takes a token from the query', async () => {
    const socket = client(server.url, 'x', undefined, { auth: {}, query: { token: token('u') } });
    const error = await once(socket, 'connect_error');
    assert.equal(error.message, 'Authentication required: no authentication token');
    socket.close();
  });

  it('lets registerClient name another device than the token, unless that is binding', async () => {
    const both = client(server.url, 'u', 'mobile');
    both.emit('registerClient', { role: 'monitor' });
    await once(both, 'registered');
    both.emit('joinSession', { sessionId: 'd' });
    assert.equal((await once(both, 'joinedSession')).status.hasMonitor, true);
    both.close();

    const strict = await startServer({ STRICT_DEVICE_ROLE: 'true' });
    const bound = client(strict.url, 'u', 'mobile');
    assert.equal((await bound.emitWithAck('registerClient', { role: 'monitor' })).error.code, 'FORBIDDEN');
    assert.equal((await bound.emitWithAck('registerClient', { role: 'mobile' })).success, true);
    bound.close();
    await strict.stop();
  });

  it('speaks Korean when told to', async () => {
    const korean = await startServer({ MESSAGE_LANGUAGE: 'ko' });
    const failing = async (auth) => {
      const socket = client(korean.url, 'x', undefined, { auth });
      const { message } = await once(socket, 'connect_error');
      socket.close();
      return message;
    };
    assert.equal(await failing({}), '인증 토큰이 없습니다');
    assert.equal(await failing({ token: 'x' }), '인증 실패');
    for (let i = 0; i < 10; i += 1) await failing({ token: 'x' });
    assert.equal(await failing({ token: 'x' }), '연결 시도가 너무 많습니다. 잠시 후 다시 시도하세요.');
    await korean.stop();
  });
});
