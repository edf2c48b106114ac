// The start page: what the server is doing, and the ways in.
import { begin, config, element, say, write } from './page';
import { qrCode } from './qr';
import { span } from './time';

const POLL_MS = 10_000;

interface Health { version: string; uptime: number; peers: number; sessions: { total: number } }

let timer: ReturnType<typeof setTimeout>;

async function poll(): Promise<void> {
  clearTimeout(timer);
  try {
    const response = await fetch('/health', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { version, uptime, peers, sessions }: Health = await response.json();
    for (const [id, value] of Object.entries({ version, sessions: sessions.total, peers, uptime: span(uptime) })) {
      element(id).textContent = String(value);
    }
    element('away').textContent = '';
    element('status').dataset.state = 'ok';
  } catch {
    element('away').textContent = say('homeAway');
    element('status').dataset.state = 'away';
  }
  if (!document.hidden) timer = setTimeout(poll, POLL_MS);
}

function hint(): void {
  element('hint').hidden = !config.development;
  write(element('hint-text'), say(config.origin ? 'homeHintOrigin' : 'homeHintHttps'));
  if (!config.origin) return;
  const qr = element('qr');
  qr.replaceChildren(qrCode(config.origin));
  qr.dataset.url = config.origin;
  qr.setAttribute('aria-label', say('homeHintQr', config.origin));
  qr.hidden = false;
  const link = element<HTMLAnchorElement>('origin');
  link.href = link.textContent = config.origin;
  link.hidden = false;
}

begin();
hint();
document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : poll()));
void poll();
