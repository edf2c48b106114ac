// Which tab sends: with locks by hand, and pages that are shown and hidden.
import { expect, it, vi } from 'vitest';
import { lead } from '../src/leader.js';
import { locks, settled } from './helpers.js';

/** A page of its own, in a browser with these locks. */
function page(visible: boolean) {
  const document = Object.assign(new EventTarget(), { visibilityState: visible ? 'visible' : 'hidden' });
  const leads: boolean[] = [];
  vi.stubGlobal('document', document);
  const end = lead('outbox', (now) => leads.push(now));
  const look = async (state: string) => {
    document.visibilityState = state;
    document.dispatchEvent(new Event('visibilitychange'));
    await settled();
  };
  return { end, leads: () => leads.at(-1) ?? false, hide: () => look('hidden'), show: () => look('visible') };
}

it('is every tab where there are no locks', () => {
  vi.stubGlobal('navigator', {});
  expect(page(false).leads()).toBe(true);
  vi.stubGlobal('navigator', undefined);
  expect(page(true).leads()).toBe(true);
});

it('is one tab: the one that was looked at last, and when that is gone another one', async () => {
  vi.stubGlobal('navigator', { locks: locks() });
  const tabs = [page(true), page(false), page(false)];
  const leading = async () => {
    await settled();
    return tabs.map((tab) => tab.leads());
  };
  expect(await leading()).toEqual([true, false, false]);
  await tabs[0]!.hide();
  expect(await leading(), 'it goes on where nobody else is looked at').toEqual([true, false, false]);
  await tabs[2]!.show();
  expect(await leading(), 'it is taken from a hidden tab, which may be suspended').toEqual([false, false, true]);
  await tabs[0]!.show();
  await tabs[0]!.hide();
  await tabs[0]!.show();
  expect(await leading()).toEqual([true, false, false]);
  tabs[0]!.end();
  expect((await leading()).slice(1).filter(Boolean).length).toBe(1);
  tabs[1]!.end();
  expect((await leading())[2]).toBe(true);
  tabs[2]!.end();
  // One that ends as soon as it begins.
  page(true).end();
  const next = page(false);
  await settled();
  expect(next.leads(), 'nobody holds it any more').toBe(true);
});
