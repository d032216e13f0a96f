// run.mjs BIN   puts the proxy between real clients and real servers and compares with the same without it
//
// Started by run.sh, which installs everything into $INTEROP_HOME. The configurations of plan.json run side by side, in
// two rounds. In each, for every client and every downstream transport (HTTP+SSE, Streamable HTTP) a fresh proxy is
// started, and the client holds its conversation with one endpoint after the other. What it saw must equal what the same
// client sees directly at the servers behind that endpoint. The official SDKs of npm and Python hold the whole
// conversation, the first of them through mcp-remote as well. The AI SDK (its old version drops events that are not
// named `message`), FastMCP and the inspector's command line hold the short one of short.mjs.
//
// plan.json, in which DIR is the folder that the filesystem server may touch:
//   proxies   configurations: `servers` by key, `endpoints` to visit (a key, or "merged"), `clients` that do (without it
//             npm and python), the `round` (without it 1; whole conversations come in 1, since they wait for some
//             things by the clock), `auto` the endpoint where the Python SDK may begin with 2026-07-28, `mcpProxy` more
//             members of that object
//   roots     what clients offer where this key is the first server
//   lost      capabilities (as paths) that the proxy need not carry, with the reason
//   except    [{pairing, step, reason}]: differences that are right, by a part of the line and of the text; one that is no
//             longer met is a failure
//   plans     by key of a server: `tools`, `prompts`, `complete`, `read` with the arguments to use; `skip` names not used,
//             with the reason; `few` the tools for the inspector; `progress` and `changed` what a tool sends beside its
//             answer; `first` and `talk` steps with their `answers` to questions, the `log` lines to wait for
//             (`everywhere`: from each server; `quiet`: that must not come), the `updated` resources, the text to call
//             again `until`; `burst` and `asks` many calls at once; `mask` what differs from run to run
//
//   ONLY   run only the pairings whose line contains this text
//   OUT    keep logs and transcripts here (default: a temporary folder, removed when all is well)
//   LINES  how many differences to print of each pairing (default 8)
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { differences, expected, summary } from './compare.mjs';

const [bin] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const home = process.env.INTEROP_HOME;
const out = process.env.OUT ?? mkdtempSync(join(realpathSync(tmpdir()), 'mcp-interop-'));
mkdirSync(out, { recursive: true });
const python = join(home, 'python/bin/python');
const script = (name) => join(home, 'node/node_modules/@modelcontextprotocol', name, 'dist/index.js');
const planText = readFileSync(join(here, 'plan.json'), 'utf8');
const { proxies, lost, except } = JSON.parse(planText);
// Node finds packages from where the importing file lies.
for (const name of ['client.mjs', 'short.mjs']) cpSync(join(here, name), join(home, 'node', name));
const ours = (name, ...args) => [process.execPath, join(home, 'node', name), ...args];
const sdk = { program: ours('client.mjs') };
const through = ({ kind, url }) => ({
  kind: 'stdio', command: process.execPath, env: { MCP_REMOTE_CONFIG_DIR: join(out, 'mcp-remote') },
  args: [join(home, 'node/node_modules/mcp-remote/dist/proxy.js'), url, '--transport', `${kind}-only`]
});
/** How each is started, and how it reaches an endpoint of the proxy where it cannot do so itself. */
const clients = {
  npm: sdk,
  python: { program: [python, join(here, 'client.py')] },
  'mcp-remote': { ...sdk, through },
  'ai-sdk-old': { program: ours('short.mjs', 'ai-sdk-mcp-old') },
  'ai-sdk': { program: ours('short.mjs', '@ai-sdk/mcp') },
  inspector: { program: ours('short.mjs', 'inspector') },
  fastmcp: { program: [python, join(here, 'fastmcp_client.py')] }
};
const downstreams = { sse: 'sse', http: 'mcp' };

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

