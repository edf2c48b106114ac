// The collector's configuration: well-formed, in the right order, without secrets, and letting through exactly what
// the server sends. Each rule is tried on a broken copy, too.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { inSession, startServer, until } from '../clients/server.mjs';
import { declared } from './fields.mjs';
import { spans } from './otlp.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const text = fs.readFileSync(path.join(root, 'otel-collector.yaml'), 'utf8');
const config = () => parse(text);

/** Component types of the contrib distribution that are of use here; a name that is not one of them is a typo. */
const TYPES = {
  receivers: ['otlp', 'filelog', 'file_log', 'prometheus', 'hostmetrics', 'journald', 'kafka', 'zipkin', 'jaeger', 'syslog'],
  processors: [
    'memory_limiter', 'batch', 'redaction', 'resourcedetection', 'resource_detection', 'resource', 'attributes', 'transform', 'filter',
    'tail_sampling', 'probabilistic_sampler', 'groupbytrace', 'groupbyattrs', 'k8sattributes', 'span', 'interval',
  ],
  exporters: [
    'otlp', 'otlphttp', 'otlp_grpc', 'otlp_http', 'prometheus', 'prometheusremotewrite', 'debug', 'file', 'kafka', 'loadbalancing', 'nop',
  ],
  connectors: ['spanmetrics', 'span_metrics', 'servicegraph', 'forward', 'count', 'routing', 'exceptions', 'failover'],
  extensions: ['health_check', 'healthcheckv2', 'file_storage', 'pprof', 'zpages', 'basicauth', 'bearertokenauth', 'headers_setter'],
};
const SECRET = /authorization|password|passwd|secret|token|api_?key|credential/i;
const type = (name) => name.split('/')[0];

/** What is wrong with a configuration, one line each. */
function faults(config) {
  const found = [];
  const fault = (line) => found.push(line);
  const pipelines = Object.entries(config.service.pipelines);
  const connectors = config.connectors ?? {};
  const used = { receivers: new Set(), processors: new Set(), exporters: new Set() };

  for (const kind of Object.keys(TYPES)) {
    for (const name of Object.keys(config[kind] ?? {})) {
      if (!TYPES[kind].includes(type(name))) fault(`${kind}: ${name} is of an unknown type`);
    }
  }
  for (const [name, pipeline] of pipelines) {
    if (!/^(traces|metrics|logs)(\/\w+)?$/.test(name)) fault(`${name} is not a signal`);
    for (const kind of Object.keys(used)) {
      for (const component of pipeline[kind] ?? []) {
        used[kind].add(component);
        const connected = kind !== 'processors' && component in connectors;
        if (!connected && !(component in (config[kind] ?? {}))) fault(`${name}: ${component} is not defined in ${kind}`);
      }
    }
    const types = pipeline.processors.map(type);
    if (types[0] !== 'memory_limiter') fault(`${name}: memory_limiter is not first`);
    if (types.at(-1) !== 'batch') fault(`${name}: batch is not last`);
    const redaction = types.indexOf('redaction');
    if (redaction < 0) fault(`${name}: nothing is redacted`);
    if (types.indexOf('resourcedetection') > redaction) fault(`${name}: attributes are added behind the redaction`);
    const sampling = types.indexOf('tail_sampling');
    if (sampling >= 0 && sampling < redaction) fault(`${name}: what is not redacted waits in memory for the sampling`);
  }
  for (const kind of Object.keys(used)) {
    for (const name of Object.keys(config[kind] ?? {})) {
      if (!used[kind].has(name)) fault(`${kind}: ${name} is used by nothing`);
    }
  }
  for (const name of Object.keys(connectors)) {
    if (!used.exporters.has(name)) fault(`connectors: nothing goes into ${name}`);
    if (!used.receivers.has(name)) fault(`connectors: nothing comes out of ${name}`);
  }
  for (const [name, pipeline] of pipelines) {
    if (pipeline.exporters.some((e) => type(e) === 'spanmetrics') && pipeline.processors.some((p) => type(p) === 'tail_sampling')) {
      fault(`${name}: metrics are made of sampled spans`);
    }
  }
  const extensions = config.service.extensions ?? [];
  for (const name of Object.keys(config.extensions ?? {})) if (!extensions.includes(name)) fault(`extensions: ${name} is not switched on`);
  for (const name of extensions) if (!(name in (config.extensions ?? {}))) fault(`extensions: ${name} is not defined`);
  if (!extensions.includes('health_check')) fault('extensions: nobody can ask whether it is alive');
  if (!config.service.telemetry?.metrics?.readers?.length) fault('the collector does not tell about itself');

  const walk = (value, at) => {
    if (typeof value === 'string') {
      for (const [, variable, fallback] of value.matchAll(/\$\{env:(\w+)(:-[^}]*)?\}/g)) {
        if (SECRET.test(variable) && fallback) fault(`${at}: ${variable} has a default`);
      }
      if (SECRET.test(at.split('.').at(-1)) && !/^\S*\s?\$\{env:\w+\}$/.test(value)) fault(`${at}: a secret that is not of the environment`);
      if (/\$\{(?!env:)/.test(value)) fault(`${at}: a reference that is not of the environment`);
    } else if (value && typeof value === 'object') {
      for (const [key, inner] of Object.entries(value)) walk(inner, `${at}.${key}`);
    }
  };
  for (const kind of Object.keys(TYPES)) walk(config[kind] ?? {}, kind);

  // What a later component looks at must have passed the redaction before it.
  for (const [name, pipeline] of pipelines) {
    const redaction = pipeline.processors.find((p) => type(p) === 'redaction');
    const allowed = config.processors?.[redaction]?.allowed_keys ?? [];
    const wanted = pipeline.processors.flatMap((p) => config.processors?.[p]?.policies ?? []).flatMap((policy) => {
      const key = policy.boolean_attribute?.key ?? policy.string_attribute?.key ?? policy.numeric_attribute?.key;
      return key ? [key] : [];
    });
    const dimensions = [...pipeline.exporters, ...pipeline.receivers].flatMap((c) => connectors[c]?.dimensions ?? []).map((d) => d.name);
    if (pipeline.receivers.some((c) => c in connectors)) wanted.push('span.name', 'span.kind', 'status.code', 'service.name');
    for (const key of [...wanted, ...dimensions]) if (!allowed.includes(key)) fault(`${name}: ${key} is needed and redacted`);
  }
  return found;
}

