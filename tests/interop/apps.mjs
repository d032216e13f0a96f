// apps.mjs BIN   three example servers of MCP Apps behind the merged endpoint, as a host and its views see them
//
// Started by run.sh. Two of the servers are made from one template: both have a tool `get-time` with the page
// ui://get-time/mcp-app.html. Checked: each tool's page is that of its own server, byte for byte as its package holds it;
// a page is listed under the URI that its tool names; the view of the third, whose tools have names that nobody else has,
// calls one by its own name; a name of two servers is refused. At a server's own endpoint everything is as it says it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [bin] = process.argv.slice(2);
const packages = join(process.env.INTEROP_HOME, 'node/node_modules/@modelcontextprotocol');
const servers = { vanilla: 'server-basic-vanillajs', react: 'server-basic-react', monitor: 'server-system-monitor' };
const page = (server) => readFileSync(join(packages, servers[server], 'dist/mcp-app.html'), 'utf8');
const problems = [];
const check = (holds, words) => holds || problems.push(words);

const freePort = () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

/** A client of Streamable HTTP that declares what hosts of apps do. */
class Client {
  constructor(url) {
    Object.assign(this, { url, count: 0, headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' } });
  }

  async post(message) {
    const answer = await fetch(this.url, { method: 'POST', headers: this.headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
    const text = await answer.text();
    this.headers['mcp-session-id'] ??= answer.headers.get('mcp-session-id') ?? undefined;
    if (!answer.headers.get('content-type')?.includes('event-stream')) return text ? JSON.parse(text) : undefined;
    const data = text.split('\n').filter((line) => line.startsWith('data: {')).map((line) => JSON.parse(line.slice(6)));
    return data.find((one) => one.id === message.id && !one.method);
  }

  request(method, params = {}) {
    return this.post({ id: ++this.count, method, params });
  }

  async open() {
    const capabilities = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };
    const clientInfo = { name: 'interop', version: '1' };
    const { result } = await this.request('initialize', { protocolVersion: '2025-11-25', capabilities, clientInfo });
    await this.post({ method: 'notifications/initialized' });
    return result;
  }

  /** The text of a page, or the code of the error. */
  async read(uri) {
    const { result, error } = await this.request('resources/read', { uri });
    return result ? result.contents[0].text : error.code;
  }
}

const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const folder = mkdtempSync(join(tmpdir(), 'mcp-apps-'));
const config = join(folder, 'config.json');
const command = (name) => ({ command: process.execPath, args: [join(packages, name, 'dist/index.js'), '--stdio'] });
const mcpServers = Object.fromEntries(Object.entries(servers).map(([key, name]) => [key, command(name)]));
writeFileSync(config, JSON.stringify({ mcpProxy: { addr: `127.0.0.1:${port}`, baseURL: origin, name: 'p', version: '1', type: 'both' }, mcpServers }));
const proxy = spawn(bin, ['-config', config], { stdio: ['ignore', 'ignore', 'inherit'] });
try {
  // Every server was tried once.
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${origin}/health/ready`).then((answer) => answer.status === 200, () => false);
    if (ready) break;
    if (tries > 300) throw new Error('the servers do not come up');
    await sleep(200);
  }
  const host = new Client(`${origin}/mcp`);
  await host.open();
  const { tools } = (await host.request('tools/list')).result;
  const listed = (await host.request('resources/list')).result.resources.map((resource) => resource.uri);
  const seen = new Set();
  for (const tool of tools.filter((tool) => tool._meta?.ui?.resourceUri)) {
    const [server] = tool.name.split('__');
    const uri = tool._meta.ui.resourceUri;
    seen.add(server);
    check((await host.read(uri)) === page(server), `${tool.name}: ${uri} is the page of another`);
    check(tool._meta['ui/resourceUri'] === uri, `${tool.name}: the older key names another page`);
    check(listed.includes(uri), `${tool.name}: ${uri} is not listed`);
    const called = await host.request('tools/call', { name: tool.name, arguments: {} });
    check(called.result && !called.result.isError, `${tool.name}: ${JSON.stringify(called).slice(0, 200)}`);
    const own = new Client(`${origin}/${server}/mcp`);
    const greeting = await own.open();
    check(/Server/.test(greeting.serverInfo.name) === false && greeting.serverInfo.version === '1.0.0', `${server}: ${JSON.stringify(greeting.serverInfo)}`);
    const direct = (await own.request('tools/list')).result.tools.find((one) => `${server}__${one.name}` === tool.name);
    check((await own.read(direct._meta.ui.resourceUri)) === page(server), `${server}: its own endpoint has another page`);
  }
  check(seen.size === 3, `pages of ${[...seen]} only`);
  const polled = await host.request('tools/call', { name: 'poll-system-stats', arguments: {} });
  check(polled.result?.structuredContent?.memory, `a view cannot call its tool: ${JSON.stringify(polled).slice(0, 200)}`);
  const both = await host.request('tools/call', { name: 'get-time', arguments: {} });
  check(both.error?.code === -32602, `a name of two servers: ${JSON.stringify(both).slice(0, 200)}`);
  check((await host.read('ui://nobodys/page.html')) === -32002, 'a page of nobody is not unknown');
} catch (error) {
  problems.push(String(error?.stack ?? error));
} finally {
  proxy.kill('SIGTERM');
  await new Promise((done) => (proxy.exitCode === null ? proxy.on('exit', done) : done()));
  rmSync(folder, { recursive: true });
}
for (const problem of problems) console.log(`apps: ${problem}`);
console.log(problems.length ? `apps: ${problems.length} problems` : 'apps: three servers, each with its own page');
process.exit(problems.length ? 1 : 0);
