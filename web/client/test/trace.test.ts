// Trace context: well formed, different each time, also without https.
import { expect, it, vi } from 'vitest';
import { newTraceparent } from '../src/index.js';

it('makes a sampled traceparent, and another one each time', () => {
  const some = Array.from({ length: 100 }, newTraceparent);
  for (const one of some) expect(one).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(new Set(some.map((one) => one.slice(3, 35))).size).toBe(100);
});

it('does without randomUUID, which pages without https do not have', () => {
  const { getRandomValues } = crypto;
  vi.stubGlobal('crypto', { getRandomValues: getRandomValues.bind(crypto) });
  expect(newTraceparent()).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});
