// Draws one-scan.svg from a real run: one scan, and the four places where it is seen.
//   cargo build && (cd tests/clients && npm ci) && node docs/images/one-scan.mjs
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inSession, once, startServer, until } from '../../tests/clients/server.mjs';

const collector = http.createServer((request, response) => request.resume().on('end', () => response.end()));
await new Promise((resolve) => collector.listen(0, '127.0.0.1', resolve));
const server = await startServer({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`, TRACE_SAMPLE_RATIO: '1', NODE_NAME: 'packing-hall',
});
const monitor = await inSession(server.url, 'monitor-7', 'monitor', 'packing-7');
const phone = await inSession(server.url, 'worker-3', 'mobile', 'packing-7');
const seen = once(monitor, 'navigate');
const ack = await phone.emitWithAck('scanOrder', { sessionId: 'packing-7', orderNo: 'A-1', ts: Date.now() });
const navigate = await seen;
let line;
await until('the log line', () => {
  line = server.log().map((l) => JSON.parse(l)).find((l) => l.trace_id === ack.traceId);
  return line;
});
const scrape = await (await fetch(`${server.url}/metrics`, { headers: { accept: 'application/openmetrics-text' } })).text();
const exemplar = scrape.split('\n').find((l) => l.includes(`trace_id="${ack.traceId}"`));
[monitor, phone].forEach((s) => s.close());
await server.stop();
collector.close();

const pick = (object, keys) => keys.map((key) => `${key}: ${JSON.stringify(object[key])}`).join(', ');
const panels = [
  ['The phone gets an acknowledgement', [`{ ${pick(ack, ['received', 'seq', 'monitors', 'flow'])},`, `  traceId: "${ack.traceId}" }`]],
  ['The monitor beside it navigates', [`navigate { ${pick(navigate, ['orderNo', 'from', 'seq'])},`, `  traceparent: "${navigate.traceparent}" }`]],
  ['logs/combined.*: one line', [
    `{ ${pick(line, ['level', 'message', 'outcome', 'duration_ms'])},`,
    `  ${pick(line, ['flow', 'role', 'transport', 'order'])},`,
    `  trace_id: "${line.trace_id}" }`]],
  ['/metrics: the bucket it fell into, and its trace', [exemplar.split(' # ')[0], `  # ${exemplar.split(' # ')[1]}`]],
];
const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const lit = (text) => escape(text).replaceAll(ack.traceId, `<tspan fill="#ffd166">${ack.traceId}</tspan>`).replaceAll(ack.flow, `<tspan fill="#ffd166">${ack.flow}</tspan>`);
const body = [];
let y = 20;
for (const [title, lines] of panels) {
  const height = 42 + lines.length * 22;
  body.push(`<rect x="20" y="${y}" width="920" height="${height}" rx="8" fill="#161b22" stroke="#30363d"/>`);
  body.push(`<text x="38" y="${y + 26}" fill="#8b949e" font-family="system-ui, sans-serif" font-size="14">${escape(title)}</text>`);
  lines.forEach((text, i) => body.push(`<text x="38" y="${y + 52 + i * 22}" fill="#e6edf3" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14.5" xml:space="preserve">${lit(text)}</text>`));
  y += height + 14;
}
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="960" height="${y + 6}" viewBox="0 0 960 ${y + 6}" role="img">
<title>One scan: the acknowledgement, navigate, the log line and the metric name the same trace</title>
<rect width="960" height="${y + 6}" rx="12" fill="#0d1117"/>
${body.join('\n')}
</svg>
`;
fs.writeFileSync(path.join(path.dirname(fileURLToPath(import.meta.url)), 'one-scan.svg'), svg);
