// The metrics, held against the tool that reads them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { it } from 'node:test';
import { inSession, startServer } from './server.mjs';

it('promtool accepts the plain metrics', async () => {
  const server = await startServer();
  const monitor = await inSession(server.url, 'm', 'monitor', 's');
  const phone = await inSession(server.url, 'p', 'mobile', 's');
  await phone.emitWithAck('scanOrder', { sessionId: 's', orderNo: 'A', ts: 1 });
  const input = await (await fetch(`${server.url}/metrics`)).text();
  const run = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  assert.equal(run.error, undefined, 'promtool is needed: Debian package prometheus');
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.equal(run.stdout + run.stderr, '');
  [monitor, phone].forEach((socket) => socket.close());
  await server.stop();
});
