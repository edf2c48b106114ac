// What every page begins with: its configuration, its texts, who is signed in, and the banner about the connection.
import { accountTokens, type Account, type Link, type TokenSource } from '@signalbox/client';
import { languages, texts, type Language, type TextKey } from './text';

export interface Config {
  /** No account is needed: the server hands out tokens by itself. */
  development: boolean;
  /** Where an order opens; holds `{orderNo}`. */
  orderUrl: string | null;
  /** An https origin by which phones on the same network reach this server. */
  origin: string | null;
  /** /call needs no token. */
  guests: boolean;
  version: string;
}

/** What the server wrote into this page. */
export const config: Config = JSON.parse(document.querySelector<HTMLMetaElement>('meta[name=signalbox]')!.content);

/** The element with this id, which the page must have. */
export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`this page has no #${id}`);
  return found as T;
}

/** A new element; strings become text, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, properties: Partial<HTMLElementTagNameMap[K]> = {}, ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Asks whether somebody means what cannot be undone; `yes` is on the button that does it. */
export function sure(title: string, text: string, yes: string): Promise<boolean> {
  const dialog = make('dialog', { ariaLabel: title },
    make('form', { method: 'dialog', className: 'stack' },
      make('h2', { textContent: title }),
      make('p', { textContent: text }),
      make('div', { className: 'row' },
        make('button', { value: 'yes', className: 'danger', textContent: yes }),
        make('button', { value: 'no', textContent: say('cancel') }))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener('close', () => {
    dialog.remove();
    resolve(dialog.returnValue === 'yes');
  }));
}

/** Writes a text into an element; what stands between backticks becomes code. */
export function write(node: HTMLElement, text: string): void {
  node.replaceChildren(...text.split('`').map((part, i) => (i % 2 ? make('code', { textContent: part }) : part)));
}

/** A text as an address, relative to this site; null if it is none. */
export function address(text: string): URL | null {
  try {
    return new URL(text, location.origin);
  } catch {
    return null;
  }
}

// --- what this browser remembers

/** One value in localStorage, as JSON. Where storage is forbidden it lasts as long as the page. */
export function remembered<T>(key: string): { get(): T | null; set(value: T): void; forget(): void } {
  let kept: string | null = null;
  const storage = (act: (all: Storage) => void) => {
    try {
      act(localStorage);
    } catch { /* forbidden or full: `kept` has it */ }
  };
  return {
    get() {
      storage((all) => (kept = all.getItem(key)));
      try {
        return kept === null ? null : JSON.parse(kept);
      } catch {
        return null; // not ours
      }
    },
    set(value) {
      kept = JSON.stringify(value);
      storage((all) => all.setItem(key, kept!));
    },
    forget() {
      kept = null;
      storage((all) => all.removeItem(key));
    },
  };
}

// --- texts

const chosen = remembered<Language>('signalbox.language');

/** The language of this page: what the person chose, else the first of the browser's that there is. */
export const language: Language = [chosen.get(), ...navigator.languages.map((tag) => tag.slice(0, 2))]
  .find((tag): tag is Language => languages.includes(tag as Language)) ?? 'en';

/** A text in the language of the page; `{0}` stands for the first value. */
export function say(key: TextKey, ...values: (string | number)[]): string {
  return texts[language][key].replace(/\{(\d)\}/g, (_, index) => String(values[index] ?? ''));
}

/** Writes the page's texts: `data-say` is the content of an element, `data-say-label` its label. */
export function begin(): void {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll<HTMLElement>('[data-say]')) node.textContent = say(node.dataset.say as TextKey);
  for (const node of document.querySelectorAll<HTMLElement>('[data-say-label]')) {
    node.setAttribute('aria-label', say(node.dataset.sayLabel as TextKey));
  }
  const other = document.getElementById('language');
  other?.addEventListener('click', () => {
    chosen.set(language === 'en' ? 'ko' : 'en');
    location.reload();
  });
}

// --- who this is

/** The account of this browser; its tokens renew themselves. */
export const account: Account = accountTokens();

/** The sign-in page, which leads back to here. */
export const loginPage = () => `/login?next=${encodeURIComponent(location.pathname + location.search)}`;

interface Demo { name: string; token: string; expiresAt: number }
const demo = remembered<Demo>('signalbox.demo');

/** A token without an account. The name stays, so that a browser stays the same user. */
async function demoToken(why: Parameters<TokenSource>[0]): Promise<string | null> {
  const had = demo.get();
  if (had && why === 'connect' && had.expiresAt > Date.now() + 60_000) return had.token;
  const name = had?.name ?? Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const response = await fetch('/api/auth/demo', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  if (!response.ok) throw new Error(`no token: status ${response.status}`);
  const { token, expiresIn } = await response.json();
  demo.set({ name, token, expiresAt: Date.now() + expiresIn * 1000 });
  return token;
}

/** The page's token: in development made by the server, else the account's. Nobody signed in: the sign-in page, unless guests may stay. */
export function tokens({ guests = false } = {}): TokenSource {
  if (config.development) return demoToken;
  return async (why) => {
    const token = await account.token(why);
    if (token === null && !guests) location.replace(loginPage());
    return token;
  };
}

// --- the connection

/** Shows in #banner and #state how the connection is. Nothing to see while it is well. */
export function banner(link: Link): void {
  const [box, state] = [element('banner'), document.getElementById('state')];
  const show = () => {
    const trouble = link.state === 'lost' || link.state === 'refused';
    if (state) {
      state.textContent = say(`state_${link.state}`);
      state.dataset.state = link.state;
    }
    box.setAttribute('role', trouble ? 'alert' : 'status');
    box.dataset.state = link.state;
    if (link.state === 'connected' || link.state === 'closed') return box.replaceChildren();
    const text = make('span', { textContent: say(navigator.onLine ? `banner_${link.state}` : 'banner_offline') });
    const again = make('button', { type: 'button', textContent: say('bannerAgain'), onclick: () => link.reconnect() });
    box.replaceChildren(trouble ? '' : make('span', { className: 'spinner' }), text, trouble ? again : '');
  };
  link.subscribe(show);
  addEventListener('online', show);
  addEventListener('offline', show);
  show();
}
