// run.mjs BIN all|ci   asks each server of the fleet alone, then all of them behind one proxy, and compares
//
// Started by run.sh. Compared are the four lists, the instructions and one harmless call:
//   - single: at the server's own endpoint, each item byte for byte and in the same order;
//   - merged: at the endpoint of all servers, by what `mended` of compare.mjs expects; the call by the published name.
//
//   ONLY   run only the servers whose key contains this text; explanations that are not needed are no failure then
//   OUT    keep logs here (default: a temporary folder, removed when all is well)
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { http, stdio } from './client.mjs';
import { compareMerged, compareSingle, explain } from './compare.mjs';
import { items, member } from './json.mjs';
import { chosen, commandOf } from './servers.mjs';

const [bin, fleet] = process.argv.slice(2);
const only = process.env.ONLY ?? '';
const out = process.env.OUT ?? mkdtempSync(join(realpathSync(tmpdir()), 'mcp-fleet-'));
const dir = join(out, 'dir');
mkdirSync(out, { recursive: true });
const LISTS = { tools: 'tools/list', prompts: 'prompts/list', resources: 'resources/list', resourceTemplates: 'resources/templates/list' };
const PAGES = 50;

/** What the servers may touch, made anew before each round, since some write. */
function resetFolder() {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(join(dir, 'home'), { recursive: true });
  writeFileSync(join(dir, 'hello.txt'), 'Hello, "ünïcode" ☃.\n');
}
// Nothing of the user's own settings, and no way out where there is no namespace.
const base = {
  PATH: process.env.PATH, LANG: 'C.UTF-8', TZ: 'UTC', HOME: join(dir, 'home'), NO_COLOR: '1', CI: '1', DO_NOT_TRACK: '1',
  HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9', NO_PROXY: '127.0.0.1,localhost'
};
const servers = chosen(fleet).filter(({ key }) => key.includes(only)).map((server) => {
  const { command, args } = commandOf(server, fleet, process.env.FLEET_HOME);
  const put = (text) => text.replaceAll('DIR', dir);
  const env = { ...base, ...Object.fromEntries(Object.entries(server.env ?? {}).map(([k, v]) => [k, put(v)])) };
  return { ...server, start: { command, args: args.map(put), env, cwd: dir }, call: callOf(JSON.parse(put(JSON.stringify(server)))) };
});
function callOf({ tool, prompt, read, arguments: given = {} }) {
  if (tool) return { method: 'tools/call', params: { name: tool, arguments: given } };
  if (prompt) return { method: 'prompts/get', params: { name: prompt, arguments: given } };
  return { method: 'resources/read', params: { uri: read } };
}

/** All pages of all lists that the greeting offers, as texts of items. */
async function listsOf(client, { result: { capabilities } }) {
  const lists = {};
  for (const [name, method] of Object.entries(LISTS)) {
    lists[name] = [];
    if (!capabilities[name === 'resourceTemplates' ? 'resources' : name]) continue;
    for (let cursor, page = 0; page === 0 || cursor; page++) {
      if (page === PAGES) throw new Error(`${method} does not end`);
      const text = await client.ask(method, cursor ? { cursor } : {});
      const result = member(text, 'result');
      // A server may offer resources and know no templates.
      if (!result) {
        lists[name] = [`{"error":${member(text, 'error')}}`];
        break;
      }
      const list = member(result, name);
      if (!list) throw new Error(`${method} has no ${name}`);
      lists[name].push(...items(list));
      cursor = JSON.parse(result).nextCursor;
    }
  }
  return lists;
}
/** The text of the result, or of the error, of a call. */
async function answerOf(client, { method, params }) {
  const text = await client.ask(method, params);
  return member(text, 'result') ?? `{"error":${member(text, 'error')}}`;
}
async function converse(client, call) {
  const began = Date.now();
  const greeting = await client.hello();
  if (!greeting.result) throw new Error(`the greeting is refused: ${JSON.stringify(greeting.error)}`);
  const ready = Date.now() - began;
  const lists = await listsOf(client, greeting);
  return { ready, greeting: greeting.result, lists, answer: call && (await answerOf(client, call)) };
}

/** Does `work` for each server, `width` at a time; a failure is noted by `failed`. */
async function forEach(width, work, failed) {
  const queue = [...servers];
  const worker = async () => {
    for (let server; (server = queue.shift());) await work(server).catch((error) => failed(server, error));
  };
  await Promise.all(Array.from({ length: width }, worker));
}

const differences = [];
const note = (id, ...lines) => differences.push({ id, lines });
const clients = new Set();
let proxy;
async function endAll() {
  await Promise.all([...clients].map((client) => client.close()));
  if (!proxy) return true;
  const late = new Promise((done) => setTimeout(done, 20_000, 'late').unref());
  try { process.kill(proxy.pid, 'SIGTERM'); } catch { /* gone */ }
  const inTime = (await Promise.race([proxy.ended, late])) !== 'late';
  try { process.kill(-proxy.pid, 'SIGKILL'); } catch { /* gone */ }
  return inTime;
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => endAll().then(() => process.exit(130)));