describe('otel-collector.yaml', () => {
  it('is well-formed', () => assert.deepEqual(faults(config()), []));

  for (const [what, breaking, wanted] of [
    ['a pipeline that refers to nothing', (c) => c.service.pipelines.logs.exporters.push('otlphttp/nowhere'), /logs: otlphttp\/nowhere is not defined/],
    ['a component that nothing uses', (c) => { c.exporters.debug = {}; }, /exporters: debug is used by nothing/],
    ['an unknown type', (c) => { c.processors.redacton = {}; c.service.pipelines.logs.processors.splice(1, 0, 'redacton'); }, /redacton is of an unknown type/],
    ['a pipeline of no signal', (c) => { c.service.pipelines.trace = c.service.pipelines.traces; }, /trace is not a signal/],
    ['a connector with no way in', (c) => { c.service.pipelines['traces/all'].exporters = ['otlphttp/traces']; }, /nothing goes into spanmetrics/],
    ['a connector with no way out', (c) => { c.service.pipelines.metrics.receivers = ['otlp']; }, /nothing comes out of spanmetrics/],
    ['the limiter not first', (c) => c.service.pipelines.traces.processors.reverse(), /traces: memory_limiter is not first/],
    ['the batches not last', (c) => c.service.pipelines.logs.processors.pop(), /logs: batch is not last/],
    ['no redaction', (c) => { c.service.pipelines.metrics.processors = ['memory_limiter', 'batch']; }, /metrics: nothing is redacted/],
    ['attributes added after the redaction', (c) => { c.service.pipelines.logs.processors = ['memory_limiter', 'redaction/logs', 'resourcedetection', 'batch']; }, /logs: attributes are added behind/],
    ['the sampling before the redaction', (c) => { c.service.pipelines.traces.processors = ['memory_limiter', 'resourcedetection', 'tail_sampling', 'redaction/traces', 'batch']; }, /waits in memory/],
    ['metrics of sampled spans', (c) => c.service.pipelines['traces/all'].processors.splice(3, 0, 'tail_sampling'), /metrics are made of sampled spans/],
    ['an extension that is off', (c) => c.service.extensions.pop(), /extensions: file_storage is not switched on/],
    ['an extension that is not there', (c) => c.service.extensions.push('zpages'), /extensions: zpages is not defined/],
    ['no health check', (c) => { c.service.extensions = ['file_storage']; }, /whether it is alive/],
    ['no telemetry of its own', (c) => { delete c.service.telemetry; }, /does not tell about itself/],
    ['a secret written down', (c) => { c.exporters['otlphttp/traces'].headers = { authorization: 'Bearer abc' }; }, /a secret that is not of the environment/],
    ['a secret with a default', (c) => { c.exporters['otlphttp/traces'].headers = { 'x-scope': '${env:TEMPO_TOKEN:-abc}' }; }, /TEMPO_TOKEN has a default/],
    ['a reference of another kind', (c) => { c.exporters['otlphttp/logs'].endpoint = '${file:/etc/x}'; }, /not of the environment/],
    ['a policy on what is redacted', (c) => { c.processors['redaction/traces'].allowed_keys = c.processors['redaction/traces'].allowed_keys.filter((k) => k !== 'signalbox.canary'); }, /traces: signalbox.canary is needed and redacted/],
    ['a dimension on what is redacted', (c) => { c.connectors.spanmetrics.dimensions.push({ name: 'signalbox.flow.code' }); }, /metrics: signalbox.flow.code is needed and redacted/],
    ['labels that are redacted', (c) => { c.processors['redaction/metrics'].allowed_keys = ['service.name']; }, /metrics: span.name is needed and redacted/],
  ]) {
    it(`shows ${what}`, () => {
      const broken = config();
      breaking(broken);
      assert.match(faults(broken).join('\n'), wanted);
    });
  }

  it('keeps what the specification says: errors, slow flows, the canary, 5 %', () => {
    const policies = config().processors.tail_sampling.policies;
    assert.deepEqual(policies.map((p) => [p.type, p[p.type]]), [
      ['status_code', { status_codes: ['ERROR'] }],
      ['latency', { threshold_ms: 250 }],
      ['boolean_attribute', { key: 'signalbox.canary', value: true }],
      ['probabilistic', { sampling_percentage: 5 }],
    ]);
  });
});

