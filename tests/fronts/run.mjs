// run.mjs BIN [FRONT...]   runs the recipes of templates/fronts; started by run.sh, which installs what is missing
//
//   LONG   also what takes minutes: a stream that is silent but for its keep-alive
//   ONLY   run only the groups of checks whose line contains this text
//   OUT    keep configurations and logs here (default: a temporary folder, removed when all is well)
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Browser } from '../oauth/browser.mjs';
import { bin, finish, group, out, password, pkce, start, startProxy, stop, user, within } from '../oauth/lib.mjs';
import { Session, ask, call, open } from './client.mjs';
import { found, fronts, freePort, makeCertificate, startFront, version } from './fronts.mjs';

const certificate = makeCertificate();
const redirect = 'http://127.0.0.1:1/callback';

// FT-605
/** The proxy with the options that templates/fronts/README.md names, a front before it, and what both are called outside. */
async function stage(name, bare = false) {
  const port = await freePort();
  const base = `https://localhost:${port}`;
  const oauth2 = { allowedRedirectURIs: ['claude', 'loopback'], allowedIPs: ['127.0.0.1', '127.0.0.2'], ...(!bare && { clientIPHeader: 'X-Forwarded-For' }) };
  const proxy = await startProxy(`proxy-${name}${bare ? '-bare' : ''}`, { oauth2, proxy: { type: 'both', baseURL: base } });
  const front = await startFront(name, { port, upstream: proxy.port, certificate, bare }).catch(async (error) => { await proxy.stop(); throw error; });
  return { base, proxy, log: proxy.log, stop: async () => { await front.stop(); await proxy.stop(); } };
}

/** Whether events that are 30 ms apart come one by one: one stall of this machine must not decide. */
async function cameOneByOne(session) {
  let best = 0;
  for (let tries = 0; tries < 3 && best < 15; tries++) {
    const { answer } = await session.call('countdown', { steps: 20, delayMs: 30 }, { progressToken: 'p' });
    const at = answer.events.map((event) => event.at);
    best = Math.max(best, at.filter((time, index) => index > 0 && time - at[index - 1] > 10).length);
  }
  return best;
}

async function transports({ base }, { is, ok, need }) {
  const session = new Session(`${base}/open/mcp`);
  const began = await session.begin();
  need('begins a session', [began.status, began.told, typeof began.greeting.result?.protocolVersion], [200, 202, 'string']);
  const list = await session.send('tools/list', {});
  const tools = await list.answer.event(() => true, 'the list').catch(() => undefined) ?? { data: await list.answer.rest() };
  ok('lists tools', JSON.parse(tools.data).result?.tools?.some((tool) => tool.name === 'echo'), tools.data);

  const slow = await session.call('countdown', { steps: 3, delayMs: 700 }, { progressToken: 'p' });
  const [first, , third] = slow.answer.events;
  is('gets progress and the result', slow.answer.events.length, 4);
  ok('gets progress while the call runs', third && third.at - first.at > 900, slow.answer.events.map((event) => event.at - first.at));
  const seen = await cameOneByOne(session);
  ok('gets events one by one, not in lumps', seen >= 15, `${seen} of 19 events came apart`);

  const since = performance.now();
  const stream = await open(session.url, { headers: { ...session.headers, accept: 'text/event-stream' } });
  is('opens the stream of the session', stream.status, 200);
  ok('whose head comes at once', performance.now() - since < 5_000, `${performance.now() - since} ms`);
  if (process.env.LONG) {
    await new Promise((done) => setTimeout(done, 130_000));
    ok('which lives on keep-alive alone for 130 s', stream.comments >= 8, `${stream.comments} comments`);
  }
  stream.close();

  const large = 'x'.repeat(3_000_000);
  const echo = await session.call('echo', { text: large });
  ok('takes 3 MB and gives them back', echo.message.result?.content?.[0]?.text === large, JSON.stringify(echo.message).slice(0, 300));
  const largest = await ask(session.url, { headers: session.headers, json: call(8, 'ping', { _meta: { padding: 'x'.repeat(16_700_000) } }) });
  ok('takes the largest message that the proxy takes', largest.status === 200 && /"result":\{\}/.test(largest.text), `${largest.status} ${largest.text.slice(0, 300)}`);
  const cancelled = await ask(session.url, { method: 'DELETE', headers: session.headers });
  const after = await ask(session.url, { headers: session.headers, json: call(9, 'ping', {}) });
  is('ends the session with DELETE', [cancelled.status, after.status], [204, 404]);
  const preflight = await ask(session.url, { method: 'OPTIONS', headers: { origin: base, 'access-control-request-method': 'POST', 'access-control-request-headers': 'mcp-protocol-version' } });
  is('passes the preflight of a browser', [preflight.status, preflight.headers['access-control-allow-origin']], [204, base]);
}

