// The proxy under test, and what an MCP client does beside the browser: register, ask, redeem.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const LOOPBACK = 'http://127.0.0.1/cb';
export const CLAUDE = 'https://claude.ai/api/mcp/auth_callback';
export const CURSOR = 'cursor://anysphere.cursor-mcp/oauth/callback';
export const PASSWORD = 'open sesame 12';
/** What a site says that cannot be reached from here. */
export const ARRIVED = { contentType: 'text/html', body: '<!DOCTYPE html><title>Back</title><link rel=icon href=data:,>' };
/** A name that would be markup, were it not escaped. */
export const MARKUP_USER = '<img src=x onerror=pwned=1>';
/** What a state has to survive. */
const ODD = ' +%=&#;é"\'<\\/🙂';

/** Waits until `look` gives something, and fails with `what` after `limit` milliseconds. */
export async function until(what, look, limit = 20_000) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Starts the proxy; its files and its log are in `folder`. It has no `baseURL`: the issuer is the host that was asked. */
export async function startProxy(bin, folder) {
  const templates = join(folder, 'templates/oauth');
  mkdirSync(templates, { recursive: true });
  const oauth2 = {
    enabled: true,
    users: { ann: PASSWORD, bob: PASSWORD, [MARKUP_USER]: PASSWORD },
    persistenceDir: join(folder, 'data'),
    templateDir: join(folder, 'templates'),
    allowedRedirectURIs: ['claude', 'loopback', 'cursor'],
    // All come from one address here; the tries of one user are limited as ever.
    loginRateLimit: { addressPerMinute: 100_000, globalPerMinute: 100_000 },
  };
  const config = {
    mcpProxy: { addr: '127.0.0.1:0', name: 'Browser Proxy', version: '1', type: 'streamable-http', options: { oauth2 } },
    mcpServers: { demo: { command: bin, args: ['demo-server'] } },
  };
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(config, null, 1));

  const logFile = join(folder, 'proxy.log');
  const sink = openSync(logFile, 'w');
  const child = spawn(bin, ['-config', file], { stdio: ['ignore', sink, sink], env: { ...process.env, HOME: folder } });
  closeSync(sink);
  let ended = null;
  const end = new Promise((done) => child.on('close', (code, signal) => done((ended = code ?? signal))));
  child.on('error', (error) => { ended = error.message; });
  process.on('exit', () => child.kill('SIGKILL'));
  const log = () => readFileSync(logFile, 'utf8');
  const port = await until('the proxy listens', () => {
    if (ended !== null) throw new Error(`the proxy ended (${ended}):\n${log()}`);
    return /listening on 127\.0\.0\.1:(\d+)/.exec(log())?.[1];
  }, 30_000);

  return {
    bin, port, log, templates,
    base: `http://127.0.0.1:${port}`,
    /** Asks it to end. True when asking was enough. */
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 8000);
      await end;
      clearTimeout(timer);
      return ended === 0;
    },
  };
}

const post = (url, body, headers) => fetch(url, { method: 'POST', redirect: 'manual', body, headers });

/** Registers a public client and gives its id. */
export async function register(base, redirects = [LOOPBACK], name = 'Test Client') {
  const metadata = { client_name: name, redirect_uris: redirects, token_endpoint_auth_method: 'none' };
  const answer = await post(`${base}/oauth/register`, JSON.stringify(metadata), { 'content-type': 'application/json' });
  const body = await answer.text();
  if (answer.status !== 201) throw new Error(`registration of ${redirects}: ${answer.status} ${body}`);
  return JSON.parse(body).client_id;
}

let count = 0;
/**
 * What a client sends to the authorization endpoint. `change` has more parameters, or undefined for one to leave out.
 * @returns {{url: string, state: string, redirect: string, client: string, verifier: string, issuer: string}}
 */
export function ask(base, client, redirect, change = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const state = `${++count}${ODD}`;
  const parameters = {
    response_type: 'code', client_id: client, redirect_uri: redirect, state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    resource: `${base}/demo/mcp`, ...change,
  };
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return {
    url: `${base}/oauth/authorize?${new URLSearchParams(given)}`,
    state: parameters.state, redirect, client, verifier, issuer: base,
  };
}

/** The code of an answer to `asked`, when all that has to be there is there. */
export function codeOf(asked, answer) {
  const url = new URL(answer);
  const expected = new URL(asked.redirect);
  const place = (it) => `${it.protocol}//${it.host}${it.pathname}`;
  const got = Object.fromEntries(url.searchParams);
  const seen = JSON.stringify({ ...got, code: got.code?.length, at: place(url) });
  const wanted = JSON.stringify({ code: 'mcpx_ac_'.length + 43, state: asked.state, iss: asked.issuer, at: place(expected) });
  if (seen !== wanted || !got.code.startsWith('mcpx_ac_')) throw new Error(`the answer is ${seen}, not ${wanted}`);
  return got.code;
}

const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** Redeems a code. */
export async function redeem(asked, code) {
  const body = new URLSearchParams({
    grant_type: 'authorization_code', code, client_id: asked.client, code_verifier: asked.verifier,
    redirect_uri: asked.redirect,
  });
  const answer = await post(`${asked.issuer}/oauth/token`, body, form);
  return { status: answer.status, ...(await answer.json()) };
}

/** Redeems a code and uses the token once. */
export async function connect(asked, code) {
  const got = await redeem(asked, code);
  if (got.status !== 200) throw new Error(`the code is not redeemed: ${JSON.stringify(got)}`);
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'browser', version: '1' } };
  const answer = await post(`${asked.issuer}/demo/mcp`,
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    {
      'content-type': 'application/json', accept: 'application/json, text/event-stream',
      authorization: `Bearer ${got.access_token}`,
    });
  const text = await answer.text();
  if (answer.status !== 200 || !text.includes('"serverInfo"')) throw new Error(`the token is refused: ${answer.status} ${text}`);
}