describe('the redaction', () => {
  const patterns = config().processors['redaction/traces'].blocked_values.map((pattern) => {
    const [, flags = '', source] = /^(?:\(\?([a-z]+)\))?([\s\S]*)$/.exec(pattern);
    return new RegExp(source, `g${flags}`);
  });
  const masked = (value) => patterns.reduce((left, pattern) => left.replace(pattern, '****'), value);

  it('is the same for every signal', () => {
    const { processors } = config();
    for (const name of ['redaction/logs', 'redaction/metrics']) {
      assert.deepEqual(processors[name].blocked_values, processors['redaction/traces'].blocked_values);
    }
  });

  for (const [what, value, secret] of [
    ['a token', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2lnbmF0dXJl', 'eyJ'],
    ['a cut token', 'the token eyJhbGciOiJIUzI1NiJ9.eyJzd was', 'eyJ'],
    ['a header', 'Authorization: Bearer 3f9a8b7c6d5e', '3f9a'],
    ['a database address', 'postgres://signalbox:hunter2@db:5432/x', 'hunter2'],
    ['SDP', 'v=0\r\no=- 46117317 2 IN IP4 192.168.1.7\r\ns=-', '192.168'],
    ['SDP inside JSON', '{"sdp":"v=0\\r\\no=- 46117317 2 IN IP4 192.168.1.7"}', '192.168'],
    ['a candidate', 'candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx\r\na=x', '203.0'],
    ['an e-mail address', 'user kim.minji+x@example.co.kr logged in', 'minji'],
  ]) it(`masks ${what}`, () => assert.ok(!masked(value).includes(secret), masked(value)));

  it('leaves alone what the server says', () => {
    for (const value of [
      '4bf92f3577b34da6a3ce929d0e0e4736', 'K7-QX4M', 'process ice-candidate', 'http://127.0.0.1:3000', 'scan flow completed', '0.1.0',
      'src/gateway/dispatch.rs:253:40: message withheld', 'connection to server was closed', 'IN=0', 'token_expired',
    ]) assert.equal(masked(value), value);
  });
});

describe('the allow-lists', () => {
  const { processors, receivers, connectors } = config();
  const moved = receivers.filelog.operators.flatMap((operator) => [operator.from, operator.field]).filter(Boolean).map((field) => field.replace('attributes.', ''));
  const traces = processors['redaction/traces'].allowed_keys;
  const logs = [...processors['redaction/logs'].allowed_keys, ...moved];
  const fields = declared(path.join(root, 'src'));
  // These become the span's own name and kind.
  const attributes = [...fields.spans].filter((name) => !['otel.name', 'otel.kind'].includes(name));

  it('let every attribute of the source through, and nothing that it does not have', () => {
    assert.ok(attributes.length >= 8 && fields.logs.size >= 30, 'the source was not understood');
    assert.deepEqual(attributes.filter((name) => !traces.includes(name)), [], 'spans');
    assert.deepEqual([...fields.logs].filter((name) => !logs.includes(name)), [], 'log lines');
    const resource = /^(service|telemetry\.sdk|host|deployment|redaction|collector)\./;
    assert.deepEqual(traces.filter((name) => !fields.spans.has(name) && !resource.test(name)), [], 'allowed for spans, and never sent');
    const line = ['ts', 'level', 'target', 'message', 'node', 'version'];
    assert.deepEqual(logs.filter((name) => !fields.logs.has(name) && !resource.test(name) && !line.includes(name)), [], 'allowed for lines, and never sent');
  });

  it("let a client's address through on lines of blocks only", () => {
    const { if: condition } = receivers.filelog.operators.find(({ type: kind, field }) => kind === 'remove' && field === 'attributes.client_address');
    const removed = new Function('attributes', 'nil', `return ${condition}`);
    assert.ok(logs.includes('client_address'));
    assert.equal(removed({ target: 'signalbox::blocks', client_address: '203.0.113.7' }), false);
    for (const target of ['signalbox::connection', 'signalbox::blocks::x', undefined]) assert.equal(removed({ target, client_address: '203.0.113.7' }), true, target);
    assert.equal(removed({ target: 'signalbox::connection' }), false, 'the operator would fail');
  });

  it('let through what a server really sends, and the buckets are its own', async () => {
    const bodies = [];
    const sink = http.createServer((request, response) => {
      const parts = [];
      request.on('data', (part) => parts.push(part)).on('end', () => {
        bodies.push(Buffer.concat(parts));
        response.end();
      });
    });
    await new Promise((resolve) => sink.listen(0, '127.0.0.1', resolve));
    const server = await startServer({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${sink.address().port}`, TRACE_SAMPLE_RATIO: '1', LOG_LEVEL: 'trace', FAULT_INJECTION: 'panic:heartbeat',
    });
    try {
      const monitor = await inSession(server.url, 'm', 'monitor', 's');
      const phone = await inSession(server.url, 'p', 'mobile', 's');
      await phone.emitWithAck('scanOrder', { sessionId: 's', orderNo: 'A', ts: 1 });
      await phone.emitWithAck('scanOrder', {});
      await phone.emitWithAck('heartbeat');
      [monitor, phone].forEach((socket) => socket.close());
      const seen = () => bodies.flatMap(spans);
      await until('the spans', () => ['process scanOrder', 'send navigate', 'process heartbeat', 'process disconnect'].every((name) => seen().some((s) => s.name === name)));
      const sent = [...new Set(seen().flatMap((span) => span.keys))];
      assert.ok(sent.includes('signalbox.outcome') && sent.includes('service.name'), `understood: ${sent}`);
      assert.deepEqual(sent.filter((key) => !traces.includes(key)), []);

      const lines = server.log().map((line) => JSON.parse(line));
      assert.ok(lines.length > 5);
      const ours = lines.filter((line) => line.target.startsWith('signalbox'));
      assert.deepEqual([...new Set(ours.flatMap(Object.keys))].filter((key) => !logs.includes(key)), []);
      assert.match(lines[0].ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/, 'the layout of the time');

      const metrics = Object.keys(await server.metrics());
      const bounds = metrics.map((name) => /^signalbox_scan_to_navigate_seconds_bucket\{.*le="([\d.]+)"/.exec(name)?.[1]).filter(Boolean).map(Number);
      const unit = { us: 1e-6, ms: 1e-3, s: 1 };
      const buckets = connectors.spanmetrics.histogram.explicit.buckets.map((text) => {
        const [, number, of] = /^(\d+)(us|ms|s)$/.exec(text);
        return Number((number * unit[of]).toPrecision(6));
      });
      assert.deepEqual(buckets, bounds.sort((a, b) => a - b));
    } finally {
      await server.stop();
      sink.close();
    }
  });
});