/** Processes (where there is a /proc) that inherited the mark which a proxy is started with. */
function leftovers(mark) {
  if (!existsSync('/proc/self/environ')) return [];
  const read = (pid, file) => { try { return readFileSync(`/proc/${pid}/${file}`, 'utf8'); } catch { return ''; } };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && read(name, 'environ').split('\0').includes(mark));
  return pids.map((pid) => [Number(pid), read(pid, 'cmdline').replaceAll('\0', ' ')]).filter(([, command]) => command); // a zombie has none
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
  const [command, ...args] = clients[client].program;
  const child = start(name, command, [...args, JSON.stringify(target), JSON.stringify(plan)], { stdio: ['ignore', 'pipe', openSync(join(out, `${name}.log`), 'a')] });
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
function resetFiles(files) {
  rmSync(files, { recursive: true, force: true });
  mkdirSync(join(files, 'deep'), { recursive: true });
  const put = (name, content) => writeFileSync(join(files, name), content);
  put('hello.txt', 'Hello.\n');
  put('lines.txt', 'first line\nsecond line\nthird line\n');
  put('deep/ünïcode ☃.txt', 'snow "and" \\ backslash \u0001\n');
  put('large.txt', '0123456789abcdef\n'.repeat(12_000)); // answered twice over: 430 KB, more than a pipe holds
  put('pixel.png', Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64'));
}

/** Starts a server, where it is one to be started: how a client reaches it directly, and its entry in a configuration. */
async function startServer(kind, key, log, files) {
  const env = { INTEROP_MARK: `${key}: a b"c$d` };
  const stdio = (command, args, more = {}) => ({ direct: { kind: 'stdio', command, args, env: more }, config: { command, args, env: more } });
  if (kind === 'everything-stdio') return stdio(process.execPath, [script('server-everything'), 'stdio'], env);
  // It may do nothing in `files` itself unless the roots of the client say so.
  if (kind === 'filesystem') return stdio(process.execPath, [script('server-filesystem'), join(files, 'deep')]);
  if (kind === 'time') return stdio(python, ['-m', 'mcp_server_time', '--local-timezone', 'UTC']);
  const [mode, path, more] = { 'everything-sse': ['sse', '/sse', {}], 'everything-http': ['streamableHttp', '/mcp', { transportType: 'streamable-http' }] }[kind];
  const port = await freePort();
  start(log, process.execPath, [script('server-everything'), mode], { env: { ...process.env, ...env, PORT: String(port) } });
  const url = `http://127.0.0.1:${port}${path}`;
  await until(kind, () => fetch(`http://127.0.0.1:${port}/`).then((r) => r.body?.cancel().then(() => true) ?? true, () => false));
  // The npm SDK resumes a stream that ended with an error, and this server replays the events of all streams then.
  const direct = kind === 'everything-sse' ? { kind: 'sse', url } : { kind: 'http', url, resume: false };
  return { direct, config: { url, ...more } };
}

/** Starts the proxy in front of servers. `ready` resolves when it no longer says that one of them is not ready. */
async function startProxy(servers, log, mark, more) {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const config = {
    mcpProxy: { baseURL: base, addr: `127.0.0.1:${port}`, name: 'interop', version: '1', type: 'both', ...more },
    mcpServers: Object.fromEntries(Object.entries(servers).map(([key, { config }]) => [key, config]))
  };
  const file = join(out, `${log}.config.json`);
  writeFileSync(file, JSON.stringify(config, null, 1));
  const child = start(log, bin, ['--config', file, '--expand-env=false'], { env: { ...process.env, [mark.split('=')[0]]: mark.slice(mark.indexOf('=') + 1) } });
  let gone = false;
  child.ended.then(() => (gone = true));
  const body = JSON.stringify({
    jsonrpc: '2.0', id: 0, method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'wait', version: '1' } }
  });
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const one = (key) => until(`${key} behind the proxy`, async () => {
    if (gone) throw new Error(`the proxy ended with ${await child.ended}:\n${readFileSync(join(out, `${log}.log`), 'utf8').slice(-2000)}`);
    const answer = await fetch(`${base}/${key}/mcp`, { method: 'POST', headers, body, signal: AbortSignal.timeout(5000) }).catch(() => null);
    await answer?.body?.cancel();
    return answer?.ok === true;
  });
  return { child, base, ready: () => Promise.all(Object.keys(servers).map(one)) };
}

// ------------------------------------------------------------- pairings

const wanted = (line) => line.includes(process.env.ONLY ?? '');
const shown = Number(process.env.LINES ?? 8);
let failed = 0;
async function report(line, check) {
  if (!wanted(line)) return;
  const since = Date.now();
  try {
    const { found: all, summary } = await check();
    const found = all.filter((text) => !except.filter((it) => line.includes(it.pairing) && text.includes(it.step)).map((it) => (it.met = true)).length);
    const allowed = all.length > found.length ? `, ${all.length - found.length} excepted` : '';
    const lines = [...found.slice(0, shown).map((text) => `    - ${text}`), ...(found.length > shown ? [`    and ${found.length - shown} more`] : [])];
    console.log([`${found.length ? 'FAIL' : 'ok  '} ${line}: ${summary}${allowed}, ${((Date.now() - since) / 1000).toFixed(1)} s`, ...lines].join('\n'));
    failed += found.length ? 1 : 0;
  } catch (error) {
    failed++;
    console.log(`FAIL ${line}: ${error.message.replaceAll('\n', '\n    ')}`);
  }
}
function complain(text) {
  console.log(`FAIL ${text}`);
  failed++;
}