async function events({ base }, { ok, need }) {
  const stream = await open(`${base}/open/sse`, { headers: { accept: 'text/event-stream' } });
  need('opens HTTP+SSE', stream.status, 200);
  const { data } = await stream.event(({ event }) => event === 'endpoint', 'the endpoint event', 5_000);
  const url = new URL(data, base).href;
  const send = async (json) => ask(url, { json });
  await send(call(0, 'initialize', { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'fronts', version: '1' } }));
  await stream.event(({ data }) => data.includes('"id":0'), 'the greeting');
  await send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  const posted = await send(call(1, 'tools/call', { name: 'countdown', arguments: { steps: 3, delayMs: 500 }, _meta: { progressToken: 'p' } }));
  need('takes a message', posted.status, 202);
  await stream.event(({ data }) => data.includes('"id":1'), 'the result');
  const told = stream.events.filter(({ data }) => data.includes('notifications/progress'));
  ok('gets progress while the call runs', told.length === 3 && told[2].at - told[0].at > 600, told.map((event) => event.at - told[0].at));
  stream.close();
}

async function login({ base, log }, { is, ok, need }) {
  const metadata = (await ask(`${base}/.well-known/oauth-authorization-server`)).json;
  need('finds the metadata', metadata?.issuer, base);
  const client = { client_name: 'fronts', redirect_uris: [redirect], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] };
  // The proxy admits 127.0.0.1 and 127.0.0.2 alone: so it is seen whose word it takes.
  const register = (from, headers) => ask(metadata.registration_endpoint, { from, headers, json: client });
  const lies = ['x-forwarded-for', 'x-real-ip', 'cf-connecting-ip', 'true-client-ip', 'x-cluster-client-ip', 'forwarded'];
  const lie = (ip) => Object.fromEntries(lies.map((name) => [name, name === 'forwarded' ? `for=${ip}` : ip]));
  const registered = await register('127.0.0.2', lie('203.0.113.9'));
  need('registers from an address that may', registered.status, 201);
  is('nobody gets in from another by saying so', [(await register('127.0.0.3', {})).status, (await register('127.0.0.3', lie('127.0.0.2'))).status], [403, 403]);
  ok('the log names the address of the client', /ip=127\.0\.0\.3\b/.test(log()), log().slice(-800));

  const { verifier, challenge } = pkce();
  const resource = `${base}/demo/mcp`;
  const url = new URL(metadata.authorization_endpoint);
  const query = { response_type: 'code', client_id: registered.json.client_id, redirect_uri: redirect, state: 's', code_challenge: challenge, code_challenge_method: 'S256', resource };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const { link } = await new Browser().signIn(url.href, { username: user, password });
  const form = (fields) => ({ method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams(fields).toString() });
  const token = await ask(metadata.token_endpoint, form({ grant_type: 'authorization_code', code: new URL(link).searchParams.get('code'), redirect_uri: redirect, client_id: registered.json.client_id, code_verifier: verifier, resource }));
  need('gets a token', [token.status, token.json?.token_type], [200, 'Bearer']);
  const session = new Session(resource, token.json.access_token);
  need('begins a session with it', (await session.begin()).status, 200);
  is('calls a tool', (await session.call('echo', { text: 'hello' })).message.result?.content?.[0]?.text, 'hello');
  const refreshed = await ask(metadata.token_endpoint, form({ grant_type: 'refresh_token', refresh_token: token.json.refresh_token, client_id: registered.json.client_id }));
  is('refreshes', refreshed.status, 200);
  ok('no Host was changed', !log().includes('other_host'), log().slice(-800));
}

