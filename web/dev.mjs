// Development: serves freshly built pages, and passes everything else on to a server that runs.
// node web/dev.mjs, with SIGNALBOX_URL (http://127.0.0.1:3000) and PORT (5173).
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { PAGES, bundle } from './build.mjs';

/** Serves the pages on `port` in front of the server at `target`. Answers the http.Server, listening. */
export async function serve({ target = 'http://127.0.0.1:3000', port = 0, host = '127.0.0.1' } = {}) {
  let files = await bundle({ minify: false });

  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://here');
    try {
      if (pathname in PAGES) files = await bundle({ minify: false });
      const file = files.get(pathname);
      if (!file || request.method !== 'GET') return pass(request, response, target);
      const { config, policy } = pathname in PAGES ? await ask(target + pathname) : {};
      response.writeHead(200, { 'content-type': file.type, 'cache-control': 'no-cache', ...(policy && { 'content-security-policy': policy }) });
      response.end(config ? file.body.toString().replace('__SIGNALBOX__', () => config) : file.body);
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(String(error.cause?.message ?? error.message));
    }
  });

  server.on('upgrade', (request, socket, head) => {
    const onward = http.request(target + request.url, { headers: request.headers, agent: false });
    onward.on('upgrade', (answer, other, first) => {
      const headers = answer.rawHeaders.reduce((text, part, i) => text + part + (i % 2 ? '\r\n' : ': '), '');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`);
      socket.write(first);
      other.write(head);
      socket.pipe(other).pipe(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
      other.on('error', () => socket.destroy());
      other.on('close', () => socket.destroy());
    });
    onward.on('response', (answer) => {
      socket.end(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n\r\n`);
      answer.resume();
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    onward.end();
  });

  await new Promise((resolve) => server.listen(port, host, resolve));
  return server;
}

function pass(request, response, target) {
  const onward = http.request(target + request.url, { method: request.method, headers: request.headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', (error) => {
    if (response.headersSent) return response.destroy();
    response.writeHead(502, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`No server at ${target}: ${error.message}`);
  });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

/** What the server that runs writes into this page, as it stands in the HTML, and what it lets the page do. */
async function ask(address) {
  const answer = await fetch(address);
  const config = (await answer.text()).match(/<meta name="signalbox" content="([^"]*)"/)?.[1];
  return { config, policy: answer.headers.get('content-security-policy') };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = process.env.SIGNALBOX_URL ?? 'http://127.0.0.1:3000';
  const server = await serve({ target, port: Number(process.env.PORT ?? 5173) });
  console.log(`http://localhost:${server.address().port} in front of ${target}`);
}
