// Signing in and registering; leads back to where the person came from.
import { SignalboxError } from '@signalbox/client';
import { account, address, begin, config, element, say } from './page';
import type { TextKey } from './text';

/** Where to go afterwards: an address of this site, whatever the link said. */
function next(): string {
  const given = new URLSearchParams(location.search).get('next') ?? '/';
  const url = address(given);
  return url?.origin === location.origin ? url.href : '/';
}

let registering = false;

function draw(): void {
  const [title, send] = registering ? ['registerTitle', 'registerSend'] as const : ['loginTitle', 'loginSend'] as const;
  element('title').textContent = document.title = say(title);
  element('send').textContent = say(send);
  element('switch-text').textContent = say(registering ? 'registerSwitch' : 'loginSwitch');
  element('switch').textContent = say(registering ? 'loginTitle' : 'registerTitle');
  element('name-label').hidden = !registering;
  element<HTMLInputElement>('username').required = registering;
  const password = element<HTMLInputElement>('password');
  password.autocomplete = registering ? 'new-password' : 'current-password';
  password.minLength = registering ? 8 : 0;
  element('development').hidden = !config.development;
  element('known').hidden = !account.user;
  element('form').hidden = account.user !== null;
  element('who').textContent = account.user ? say('loginAs', account.user.username) : '';
  for (const id of ['without', 'on']) element<HTMLAnchorElement>(id).href = next();
}

function complain(text: string): void {
  element('trouble').textContent = text;
  element('trouble').hidden = text === '';
}

const value = (id: string) => element<HTMLInputElement>(id).value;

element('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const send = element<HTMLButtonElement>('send');
  complain('');
  send.disabled = true;
  try {
    if (registering) await account.register(value('username').trim(), value('email').trim(), value('password'));
    else await account.login(value('email').trim(), value('password'));
    location.replace(next());
  } catch (error) {
    const { code, message } = error as SignalboxError;
    const known = ['AUTH_ERROR', 'CONFLICT', 'RATE_LIMIT', 'OFFLINE', 'UNAVAILABLE'].includes(code);
    complain(known ? say(`login_${code}` as TextKey) : message);
  } finally {
    send.disabled = false;
  }
});
element('switch').addEventListener('click', () => {
  registering = !registering;
  complain('');
  draw();
  element(registering ? 'username' : 'email').focus();
});
element('out').addEventListener('click', async () => {
  await account.logout();
  draw();
});

begin();
draw();