/** What `oauth doctor` says: `{code, failures, warnings}`. */
async function examine(name, url, ...flags) {
  const log = `doctor-${name}`;
  const child = start(log, bin, ['oauth', 'doctor', '--insecure', ...flags, url]);
  const code = await within(90_000, child.ended, 'the verdict').finally(() => stop(child));
  const text = readFileSync(join(out, `${log}.log`), 'utf8');
  const lines = (mark) => text.split(/\n(?=\S)/).filter((line) => line.startsWith(`${mark} `)).map((line) => line.slice(mark.length + 1).replace(/\s+/g, ' '));
  return { code, text, warnings: lines('warn'), failures: lines('FAIL') };
}

await group('README', async ({ is }) => {
  const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);
  const [, shown] = /```nginx\n(.*?)```/s.exec(read('templates/oauth/README.md')) ?? [undefined, ''];
  const recipe = lines(read('templates/fronts/nginx.conf'));
  is('shows lines of the recipe for nginx alone', [lines(shown).length > 4, lines(shown).filter((line) => !recipe.includes(line))], [true, []]);
});

// FT-602, FT-603
/** What the doctor says of each front as people set it up by themselves, and in which line it sees the cure. */
const wrong = {
  nginx: { warnings: [/Host header arrives as.*proxy_set_header Host \$http_host/, /no header with an address.*X-Forwarded-For \$remote_addr/, /1\.1 MiB is refused with 413.*client_max_body_size 17m/] },
  haproxy: { warnings: [/no header with an address.*HAProxy: `http-request set-header X-Forwarded-For %\[src\]`/] },
  apache: { warnings: [/Host header arrives as.*ProxyPreserveHost On/, /%2F is refused.*nocanon/] },
  caddy: {},
  lighttpd: { failures: [/arrive as a whole when they end.*server\.stream-response-body = 1/] },
  envoy: { failures: [/an answer that takes 20 s is cut.*timeout: 0s/], flags: ['--long'], silent: true }
};

async function bare(name, { is, ok }) {
  const { warnings = [], failures = [], flags = [], silent = warnings.some((line) => line.source.startsWith('no header')) } = wrong[name];
  const staged = await stage(name, true);
  try {
    const report = await examine(`${name}-bare`, `${staged.base}/demo/mcp`, ...flags);
    is('is judged', [report.code, report.failures.length, seen(report.warnings).length], [failures.length ? 1 : 0, failures.length, warnings.length]);
    for (const line of warnings) ok(`is warned about: ${line.source}`, report.warnings.some((text) => line.test(text)), report.text);
    for (const line of failures) ok(`fails: ${line.source}`, report.failures.some((text) => line.test(text)), report.text);
    is('the log tells once that no address arrives', staged.log().split('event=no_client_address').length - 1, silent ? 1 : 0);
  } finally {
    await staged.stop();
  }
}
/** Without the one about a port other than 443, which these have. */
const seen = (warnings) => warnings.filter((line) => !line.includes('443'));

const wanted = process.argv.slice(3);
for (const name of wanted.length ? wanted : Object.keys(fronts).filter((name) => found(fronts[name].program))) {
  console.log(`${name}: ${version(fronts[name])}`);
  let staged;
  await group(`${name}: start`, async ({ ok }) => { staged = await stage(name); ok('runs its recipe', true); });
  if (!staged) continue;
  await group(`${name}: Streamable HTTP`, (checks) => transports(staged, checks));
  await group(`${name}: HTTP+SSE`, (checks) => events(staged, checks));
  await group(`${name}: login`, (checks) => login(staged, checks));
  await group(`${name}: doctor`, async ({ is, ok }) => {
    const report = await examine(name, `${staged.base}/demo/mcp`);
    is('finds nothing wrong', [report.code, report.failures, seen(report.warnings)], [0, [], []]);
    for (const line of ['event streams arrive while they are sent', 'a request of 1.1 MiB gets through']) ok(`has seen that ${line}`, report.text.includes(line), report.text);
  });
  await staged.stop();
  await group(`${name}: by itself`, (checks) => bare(name, checks));
}
await finish();
