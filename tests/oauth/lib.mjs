// What all parts share: checks, the proxy as a process, and where browsers come back.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Browser } from './browser.mjs';

export const bin = process.argv[2];
export const out = process.env.OUT ?? mkdtempSync(join(realpathSync(tmpdir()), 'mcp-oauth-'));
mkdirSync(out, { recursive: true });

// --------------------------------------------------------------- checks

const count = { passed: 0, failed: 0 };
class Stop extends Error {}

/** Runs checks that belong together; `work` gets what makes them. An error ends the group and counts as a failed check. */
export async function group(name, work) {
  if (!name.includes(process.env.ONLY ?? '')) return;
  const say = (ok, what, detail = '') => {
    count[ok ? 'passed' : 'failed']++;
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}: ${what}${ok ? '' : detail}`);
    return ok;
  };
  const show = (value) => (typeof value === 'string' ? value : JSON.stringify(value) ?? String(value)).slice(0, 600);
  const is = (what, seen, wanted) => say(isDeepStrictEqual(seen, wanted), what, `\n       expected ${show(wanted)}\n       seen     ${show(seen)}`);
  const ok = (what, holds, seen) => say(Boolean(holds), what, `\n       seen     ${show(seen)}`);
  /** As `is`, but what follows makes no sense without it. */
  const need = (what, seen, wanted) => { if (!is(what, seen, wanted)) throw new Stop(); };
  try {
    await work({ is, ok, need });
  } catch (error) {
    if (!(error instanceof Stop)) say(false, 'goes to its end', `\n       ${String(error?.stack ?? error).slice(0, 1500).replaceAll('\n', '\n       ')}`);
  }
}

export async function finish() {
  await stopAll();
  if (process.env.OUT === undefined && count.failed === 0) rmSync(out, { recursive: true, force: true });
  else if (count.failed) console.log(`configurations and logs: ${out}`);
  console.log(`${count.passed} passed, ${count.failed} failed`);
  process.exit(count.failed || !count.passed ? 1 : 0);
}

// ------------------------------------------------------------ processes

const started = new Set();
/** Starts a process group of its own; what `stdio` calls 'log', by default stdout and stderr, goes to the end of a file. */
export function start(log, command, args, stdio = ['ignore', 'log', 'log']) {
  const file = openSync(join(out, `${log}.log`), 'a');
  const child = spawn(command, args, { detached: true, stdio: stdio.map((where) => (where === 'log' ? file : where)) });
  closeSync(file);
  child.ended = new Promise((done) => child.on('close', (code, signal) => done(code ?? signal)));
  child.on('error', (error) => console.error(`${command}: ${error.message}`));
  started.add(child);
  child.ended.then(() => started.delete(child));
  return child;
}
/** Asks a group to end, and ends it after 8 s. */
export async function stop(child) {
  const signal = (name) => { try { process.kill(-child.pid, name); } catch { /* already gone */ } };
  if (!started.has(child)) return;
  try { child.kill('SIGTERM'); } catch { /* already gone */ }
  await within(8000, child.ended).catch(() => {});
  signal('SIGKILL');
  await child.ended;
}
const stopAll = () => Promise.all([...started].map(stop));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stopAll().then(() => process.exit(130)));

/** What a promise gives, if it does in time. */
export function within(ms, promise, what = 'an answer') {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${what} has not come within ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
/** Tries every 20 ms, for 30 s at most, until `probe` gives something. */
async function until(what, probe) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((done) => setTimeout(done, 20))) {
    const found = await probe();
    if (found) return found;
  }
  throw new Error(`${what} is not ready after 30 s`);
}

export const user = 'ann';
export const password = 'correct horse & "battery" <staple>';

/**
 * Starts the proxy with logins, in front of the servers `demo` and `other`, and `open` that needs no login. `oauth2` are
 * more options; `port` and `dir` are those of an earlier proxy that this one follows.
 */
export async function startProxy(name, { oauth2 = {}, port = 0, dir = mkdtempSync(join(out, `${name}-state-`)), proxy = {} } = {}) {
  const demo = (options) => ({ command: bin, args: ['demo-server'], ...(options && { options }) });
  const config = {
    mcpProxy: {
      addr: `127.0.0.1:${port}`, name: 'home', type: 'streamable-http', ...proxy,
      options: { oauth2: { enabled: true, users: { [user]: password, bob: 'bob' }, persistenceDir: dir, ...oauth2 } }
    },
    mcpServers: { demo: demo(), other: demo(), open: demo({ oauth2: { enabled: false } }) }
  };
  const file = join(out, `${name}.config.json`);
  writeFileSync(file, JSON.stringify(config, null, 1));
  const log = () => readFileSync(join(out, `${name}.log`), 'utf8');
  writeFileSync(join(out, `${name}.log`), '', { flag: 'a' });
  const before = log().length;
  const child = start(name, bin, ['-config', file, '-expand-env=false']);
  let gone;
  child.ended.then((code) => { gone = code ?? 'an error'; });
  const listening = await until('the proxy', () => {
    if (gone !== undefined) throw new Error(`the proxy ended with ${gone}:\n${log().slice(before).slice(-2000)}`);
    const text = log().slice(before);
    return text.includes('servers are ready') && /listening on 127\.0\.0\.1:(\d+)/.exec(text);
  });
  return { base: `http://127.0.0.1:${listening[1]}`, port: Number(listening[1]), dir, log, stop: () => stop(child) };
}

// ---------------------------------------------------- what clients are made of

export const secret = (bytes = 32) => randomBytes(bytes).toString('base64url');
export function pkce() {
  const verifier = secret();
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** Where an application on this machine waits for the browser to come back. */
export async function callback(host = '127.0.0.1', path = '/callback') {
  const waiting = [];
  const came = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    response.setHeader('connection', 'close').end('You can close this window.');
    if (url.pathname !== path) return;
    const next = waiting.shift();
    if (next) next(url); else came.push(url);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  server.unref();
  return {
    uri: `http://${host}:${server.address().port}${path}`,
    next: () => within(10_000, came.length ? Promise.resolve(came.shift()) : new Promise((done) => waiting.push(done)), 'the callback'),
    close: () => { server.close(); server.closeAllConnections(); }
  };
}
/** Signs in and lets the browser follow the link to the application that waits there. */
export async function signInAt(url, waiting) {
  const browser = new Browser();
  const { link } = await browser.signIn(url, { username: user, password });
  const [came] = await Promise.all([waiting.next(), browser.go(link)]);
  return came;
}
