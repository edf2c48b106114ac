// A PostgreSQL in a directory of its own, that can be ended as by a crash and started again.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { until } from '../clients/server.mjs';

/** The newest PostgreSQL of this machine; it does not run as root. `dir` is to be open to everybody. */
export async function postgres(dir, port) {
  const installed = fs.readdirSync('/usr/lib/postgresql').sort((a, b) => a - b).at(-1);
  const own = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
  const command = (name, ...args) => [...own, `/usr/lib/postgresql/${installed}/bin/${name}`, ...args];
  const home = path.join(dir, 'postgres');
  fs.mkdirSync(home);
  if (own.length) spawnSync('chown', ['postgres', home]);
  const [init, ...how] = command('initdb', '-A', 'trust', '-U', 'signalbox', '-E', 'UTF8', '--no-sync', '-D', home);
  const made = spawnSync(init, how, { cwd: dir, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);

  let child;
  let exited;
  /** Does not keep this process from its clients, unlike a synchronous call. */
  const answers = () => new Promise((resolve) => {
    const [ask, ...what] = command('pg_isready', '-q', '-U', 'signalbox', '-d', 'postgres', '-h', '127.0.0.1', '-p', String(port));
    spawn(ask, what, { cwd: dir, stdio: 'ignore' }).on('exit', (code) => resolve(code === 0));
  });
  const server = {
    url: `postgres://signalbox@127.0.0.1:${port}/postgres`,
    async start() {
      const log = fs.openSync(path.join(dir, 'postgres.log'), 'a');
      const [run, ...options] = command('postgres', '-D', home, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-k', home);
      child = spawn(run, options, { cwd: dir, stdio: ['ignore', log, log] });
      fs.closeSync(log);
      exited = new Promise((resolve) => child.on('exit', resolve));
      await until('PostgreSQL', () => {
        if (child.exitCode !== null) throw new Error(`PostgreSQL ended with ${child.exitCode}`);
        return answers();
      });
    },
    /** As by a crash: the signal of `pg_ctl stop -m immediate`, without waiting for it. */
    kill: () => child?.kill('SIGQUIT'),
    async stop() {
      server.kill();
      await exited;
    },
  };
  await server.start();
  return server;
}
