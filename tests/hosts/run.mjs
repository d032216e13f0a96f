// run.mjs BIN [HOST...]   drives each host before the proxy, and prints what it did; started by run.sh
//
//   TRANSPORTS   `http` (Streamable HTTP), `sse` (HTTP+SSE) or both (default)
//   OUT          keep files and logs here (default: a temporary folder, removed when all is as expected)
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { driverOf } from './drivers.mjs';
import { chosen, folderOf, here } from './hosts.mjs';
import { Model } from './model.mjs';
import { Proxy, freePort } from './proxy.mjs';
import { wordOf } from './server.mjs';
import { startTap } from './tap.mjs';

const [bin, ...keys] = process.argv.slice(2);
const out = process.env.OUT ?? mkdtempSync(join(realpathSync(tmpdir()), 'mcp-hosts-'));
const transports = (process.env.TRANSPORTS ?? 'http sse').split(' ').filter(Boolean);
const PATIENCE = 90_000; // for one host over one transport
/** Some hosts leave processes behind; where there is a namespace, each has one of its own that ends with it. */
const apart = process.env.ALONE ? ['unshare', '--pid', '--fork', '--kill-child'] : [];
const parsed = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)) : []);

/** Nothing of the user's own settings, no way to anybody's account, and no way out where there is no namespace. */
function environment(home) {
  return {
    PATH: process.env.PATH, HOME: home, TMPDIR: join(home, 'tmp'), LANG: 'C.UTF-8', TERM: 'dumb', NO_COLOR: '1', CI: '1', DO_NOT_TRACK: '1',
    XDG_CONFIG_HOME: join(home, '.config'), XDG_DATA_HOME: join(home, '.local/share'), XDG_CACHE_HOME: join(home, '.cache'), XDG_STATE_HOME: join(home, '.local/state'),
    HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9', NO_PROXY: '127.0.0.1,localhost', no_proxy: '127.0.0.1,localhost'
  };
}

const running = new Set();
const end = (pid) => { try { process.kill(-pid, 'SIGKILL'); } catch { /* gone */ } };
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    for (const { child, proxy } of running) {
      if (child) end(child.pid);
      await proxy?.stop();
    }
    process.exit(130);
  });
}

/** Runs a command as a process group of its own to its end, or to the time limit. What it said is in `said.log`. */
function play({ command, args, env, cwd }, folder, track) {
  return new Promise((done) => {
    const log = openSync(join(folder, 'said.log'), 'a');
    const [first, ...rest] = [...apart, command, ...args];
    const child = spawn(first, rest, { cwd, env, detached: true, stdio: ['ignore', log, log] });
    track.child = child;
    const timer = setTimeout(() => finish('its time was up'), PATIENCE);
    const finish = (how) => {
      clearTimeout(timer);
      if (child.pid) end(child.pid);
      done(how);
    };
    child.on('error', (error) => finish(error.message));
    child.on('exit', (code, signal) => finish(code === 0 ? 'ended' : `ended with ${code ?? signal}`));
  });
}

