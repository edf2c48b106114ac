// The operations files and the metrics, held against the tools that read them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { inSession, startServer, until } from './server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

function promtool(args, input) {
  const run = spawnSync('promtool', args, { input, encoding: 'utf8' });
  assert.equal(run.error, undefined, 'promtool is needed: Debian package prometheus');
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.equal(run.stdout + run.stderr === '' || run.stdout.includes('SUCCESS'), true, run.stdout + run.stderr);
}

it('promtool accepts the plain metrics and prometheus.yml', async () => {
  const server = await startServer();
  const monitor = await inSession(server.url, 'm', 'monitor', 's');
  const phone = await inSession(server.url, 'p', 'mobile', 's');
  await phone.emitWithAck('scanOrder', { sessionId: 's', orderNo: 'A', ts: 1 });
  promtool(['check', 'metrics'], await (await fetch(`${server.url}/metrics`)).text());
  promtool(['check', 'config', path.join(root, 'prometheus.yml')]);
  [monitor, phone].forEach((s) => s.close());
  await server.stop();
});

it('a real Prometheus scrapes with this configuration and stores the exemplar of a traced scan', async () => {
  const collector = http.createServer((request, response) => request.resume().on('end', () => response.end()));
  await new Promise((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const server = await startServer({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`, TRACE_SAMPLE_RATIO: '1',
  });
  const monitor = await inSession(server.url, 'm', 'monitor', 's');
  const phone = await inSession(server.url, 'p', 'mobile', 's');
  const { traceId } = await phone.emitWithAck('scanOrder', { sessionId: 's', orderNo: 'A', ts: 1 });

  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-prometheus-'));
  const config = read('prometheus.yml').replace('127.0.0.1:3000', `127.0.0.1:${server.port}`).replace('scrape_interval: 15s', 'scrape_interval: 1s').replace('scrape_timeout: 5s', 'scrape_timeout: 1s');
  fs.writeFileSync(path.join(dir, 'prometheus.yml'), config);
  const probe = net.createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  const prometheus = spawn('prometheus', [
    `--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=127.0.0.1:${port}`, '--enable-feature=exemplar-storage', '--log.level=error',
  ], { stdio: 'ignore' });
  const query = async (kind, text) => {
    const now = Date.now() / 1000;
    const params = new URLSearchParams(kind === 'query_exemplars' ? { query: text, start: now - 60, end: now + 60 } : { query: text });
    try {
      return (await (await fetch(`http://127.0.0.1:${port}/api/v1/${kind}?${params}`)).json()).data;
    } catch {
      return undefined; // not up yet
    }
  };
  await until('the connections in Prometheus', async () => (await query('query', 'signaling_active_connections'))?.result?.[0]?.value?.[1] === '2', 60_000);
  await until('the exemplar', async () => {
    const found = await query('query_exemplars', 'signalbox_scan_to_navigate_seconds_bucket');
    return found?.some((series) => series.exemplars.some((e) => e.labels.trace_id === traceId));
  }, 60_000);
  prometheus.kill('SIGKILL');
  [monitor, phone].forEach((s) => s.close());
  await server.stop();
  collector.close();
  fs.rmSync(dir, { recursive: true, force: true });
});

it('otel-collector.yaml refers only to what it defines', () => {
  const config = parse(read('otel-collector.yaml'));
  for (const [name, pipeline] of Object.entries(config.service.pipelines)) {
    assert.match(name, /^(traces|logs|metrics)(\/.+)?$/);
    for (const kind of ['receivers', 'processors', 'exporters']) {
      for (const component of pipeline[kind]) {
        assert.ok(component in config[kind] || component in (config.connectors ?? {}), `${name}: ${kind} ${component}`);
      }
    }
    assert.equal(pipeline.processors[0], 'memory_limiter', 'the limiter comes first');
  }
  const used = Object.values(config.service.pipelines).flatMap((p) => [...p.receivers, ...p.processors, ...p.exporters]);
  for (const kind of ['receivers', 'processors', 'exporters']) {
    for (const component of Object.keys(config[kind])) assert.ok(used.includes(component), `${component} is used by nothing`);
  }
});
