// Waking up: what counts as news, with a clock by hand.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { onWake } from '../src/wake.js';
import { browser } from './helpers.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('wakes when the network, the page or the kind of network came back, not when the page is hidden', () => {
  const page = browser();
  const connection = new EventTarget();
  vi.stubGlobal('navigator', { connection });
  const wake = vi.fn();
  const end = onWake(wake);
  page.hide();
  expect(wake).not.toHaveBeenCalled();
  page.show();
  page.happens('online');
  page.happens('pageshow');
  connection.dispatchEvent(new Event('change'));
  expect(wake).toHaveBeenCalledTimes(4);
  end();
  page.show();
  page.happens('online');
  connection.dispatchEvent(new Event('change'));
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(60_000);
  expect(wake).toHaveBeenCalledTimes(4);
});

it('wakes when the clock jumped, and not while it runs; also without a window', () => {
  const wake = vi.fn();
  const end = onWake(wake);
  vi.advanceTimersByTime(600_000);
  expect(wake).not.toHaveBeenCalled();
  vi.setSystemTime(Date.now() + 60_000);
  vi.advanceTimersByTime(5_000);
  expect(wake).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(600_000);
  expect(wake).toHaveBeenCalledOnce();
  end();
});
