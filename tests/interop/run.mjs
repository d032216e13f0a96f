// run.mjs BIN   puts the proxy between real clients and real servers and compares with the same without it
//
// Started by run.sh, which installs everything into $INTEROP_HOME. For each client (npm SDK, Python SDK) and each
// downstream transport (HTTP+SSE, Streamable HTTP) a fresh proxy is started in front of all servers, and each client
// program runs once per server. What it saw must equal what the same program sees directly at that server.
//
//   ONLY   run only the pairings whose line contains this text
//   OUT    keep logs and transcripts here (default: a temporary folder, removed when all is well)
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { counts, differences } from './compare.mjs';

const [bin] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const home = process.env.INTEROP_HOME;
const out = process.env.OUT ?? mkdtempSync(join(realpathSync(tmpdir()), 'mcp-interop-'));
mkdirSync(out, { recursive: true });
const files = join(out, 'files');
const python = join(home, 'python/bin/python');
const script = (name) => join(home, 'node/node_modules/@modelcontextprotocol', name, 'dist/index.js');
const plans = JSON.parse(readFileSync(join(here, 'plan.json'), 'utf8').replaceAll('DIR', files));
// Node finds packages from where the importing file lies.
cpSync(join(here, 'client.mjs'), join(home, 'node/client.mjs'));
const clients = { npm: [process.execPath, join(home, 'node/client.mjs')], python: [python, join(here, 'client.py')] };

// ------------------------------------------------------------ processes

const started = new Set();
let ending = false;
/** Starts a process group of its own; its output goes to `${out}/${log}.log`. */
function start(log, command, args, options = {}) {
  if (ending) throw new Error('ended by a signal');
  const file = openSync(join(out, `${log}.log`), 'a');
  const child = spawn(command, args, { detached: true, stdio: ['ignore', file, file], ...options });
  child.ended = new Promise((done) => child.on('close', (code, signal) => done(code ?? signal)));
  child.on('error', (error) => console.error(`${command}: ${error.message}`));
  started.add(child);
  child.ended.then(() => started.delete(child));
  return child;
}
/** Asks a group to end, and ends it after `patience` milliseconds. True when asking was enough. */
async function stop(child, patience = 8000) {
  const signal = (name) => { try { process.kill(-child.pid, name); } catch { /* already gone */ } };
  try { process.kill(child.pid, 'SIGTERM'); } catch { return true; }
  const timer = new Promise((done) => setTimeout(done, patience, 'late').unref());
  const late = (await Promise.race([child.ended, timer])) === 'late';
  signal('SIGKILL');
  return !late;
}
const stopAll = () => Promise.all([...started].map((child) => stop(child)));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { ending = true; stopAll().then(() => process.exit(130)); });

/** Processes (where there is a /proc) whose command line names our folder, as that of the filesystem server does. */
function leftovers() {
  if (!existsSync('/proc/self/cmdline')) return [];
  const commandOf = (pid) => { try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '); } catch { return ''; } };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.map((pid) => [Number(pid), commandOf(pid)]).filter(([, text]) => text.includes(files));
}

const freePort = () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)); });
});
/** Tries every 50 ms, for 30 s at most, until `probe` gives true. */
async function until(what, probe) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((done) => setTimeout(done, 50))) if (await probe()) return;
  throw new Error(`${what} is not ready after 30 s`);
}
/** Runs one client program to its end and gives its transcript. */
async function run(client, target, plan, name) {
  resetFiles();
  const [command, program] = clients[client];
  const child = start(name, command, [program, JSON.stringify(target), JSON.stringify(plan)], { stdio: ['ignore', 'pipe', openSync(join(out, `${name}.log`), 'a')] });
  const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 120_000);
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  const code = await child.ended;
  clearTimeout(timer);
  const text = Buffer.concat(chunks).toString();
  writeFileSync(join(out, `${name}.json`), text);
  if (code !== 0) throw new Error(`the client ended with ${code}:\n${readFileSync(join(out, `${name}.log`), 'utf8').trim().split('\n').slice(-12).join('\n')}`);
  return JSON.parse(text);
}

// -------------------------------------------------------------- servers

