// SIGTERM under load: what was acknowledged has arrived, and clients move to another instance by themselves.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { UNLIMITED, balancer, inSession, startServer, until } from './server.mjs';

it('loses no acknowledged scan when it is stopped under 300 scans a second', async () => {
  const servers = [await startServer(UNLIMITED), await startServer(UNLIMITED)];
  const [first, second] = servers;
  const lb = await balancer(() => (first.stopping ? [second.port] : [first.port, second.port]));
  const pairs = 15;
  const seen = new Map();
  const acked = [];
  const phones = [];
  const sockets = [];
  for (let i = 0; i < pairs; i += 1) {
    const session = `pair-${i}`;
    const transports = i % 3 === 0 ? ['polling'] : ['websocket'];
    const monitor = await inSession(lb.url, `m${i}`, 'monitor', session, { transports });
    monitor.on('navigate', (n) => seen.set(n.orderNo, (seen.get(n.orderNo) ?? 0) + 1));
    const phone = await inSession(lb.url, `p${i}`, 'mobile', session, { transports });
    // A phone scans while a monitor is beside it, as its screen tells the worker.
    const state = { phone, session, ready: true, sent: 0, pending: 0 };
    phone.on('disconnect', () => { state.ready = false; });
    phone.on('joinedSession', ({ status }) => { state.ready = status.hasMonitor; });
    phone.on('clientJoined', ({ status }) => { state.ready = status.hasMonitor; });
    phone.on('clientLeft', ({ status }) => { state.ready = status.hasMonitor; });
    phones.push(state);
    sockets.push(monitor, phone);
  }
  assert.equal((await first.metrics()).signaling_active_connections, pairs * 2);

  const scanning = setInterval(() => {
    for (const state of phones) {
      if (!state.ready || !state.phone.connected) continue;
      const orderNo = `${state.session}-${state.sent}`;
      state.sent += 1;
      state.phone.timeout(5000).emit('scanOrder', { sessionId: state.session, orderNo, ts: Date.now() }, (error, ack) => {
        if (!error && ack.received && ack.monitors > 0) acked.push(orderNo);
        if (!error && !ack.received) assert.fail(`a failed ack: ${JSON.stringify(ack)}`);
      });
    }
  }, 50);
  await until('scans before the stop', () => acked.length > 300);
  first.stopping = true;
  const began = Date.now();
  first.kill('SIGTERM');
  assert.equal(await first.exited, 0);
  const took = Date.now() - began;
  assert.ok(took < 15_000, `${took} ms`);

  // Nobody called connect(): the clients came back by themselves.
  // A client that has not heard of the end yet still calls itself connected: the other instance knows.
  const moved = async () => (await second.metrics()).signaling_active_connections === pairs * 2;
  await until('everybody on the other instance', async () => (await moved()) && phones.every((s) => s.ready) && sockets.every((s) => s.connected));
  const before = acked.length;
  await until('scans after the move', () => acked.length > before + 300);
  clearInterval(scanning);
  await until('the last ones', () => acked.every((order) => seen.has(order)));
  assert.deepEqual(acked.filter((order) => seen.get(order) !== 1), [], 'each once');
  console.log(`${acked.length} acknowledged scans arrived once each; stopped in ${took} ms`);
  sockets.forEach((s) => s.close());
  lb.close();
  await Promise.all(servers.map((s) => s.stop()));
});
