// Where the server and Alertmanager send to: HTTP servers that keep what they are told.
import http from 'node:http';

/** `answer` gives the status; it may be changed while the server runs. */
async function listen(take, answer = () => 200) {
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part)).on('end', () => {
      const status = answer();
      if (status === 200) take(Buffer.concat(parts), request.url);
      response.writeHead(status).end(status === 200 ? undefined : 'away');
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `127.0.0.1:${server.address().port}`;
}

/** An OTLP store that can be broken. */
export async function otlp() {
  const bodies = [];
  const sink = { bodies, broken: false };
  sink.url = `http://${await listen((body) => bodies.push(body), () => (sink.broken ? 500 : 200))}`;
  /** Whether a trace was received, whole ids only. */
  sink.has = (traceId) => bodies.some((body) => body.includes(Buffer.from(traceId, 'hex')));
  return sink;
}

/** A Sentry that counts. */
export async function sentry() {
  const sink = { count: 0 };
  const address = await listen(() => { sink.count += 1; });
  sink.dsn = `http://key@${address}/1`;
  return sink;
}

/** The pager: every alert that Alertmanager told of, with the time at which it did. */
export async function pager() {
  const calls = [];
  const address = await listen((body, url) => {
    const { alerts } = JSON.parse(body);
    for (const alert of alerts) calls.push({ at: Date.now(), receiver: url.slice(1), ...alert });
  });
  return {
    url: `http://${address}`,
    heard: (name, status, since = 0) => calls.find((c) => c.labels.alertname === name && c.status === status && c.at >= since),
    resolved: () => [...new Set(calls.filter((c) => c.status === 'resolved').map((c) => c.labels.alertname))].sort(),
  };
}
