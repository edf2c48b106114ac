// How the tests run: against the real server program, two files at a time.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{client/test,pages}/**/*.test.{ts,tsx}'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    unstubGlobals: true,
    restoreMocks: true,
  },
});
