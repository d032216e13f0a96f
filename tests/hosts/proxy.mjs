// The proxy before two small servers, and how it is stopped and started again on the same port.
import { spawn, spawnSync } from 'node:child_process';
import { openSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { here } from './hosts.mjs';

const PATIENCE = 20_000;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export const freePort = () => new Promise((done) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => done(port));
  });
});

export class Proxy {
  /** Files go to `folder`; `url` is the address that hosts are given. */
  constructor({ bin, folder, port, url, transport, calls, env }) {
    Object.assign(this, { bin, folder, port, env });
    const server = (name) => ({ command: process.execPath, args: [join(here, 'server.mjs'), name], env: { CALLS: calls } });
    const type = transport === 'sse' ? 'sse' : 'streamable-http';
    this.file = join(folder, 'proxy.json');
    writeFileSync(this.file, JSON.stringify({
      mcpProxy: { baseURL: url, addr: `127.0.0.1:${port}`, name: 'hosts', version: '1', type },
      mcpServers: { alpha: server('alpha'), beta: server('beta') }
    }, null, 1));
  }
  async start() {
    const log = openSync(join(this.folder, 'proxy.log'), 'a');
    const child = spawn(this.bin, ['--config', this.file, '--expand-env=false'], { detached: true, stdio: ['ignore', log, log], env: this.env });
    this.child = child;
    this.ended = new Promise((done) => { child.on('close', done); child.on('error', done); });
    for (const end = Date.now() + PATIENCE; Date.now() < end; await wait(50)) {
      if (child.exitCode !== null || child.pid === undefined) break;
      const health = await fetch(`http://127.0.0.1:${this.port}/_readyz`).catch(() => undefined);
      if (health?.ok) return;
    }
    throw new Error('the proxy does not get ready');
  }
  /** Ends it in order; what is left after the time limit is ended by the id of its group. */
  async stop() {
    if (!this.child?.pid) return;
    try { process.kill(this.child.pid, 'SIGTERM'); } catch { /* gone */ }
    await Promise.race([this.ended, wait(PATIENCE)]);
    try { process.kill(-this.child.pid, 'SIGKILL'); } catch { /* gone */ }
  }
  async restart() {
    await this.stop();
    await this.start();
  }
  /** What `client-config` prints for a client. */
  clientConfig(client) {
    const { status, stdout, stderr } = spawnSync(this.bin, ['client-config', '--config', this.file, '--for', client], { env: this.env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`client-config --for ${client}: ${stderr}`);
    return stdout;
  }
}