/** What one host does over one transport. */
async function drive(host, driver, transport) {
  const folder = join(out, `${host.key}-${transport}`);
  rmSync(folder, { recursive: true, force: true });
  const [home, work] = ['home', 'work'].map((name) => join(folder, name));
  for (const path of [join(home, 'tmp'), work]) mkdirSync(path, { recursive: true });
  const calls = join(folder, 'calls.jsonl');
  const port = await freePort();
  const tap = await startTap(port, join(folder, 'requests.jsonl'));
  const url = `http://127.0.0.1:${tap.port}`;
  const env = environment(home);
  const proxy = new Proxy({ bin, folder, port, url, transport, calls, env });
  const model = new Model(() => proxy.restart(), join(folder, 'model.jsonl'));
  const track = { proxy };
  running.add(track);
  const began = Date.now();
  try {
    await proxy.start();
    await model.listen();
    const stage = {
      host, transport, home, work, folder: folderOf(host), model: model.url, env,
      url: `${url}/${transport === 'sse' ? 'sse' : 'mcp'}`,
      config: (client) => proxy.clientConfig(client),
      write: (path, text) => {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, text);
        return path;
      }
    };
    const how = await play({ cwd: work, ...(await driver(stage)) }, folder, track);
    const said = readFileSync(join(folder, 'said.log'), 'utf8');
    // A host with a model has given it the words; one without has printed them.
    const sees = (seed) => (model.asked ? model.seen.has(seed) : said.includes(wordOf(seed)));
    const seeds = parsed(calls).map(({ given }) => given.seed);
    const first = tap.sent[0];
    const whole = (seed) => seeds.includes(seed) && sees(seed);
    return {
      first: first && [first.name, first.name === 'GET' ? undefined : first.version].filter(Boolean).join(' '),
      connected: tap.sent.some(({ name }) => name === 'notifications/initialized'),
      tools: tap.tools(),
      called: whole('before'),
      recovers: whole('after') ? 'yes' : whole('once more') ? 'next call' : 'no',
      seconds: Math.round((Date.now() - began) / 1000), how, said
    };
  } finally {
    if (track.child?.pid) end(track.child.pid);
    running.delete(track);
    model.server && model.close();
    await proxy.stop();
    tap.close();
  }
}

// ---------------------------------------------------------------- table
const expected = JSON.parse(readFileSync(join(here, 'expected.json'), 'utf8'));
/** What expected.json says of a host; what it leaves out is so for all. */
function wanted(key, transport) {
  return { connected: true, tools: 4, called: true, ...expected[key]?.[transport] };
}
const WIDTHS = [17, 9, 10, 30, 10, 6, 7, 10, 5];
const row = (...cells) => console.log(cells.map((cell, i) => String(cell).padEnd(WIDTHS[i] ?? 0)).join(' ').trimEnd());
row('host', 'version', 'transport', 'first message', 'connected', 'tools', 'called', 'recovers', 's', '');
let [passed, failed, skipped] = [0, 0, 0];
const remarks = [];
for (const host of chosen(keys)) {
  const refused = join(folderOf(host), 'failed.txt');
  const driver = driverOf(host);
  if (existsSync(refused) || !existsSync(join(folderOf(host), 'installed.json'))) {
    const reason = existsSync(refused) ? readFileSync(refused, 'utf8').split('\n')[0] : 'its installation did not end';
    row(host.key, host.version, '-', `not installed: ${reason}`);
    skipped++;
    continue;
  }
  for (const transport of transports) {
    const want = wanted(host.key, transport);
    if (want.without) {
      row(host.key, host.version, transport, `not run: ${want.without}`);
      continue;
    }
    const got = await drive(host, driver, transport).catch((error) => ({ how: error.message, said: error.stack }));
    const differs = ['first', 'connected', 'tools', 'called', 'recovers'].filter((what) => got[what] !== want[what]);
    const mark = differs.length ? `FAIL: ${differs.map((what) => `${what} should be ${want[what]}`).join(', ')}; ${got.how}` : '';
    const yes = (value) => (value ? 'yes' : 'no');
    row(host.key, host.version, transport, got.first ?? '-', yes(got.connected), got.tools ?? '-', yes(got.called), got.recovers ?? '-', got.seconds ?? '-', mark);
    if (differs.length) {
      failed++;
      const last = (got.said ?? '').trim().split('\n').slice(-5);
      remarks.push([`${host.key} ${transport}: ${got.how}`, ...last.map((line) => `    ${line.slice(0, 300)}`)].join('\n'));
    } else passed++;
    appendFileSync(join(out, 'table.jsonl'), `${JSON.stringify({ host: host.key, transport, ...got, said: undefined })}\n`);
  }
}
if (remarks.length) console.log(`\n${remarks.join('\n')}`);
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
if (failed) console.log(`logs: ${out}`);
else if (!process.env.OUT) rmSync(out, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
