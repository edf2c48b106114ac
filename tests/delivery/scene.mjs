// Where a drill happens: one directory, which goes with the process, and with it whatever was started there.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A directory for everything of this process, also its temporary files. However the process ends, `end` is called first. */
export function scene(name, end) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), name));
  fs.chmodSync(dir, 0o755); // PostgreSQL, a user of its own, has its directory in it.
  process.env.TMPDIR = dir;
  process.on('exit', () => {
    end();
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
  return dir;
}