/** What the filesystem server serves: made anew for each client, since the tools change it. */
function resetFiles() {
  rmSync(files, { recursive: true, force: true });
  mkdirSync(join(files, 'deep'), { recursive: true });
  const put = (name, content) => writeFileSync(join(files, name), content);
  put('hello.txt', 'Hello.\n');
  put('lines.txt', 'first line\nsecond line\nthird line\n');
  put('deep/ünïcode ☃.txt', 'snow "and" \\ backslash \u0001\n');
  put('large.txt', '0123456789abcdef\n'.repeat(12_000)); // answered twice over: 430 KB, more than a pipe holds
  put('pixel.png', Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64'));
}

/** Server name → plan, how a client reaches it directly, and its entry in the proxy's configuration. */
async function startServers() {
  const env = { INTEROP_MARK: 'a b"c$d' };
  const stdio = (plan, command, args, more = {}) => ({ plan, direct: { kind: 'stdio', command, args, env: more }, config: { command, args, env: more } });
  const servers = {
    'everything-stdio': stdio('everything', process.execPath, [script('server-everything'), 'stdio'], env),
    filesystem: stdio('filesystem', process.execPath, [script('server-filesystem'), files]),
    time: stdio('time', python, ['-m', 'mcp_server_time', '--local-timezone', 'UTC'])
  };
  for (const [kind, mode, path, more] of [['sse', 'sse', '/sse', {}], ['http', 'streamableHttp', '/mcp', { transportType: 'streamable-http' }]]) {
    const port = await freePort();
    start(`everything-${kind}`, process.execPath, [script('server-everything'), mode], { env: { ...process.env, ...env, PORT: String(port) } });
    const url = `http://127.0.0.1:${port}${path}`;
    await until(`everything-${kind}`, () => fetch(`http://127.0.0.1:${port}/`).then((r) => r.body?.cancel().then(() => true) ?? true, () => false));
    servers[`everything-${kind}`] = { plan: 'everything', direct: { kind, url }, config: { url, ...more } };
  }
  return servers;
}

/** Starts the proxy in front of all servers. `ready(name)` resolves when it no longer says that this one is not ready. */
async function startProxy(servers, log) {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const config = {
    mcpProxy: { baseURL: base, addr: `127.0.0.1:${port}`, name: 'interop', version: '1', type: 'both' },
    mcpServers: Object.fromEntries(Object.entries(servers).map(([name, { config }]) => [name, config]))
  };
  const file = join(out, 'config.json');
  writeFileSync(file, JSON.stringify(config, null, 1));
  const child = start(log, bin, ['--config', file, '--expand-env=false']);
  let gone = false;
  child.ended.then(() => (gone = true));
  const body = JSON.stringify({
    jsonrpc: '2.0', id: 0, method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'wait', version: '1' } }
  });
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const ready = (name) => until(`${name} behind the proxy`, async () => {
    if (gone) throw new Error(`the proxy ended with ${await child.ended}:\n${readFileSync(join(out, `${log}.log`), 'utf8').slice(-2000)}`);
    const answer = await fetch(`${base}/${name}/mcp`, { method: 'POST', headers, body, signal: AbortSignal.timeout(5000) }).catch(() => null);
    await answer?.body?.cancel();
    return answer?.ok === true;
  });
  return { child, base, ready };
}

// ------------------------------------------------------------- pairings

const wanted = (line) => line.includes(process.env.ONLY ?? '');
let failed = 0;
async function report(line, check) {
  if (!wanted(line)) return;
  try {
    const { found, summary } = await check();
    console.log(`${found.length ? 'FAIL' : 'ok  '} ${line}: ${summary}`);
    for (const text of found.slice(0, 12)) console.log(`    - ${text}`);
    if (found.length > 12) console.log(`    and ${found.length - 12} more`);
    failed += found.length ? 1 : 0;
  } catch (error) {
    failed++;
    console.log(`FAIL ${line}: ${error.message.replaceAll('\n', '\n    ')}`);
  }
}

resetFiles();
const servers = await startServers();
const direct = {}; // transcripts without the proxy, made when first needed
for (const client of Object.keys(clients)) {
  for (const [kind, path] of [['sse', 'sse'], ['http', 'mcp']]) {
    const lines = Object.keys(servers).map((name) => [name, `${client} ${kind} > ${name}`]);
    const auto = `${client} ${kind} auto > everything-stdio`;
    if (![...lines.map(([, line]) => line), auto].some(wanted)) continue;
    const proxy = await startProxy(servers, `proxy-${client}-${kind}`);
    for (const [name, line] of lines) {
      await report(line, async () => {
        const { plan: of, direct: target } = servers[name];
        const plan = plans[of];
        await proxy.ready(name);
        const want = (direct[`${client} ${name}`] ??= await run(client, target, plan, `direct-${client}-${name}`));
        const got = await run(client, { kind, url: `${proxy.base}/${name}/${path}` }, plan, `proxied-${client}-${kind}-${name}`);
        const { tool, read, prompt, complete, progress } = counts(got);
        const summary = `${tool} calls, ${read} reads, ${prompt} prompts, ${complete} completions, ${progress} progress`;
        return { found: differences(want, got, plan.mask), summary };
      });
    }
    // The Python SDK asks for 2026-07-28 first unless told otherwise: it must find its way, whatever the answer is.
    if (client === 'python') {
      await report(auto, async () => {
        await proxy.ready('everything-stdio');
        const target = { kind, url: `${proxy.base}/everything-stdio/${path}`, mode: 'auto' };
        const { init, steps: [names, burst] } = await run(client, target, plans.everything, `auto-${kind}`);
        const missing = Object.keys(plans.everything.tools).filter((name) => !names.answer.includes(name));
        const found = [...missing.map((name) => `${name} is not listed`), ...burst.answer.wrong.map((w) => `wrong answer ${JSON.stringify(w)}`)];
        return { found, summary: `${names.answer.length} tools, settled on ${init.protocolVersion}` };
      });
    }
    if (!(await stop(proxy.child))) {
      console.log(`FAIL ${client} ${kind}: the proxy did not end within 8 s of SIGTERM`);
      failed++;
    }
    for (let n = 0; n < 40 && leftovers().length; n++) await new Promise((done) => setTimeout(done, 50));
    for (const [pid, text] of leftovers()) {
      console.log(`FAIL ${client} ${kind}: the proxy left a process behind: ${text}`);
      process.kill(pid, 'SIGKILL');
      failed++;
    }
  }
}
await stopAll();
if (failed) console.log(`${failed} failed; logs and transcripts: ${out}`);
else if (!process.env.OUT) rmSync(out, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