/** All pairings with one configuration. */
async function visit(name, { servers: kinds, endpoints, clients: visitors = ['npm', 'python'], auto, mcpProxy }) {
  const lineOf = (client, path) => `${client} ${path} > ${name}`;
  const pathOf = (endpoint, down) => (endpoint === 'merged' ? `/${downstreams[down]}` : `/${endpoint}/${downstreams[down]}`);
  const autoLine = (down) => `${lineOf('python', pathOf(auto, down))} (asking for 2026-07-28 first)`;
  const linesOf = (client, down) => [...endpoints.map((endpoint) => lineOf(client, pathOf(endpoint, down))), ...(auto && client === 'python' ? [autoLine(down)] : [])];
  const rounds = visitors.flatMap((client) => Object.keys(downstreams).map((down) => [client, down]));
  if (!rounds.some(([client, down]) => linesOf(client, down).some(wanted))) return;

  const files = join(out, `${name}-files`);
  const { plans, roots } = JSON.parse(planText.replaceAll('DIR', files));
  resetFiles(files);
  const servers = {};
  for (const [key, kind] of Object.entries(kinds)) {
    const plan = plans[key];
    servers[key] = { plan, ...(await startServer(kind, key, `server-${name}-${key}`, files)) };
  }
  const rootsOf = roots[Object.keys(kinds)[0]];
  const talk = (client, target, parts, log) => {
    resetFiles(files);
    return run(client, target, { roots: rootsOf, parts: parts.map(({ key, prefix }) => ({ key, prefix, ...servers[key].plan })) }, log);
  };
  const direct = {}; // transcripts without the proxy, made when first needed
  const want = async (client, keys, prefixed) => {
    const parts = [];
    for (const key of keys) {
      const transcript = (direct[`${client} ${key}`] ??= await talk(client, servers[key].direct, [{ key, prefix: '' }], `direct-${client}-${name}-${key}`));
      parts.push({ key, prefix: prefixed ? `${key}__` : '', transcript });
    }
    return parts;
  };
  for (const [client, down] of rounds) {
    if (!linesOf(client, down).some(wanted)) continue;
    const mark = `INTEROP_RUN=${out}/${client}-${down}-${name}`;
    const proxy = await startProxy(servers, `proxy-${client}-${down}-${name}`, mark, mcpProxy);
    for (const endpoint of endpoints) {
      const path = pathOf(endpoint, down);
      await report(lineOf(client, path), async () => {
        await proxy.ready();
        const merged = endpoint === 'merged';
        const parts = await want(client, merged ? Object.keys(servers) : [endpoint], merged);
        const target = { kind: down, url: proxy.base + path };
        const got = await talk(client, clients[client].through?.(target) ?? target, parts, `proxied-${client}-${down}-${name}-${endpoint}`);
        return { found: differences(expected(parts), got, plans, lost), summary: summary(got) };
      });
    }
    // The Python SDK asks for 2026-07-28 first unless told otherwise: it must find its way, whatever the answer is.
    if (client === 'python' && auto) {
      await report(autoLine(down), async () => {
        await proxy.ready();
        const target = { kind: down, url: proxy.base + pathOf(auto, down), mode: 'auto' };
        const { init, lists, parts, error } = await talk(client, target, [{ key: auto, prefix: '' }], `auto-${down}`);
        if (error) return { found: [`the client gave up: ${error}`], summary: 'no conversation' };
        const names = lists.tools.map((tool) => tool.name);
        const missing = Object.keys(servers[auto].plan.tools).filter((tool) => !names.includes(tool));
        const wrong = parts[auto].flatMap(({ answer }) => answer.wrong);
        const found = [...missing.map((tool) => `${tool} is not listed`), ...wrong.map((w) => `wrong answer ${JSON.stringify(w)}`)];
        return { found, summary: `${names.length} tools, settled on ${init.protocolVersion}` };
      });
    }
    const where = `${client} ${down} > ${name}`;
    if (!(await stop(proxy.child))) complain(`${where}: the proxy did not end within 8 s of SIGTERM`);
    for (let n = 0; n < 40 && leftovers(mark).length; n++) await new Promise((done) => setTimeout(done, 50));
    for (const [pid, command] of leftovers(mark)) {
      complain(`${where}: the proxy left a process behind: ${command}`);
      process.kill(pid, 'SIGKILL');
    }
  }
}

for (const turn of [1, 2]) {
  const now = Object.entries(proxies).filter(([, { round = 1 }]) => round === turn);
  await Promise.all(now.map(([name, proxy]) => visit(name, proxy).catch((error) => complain(`${name}: ${error.message}`))));
}
if (!process.env.ONLY) for (const it of except.filter((it) => !it.met)) complain(`plan.json excepts "${it.step}" of "${it.pairing}", which is no longer needed`);
await stopAll();
if (failed) console.log(`${failed} failed; logs and transcripts: ${out}`);
else if (!process.env.OUT) rmSync(out, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