const began = Date.now();
// ---------------------------------------------------------------- alone
resetFolder();
await forEach(2, async (server) => {
  const client = stdio(server.start, join(out, `${server.key}.log`));
  clients.add(client);
  try {
    server.direct = await converse(client, server.call);
  } finally {
    clients.delete(client);
    await client.close();
  }
}, ({ key }, error) => note(`${key} direct`, error.message));
const directTook = Date.now() - began;

// ----------------------------------------------------- behind the proxy
resetFolder();
const port = await new Promise((done) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => done(port));
  });
});
const address = `http://127.0.0.1:${port}`;
const config = {
  mcpProxy: { baseURL: address, addr: `127.0.0.1:${port}`, name: 'fleet', version: '1', type: 'streamable-http' },
  mcpServers: Object.fromEntries(servers.map(({ key, start }) => [key, start]))
};
writeFileSync(join(out, 'config.json'), JSON.stringify(config, null, 1));
const log = openSync(join(out, 'proxy.log'), 'a');
proxy = spawn(bin, ['--config', join(out, 'config.json'), '--expand-env=false'], { detached: true, stdio: ['ignore', log, log], env: base });
let gone = false;
proxy.ended = new Promise((done) => proxy.on('close', done)).then(() => (gone = true));
proxy.on('error', (error) => console.error(error.message));

/** Greets until the server is up: its first start may take longer than a greeting waits. */
async function whenUp(url, call) {
  for (const end = Date.now() + 120_000; ;) {
    try {
      const client = http(url);
      const seen = await converse(client, call);
      await client.close();
      return seen;
    } catch (error) {
      if (gone) throw new Error('the proxy has ended');
      if (Date.now() > end || !/^50[23]|fetch failed/.test(error.message)) throw error;
      await new Promise((done) => setTimeout(done, 250));
    }
  }
}
await forEach(4, async (server) => {
  server.single = await whenUp(`${address}/${server.key}/mcp`, server.call);
  if (server.direct) compareSingle(server, note);
}, ({ key }, error) => note(`${key} single`, error.message));
const merged = http(`${address}/mcp`);
const greeting = await merged.hello();
const lists = await listsOf(merged, greeting);
await compareMerged(servers, lists, (call) => answerOf(merged, call), note);
await merged.close();
if (!(await endAll())) note('proxy end', 'it did not end within 20 s of SIGTERM');

// ---------------------------------------------------------------- table
const explanations = readFileSync(join(dirname(fileURLToPath(import.meta.url)), 'differences.txt'), 'utf8');
const { unexplained, unneeded, explained } = explain(explanations, differences, new Set(servers.map(({ key }) => key)));
const mark = (key, where) => {
  const own = (list) => list.filter(({ id }) => id.startsWith(`${key} ${where}`)).length;
  return own(unexplained) ? `FAIL ${own(unexplained)}` : own(explained) ? `ok (${own(explained)})` : 'ok';
};
const row = (...cells) => cells.map((cell, i) => (i === 0 ? String(cell).padEnd(24) : String(cell).padStart(10))).join(' ');
console.log(row('server', 'world', 'tools', 'prompts', 'resources', 'templates', 'ready ms', 'direct', 'single', 'merged'));
const sums = [0, 0, 0, 0];
for (const { key, npm, direct } of servers) {
  const counts = Object.keys(LISTS).map((name) => (direct?.lists[name] ?? []).filter((text) => !text.startsWith('{"error":')).length);
  counts.forEach((n, i) => (sums[i] += n));
  console.log(row(key, npm ? 'npm' : 'pypi', ...counts, direct?.ready ?? '-', direct ? 'ok' : 'FAIL', mark(key, 'single'), mark(key, 'merged')));
}
console.log(row(`${servers.length} servers`, '', ...sums, '', '', '', ''));
for (const { id, lines } of unexplained) console.log(`\nnot explained: ${id}\n${lines.map((line) => `    ${line}`).join('\n')}`);
if (!only) for (const line of unneeded) console.log(`\nno longer needed in differences.txt: ${line}`);
const bad = new Set(unexplained.map(({ id }) => id.split(' ')[0])).size;
const stale = only ? 0 : unneeded.length;
console.log(`\n${explained.length} differences explained; ${(directTook / 1000).toFixed(0)} s alone, ${((Date.now() - began - directTook) / 1000).toFixed(0)} s behind the proxy`);
console.log(`${servers.length - bad} passed, ${bad + stale} failed`);
if (bad || stale) console.log(`logs: ${out}`);
else if (!process.env.OUT) rmSync(out, { recursive: true, force: true });
process.exit(bad || stale ? 1 : 0);
