// Stand-ins for the clients that people have, one function each: the requests that such a client sends, and what it needs
// to see. Beside the good way each has the answers that strand the real one when they are different.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, Browser, formOf, links, seenText } from './browser.mjs';
import { callback, group, password, pkce, secret, signInAt, startProxy, user } from './lib.mjs';

const person = { username: user, password };
const presets = ['claude', 'loopback', 'cursor', 'vscode', 'chatgpt', 'inspector'];
const claude = 'https://claude.ai/api/mcp/auth_callback';
const json = 'application/json';
const noStore = (answer) => /\bno-store\b/.test(answer.headers.get('cache-control') ?? '');
const error = (answer) => [answer.status, answer.json?.error];
const query = (url) => Object.fromEntries(new URL(url).searchParams);
const challengeOf = (answer) => Object.fromEntries([...(answer.headers.get('www-authenticate') ?? '').matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
const csp = (page, name) => page.headers.get('content-security-policy')?.split(';').map((it) => it.trim().split(/\s+/)).find(([first]) => first === name)?.slice(1) ?? [];
const isString = (value) => typeof value === 'string' && value !== '';
/** Strict schemas refuse a document with `null` in it. */
const nulls = (value) => (value === null ? 1 : typeof value === 'object' ? Object.values(value).reduce((sum, it) => sum + nulls(it), 0) : 0);

/** A client of one endpoint of a proxy: what its requests have in common. */
class StandIn {
  constructor(checks, proxy, { path = '/demo/mcp', headers = {}, revision = '2025-11-25' } = {}) {
    Object.assign(this, { checks, base: proxy.base, url: proxy.base + path, path, headers, revision });
  }

  ask(url, request = {}) {
    return ask(new URL(url, this.base).href, { ...request, headers: { ...this.headers, ...request.headers } });
  }

  initialize(token, headers = {}) {
    return this.ask(this.url, {
      headers: { accept: 'application/json, text/event-stream', 'mcp-protocol-version': this.revision, ...(token && { authorization: `Bearer ${token}` }), ...headers },
      json: { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: this.revision, capabilities: {}, clientInfo: { name: 'stand-in', version: '1' } } }
    });
  }

  /** The way from a 401 to the metadata, as of 2025-06-18 and later. */
  async discover() {
    const { is, ok, need } = this.checks;
    const { base, path } = this;
    const refused = await this.initialize();
    need('is refused without a token', [refused.status, refused.json?.error], [401, 'unauthorized']);
    const challenge = challengeOf(refused);
    need('is told an absolute address of the metadata', challenge.resource_metadata, `${base}/.well-known/oauth-protected-resource${path}`);
    is('and the scope, but of no error', [challenge.scope, challenge.error], ['mcp', undefined]);
    const resource = await this.ask(challenge.resource_metadata, { headers: { 'mcp-protocol-version': this.revision, accept: json } });
    is('reads that it is about the address which the user typed', [resource.status, resource.json?.resource, resource.json?.authorization_servers], [200, this.url, [base]]);
    is('reads no offline_access there', resource.json?.scopes_supported, ['mcp']);
    return this.metadata(resource.json);
  }

  async metadata(resource) {
    const { is, need } = this.checks;
    const answer = await this.ask('/.well-known/oauth-authorization-server', { headers: { 'mcp-protocol-version': this.revision, accept: json } });
    need('reads the metadata of the authorization server', [answer.status, answer.json?.issuer], [200, this.base]);
    is('in which nothing is null', nulls([answer.json, resource ?? {}]), 0);
    is('with PKCE by S256 alone', answer.json.code_challenge_methods_supported, ['S256']);
    this.meta = answer.json;
    return this;
  }

  register(body, headers = {}) {
    return this.ask(this.meta?.registration_endpoint ?? '/register', { json: { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], ...body }, headers: { accept: json, ...headers } });
  }

  /** The address that the browser is sent to; `more` may take parameters away with undefined. */
  authorizeUrl(client, redirect, more = {}) {
    this.pkce = pkce();
    const url = new URL(this.meta?.authorization_endpoint ?? '/authorize', this.base);
    const all = { response_type: 'code', client_id: client, redirect_uri: redirect, state: secret(12), code_challenge: this.pkce.challenge, code_challenge_method: 'S256', ...more };
    this.sent = all;
    for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.append(name, value);
    return url.href;
  }

  token(form, headers = {}) {
    return this.ask(this.meta?.token_endpoint ?? '/token', { form, headers: { accept: json, ...headers } });
  }

  exchange(code, client, redirect, more = {}, headers = {}) {
    return this.token({ grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: this.pkce.verifier, ...(client && { client_id: client }), ...more }, headers);
  }

  refresh(token, client, more = {}, headers = {}) {
    return this.token({ grant_type: 'refresh_token', refresh_token: token, ...(client && { client_id: client }), ...more }, headers);
  }

  /** The whole login with one redirect target, and the use of the token. Gives the answer of the token endpoint. */
  async login(what, client, redirect, { authorize = {}, exchange = {}, headers = {} } = {}) {
    const { is, ok, need } = this.checks;
    const { page, link } = await new Browser().signIn(this.authorizeUrl(client, redirect, authorize), person);
    const came = query(link);
    is(`${what}: comes back with state and iss`, [came.state, came.iss, came.error], [this.sent.state, this.base, undefined]);
    this.code = came.code;
    const answer = await this.exchange(came.code, headers.authorization ? undefined : client, redirect, exchange, headers);
    need(`${what}: gets a token`, [answer.status, answer.json?.token_type, answer.json?.expires_in], [200, 'Bearer', 3600]);
    ok(`${what}: which is complete and not stored on the way`, isString(answer.json.access_token) && isString(answer.json.refresh_token) && isString(answer.json.scope) && !nulls(answer.json) && noStore(answer), answer.json);
    this.tokens = answer.json;
    const served = await this.initialize(answer.json.access_token);
    is(`${what}: is served with it`, [served.status, isString(served.headers.get('mcp-session-id'))], [200, true]);
    this.page = page;
    return answer.json;
  }

  /** What makes a client sign in or register again, and what leaves it without a way out when it is another code. */
  async dead(client, { form = {}, headers = {} } = {}) {
    const { is } = this.checks;
    const id = headers.authorization ? undefined : client;
    is('a refresh token that nobody knows is a dead grant', error(await this.refresh(`mcpx_rt_${secret()}`, id, form, headers)), [400, 'invalid_grant']);
    is('and so is something that never was one', error(await this.refresh('eyJhbGciOiJub25lIn0.e30.', id, form, headers)), [400, 'invalid_grant']);
    is('a code that is used already is one', error(await this.exchange(this.code, id, this.sent.redirect_uri, form, headers)), [400, 'invalid_grant']);
    const ended = await this.initialize(this.tokens.access_token);
    is('and ends the tokens that came of it', [ended.status, challengeOf(ended).error], [401, 'invalid_token']);
    is('their refresh token is dead then', error(await this.refresh(this.tokens.refresh_token, id, form, headers)), [400, 'invalid_grant']);
    is('a client that nobody knows has to register again', error(await this.refresh(this.tokens.refresh_token, `mcpx_${secret(16)}`)), [401, 'invalid_client']);
  }

  /** One refresh: new tokens, and the old access token still good for what is on its way. */
  async renew(client, more = {}, headers = {}) {
    const { is, ok } = this.checks;
    const old = this.tokens;
    const answer = await this.refresh(old.refresh_token, client, more, headers);
    is('refreshes', [answer.status, answer.json?.token_type, answer.json?.scope, noStore(answer)], [200, 'Bearer', old.scope, true]);
    ok('gets two new tokens', isString(answer.json?.access_token) && answer.json.access_token !== old.access_token && answer.json.refresh_token !== old.refresh_token, answer.json);
    is('both access tokens serve', [(await this.initialize(answer.json?.access_token)).status, (await this.initialize(old.access_token)).status], [200, 200]);
    this.tokens = answer.json;
  }

  /** Hosted clients refresh five times at once, from two addresses. */
  async burst(client, more = {}) {
    const { is } = this.checks;
    const { refresh_token: token } = this.tokens;
    const answers = await Promise.all([0, 1, 2, 3, 4].map((n) => this.refresh(token, client, more, { 'x-forwarded-for': n % 2 ? '160.79.104.10' : '160.79.106.35' })));
    is('five refreshes at once all succeed', answers.map((answer) => answer.status), [200, 200, 200, 200, 200]);
    is('with one successor', new Set(answers.map(({ json }) => `${json?.access_token} ${json?.refresh_token}`)).size, 1);
    const late = await this.refresh(token, client, more);
    is('which a late one gets as well', [late.status, late.json?.refresh_token], [200, answers[0].json?.refresh_token]);
    this.tokens = answers[0].json;
    is('and it serves', (await this.initialize(this.tokens.access_token)).status, 200);
    const next = await this.refresh(this.tokens.refresh_token, client, more);
    is('and can be refreshed', next.status, 200);
    this.tokens = next.json;
  }
}

/** An error page is for people: no JSON, no redirect, no field for a password. */
function isPage(checks, what, answer, words) {
  checks.is(what, [answer.status, answer.headers.get('content-type'), formOf(answer.text, answer.url ?? 'http://x')], [400, 'text/html; charset=utf-8', undefined]);
  checks.ok(`${what}, and says what to do`, words.test(seenText(answer.text)), seenText(answer.text));
}

// ---------------------------------------------------------- hosted Claude

/** Claude on the web, on the desktop and on phones: one backend, from a range of addresses; registers twice per attempt. */
async function hostedClaudeRegistering(checks, proxy) {
  const { is, ok, need } = checks;
  const client = await new StandIn(checks, proxy, { headers: { 'x-forwarded-for': '160.79.104.10', 'user-agent': 'Claude-User' } }).discover();
  const body = { client_name: 'Claude', redirect_uris: [claude], scope: 'mcp offline_access claudeai', token_endpoint_auth_method: 'client_secret_post' };

  const [first, second] = [await client.register(body), await client.register(body)];
  need('registers twice for a secret', [first.status, second.status], [201, 201]);
  ok('gets two', first.json.client_id !== second.json.client_id && isString(first.json.client_secret) && first.json.client_secret !== second.json.client_secret, [first.json, second.json]);
  is('with all that was registered', [first.json.client_secret_expires_at, Number.isInteger(first.json.client_id_issued_at), first.json.redirect_uris, first.json.token_endpoint_auth_method, first.json.grant_types, first.json.response_types],
    [0, true, [claude], 'client_secret_post', ['authorization_code', 'refresh_token'], ['code']]);
  is('of which nothing is null or stored', [nulls(first.json), noStore(first)], [0, true]);
  const open = [await client.register({ ...body, token_endpoint_auth_method: 'none' }), await client.register({ ...body, token_endpoint_auth_method: 'none' })];
  is('registers twice without one', open.map((answer) => answer.status), [201, 201]);
  is('is one and the same client then', open[0].json.client_id, open[1].json.client_id);
  is('without a secret or its expiry', open.map(({ json }) => ['client_secret', 'client_secret_expires_at'].filter((key) => key in json)), [[], []]);

  is('may not register from elsewhere', error(await client.register(body, { 'x-forwarded-for': '203.0.113.9' })), [403, 'access_denied']);
  is('nor may anybody who puts its address before their own', error(await client.register(body, { 'x-forwarded-for': '160.79.104.10, 203.0.113.9' })), [403, 'access_denied']);
  is('nor without an address', error(await ask(client.meta.registration_endpoint, { json: body })), [403, 'access_denied']);
  is('may not register another target', error(await client.register({ ...body, redirect_uris: [claude, 'https://claude.ai.example.com/api/mcp/auth_callback'] })), [400, 'invalid_redirect_uri']);

  // Not the second, whatever came last: both have to work.
  const { client_id: id, client_secret } = first.json;
  const tokens = await client.login('signs in', id, claude, { authorize: { scope: 'mcp offline_access claudeai', resource: client.url }, exchange: { client_secret, resource: client.url } });
  is('gets the scopes that there are', tokens.scope.split(' ').sort(), ['mcp', 'offline_access']);
  is('the page names it and where it goes', [/\bClaude\b/.test(seenText(client.page.text)), seenText(client.page.text).includes('claude.ai')], [true, true]);
  ok('the page lets the form lead there', csp(client.page, 'form-action').includes("'self'") && csp(client.page, 'form-action').includes('https://claude.ai'), csp(client.page, 'form-action'));
  ok('the page stays the opener of its popup', !client.page.headers.has('cross-origin-opener-policy') && !client.page.headers.has('access-control-allow-origin'), [...client.page.headers]);

  await client.renew(id, { client_secret, resource: client.url });
  await client.burst(id, { client_secret });
  is('a wrong secret means to register again', error(await client.refresh(client.tokens.refresh_token, id, { client_secret: 'wrong' })), [401, 'invalid_client']);
  is('and so does none', error(await client.refresh(client.tokens.refresh_token, id)), [401, 'invalid_client']);
  is('the other registration cannot use its token', error(await client.refresh(client.tokens.refresh_token, second.json.client_id, { client_secret: second.json.client_secret })), [400, 'invalid_grant']);
  is('a token for another server is not to be had', error(await client.refresh(client.tokens.refresh_token, id, { client_secret, resource: `${client.base}/other/mcp` })), [400, 'invalid_target']);
  is('its own stays good', (await client.refresh(client.tokens.refresh_token, id, { client_secret })).status, 200);
  const elsewhere = await new StandIn(checks, proxy, { path: '/other/mcp' }).initialize(client.tokens.access_token);
  is('the token is good for the server it was asked for', [elsewhere.status, challengeOf(elsewhere).error, elsewhere.json?.error], [401, 'invalid_token', 'invalid_token']);
  for (const method of ['GET', 'DELETE', 'HEAD']) {
    const answer = await client.ask(client.url, { method });
    is(`${method} without a token is refused alike`, [answer.status, isString(challengeOf(answer).resource_metadata)], [401, true]);
  }
  await client.dead(id, { form: { client_secret } });

  // It keeps a registration until the token endpoint, and nothing else, refuses it.
  const lost = await new Browser().go(client.authorizeUrl(`mcpx_${secret(16)}`, claude, { resource: client.url }));
  isPage(checks, 'a lost registration ends at a page', lost, /reconnect/i);
  const back = links(lost.text).find((link) => link.startsWith(`${claude}?`));
  need('that has a link back', back !== undefined, true);
  is('with a code, the state and iss', [isString(query(back).code), query(back).state, query(back).iss], [true, client.sent.state, client.base]);
  is('so that the token endpoint refuses it', error(await client.exchange(query(back).code, client.sent.client_id, claude, { client_secret })), [401, 'invalid_client']);
  const foreign = await new Browser().go(client.authorizeUrl(`mcpx_${secret(16)}`, 'https://evil.example/callback'));
  isPage(checks, 'nobody else is sent back for a lost registration', foreign, /remove/i);
  is('by any link', links(foreign.text).filter((link) => link.includes('evil.example')), []);

  for (const path of ['/.well-known/oauth-authorization-server/demo/mcp', '/.well-known/openid-configuration/demo/mcp', '/demo/mcp/.well-known/openid-configuration', '/.well-known/oauth-protected-resource/open/mcp', '/.well-known/oauth-protected-resource/none/mcp', '/.well-known/whatever']) {
    const answer = await client.ask(path);
    is(`${path} is not there`, [answer.status, answer.headers.get('content-type'), answer.json?.error], [404, json, 'not_found']);
  }
}

const claudeDocument = 'https://claude.ai/oauth/mcp-oauth-client-metadata';
/** The same with a document in place of the registration. Where that cannot be read, a copy inside the proxy has to do. */
async function hostedClaudeWithDocument(checks, proxy) {
  const { is, ok } = checks;
  const client = await new StandIn(checks, proxy, { headers: { 'x-forwarded-for': '160.79.104.10', 'user-agent': 'Claude-User' } }).discover();
  is('is offered it', [client.meta.client_id_metadata_document_supported, client.meta.token_endpoint_auth_methods_supported.includes('none')], [true, true]);
  const first = await new Browser().go(client.authorizeUrl(claudeDocument, claude, { resource: client.url }));
  is('sees the login page', [first.status, formOf(first.text, first.url) !== undefined], [200, true]);
  ok('within the time for the document', first.ms < 6500, `${first.ms} ms`);
  const second = await new Browser().go(client.authorizeUrl(claudeDocument, claude, { resource: client.url }));
  ok('and at once from then on', second.status === 200 && second.ms < 1000, `status ${second.status} after ${second.ms} ms`);
  is('the page names it and where it goes', [/\bClaude\b/.test(seenText(first.text)), seenText(first.text).includes('claude.ai')], [true, true]);
  await client.login('signs in', claudeDocument, claude, { authorize: { scope: 'mcp offline_access', resource: client.url }, exchange: { resource: client.url } });
  await client.renew(claudeDocument, { resource: client.url });
  await client.burst(claudeDocument);
  await client.dead(claudeDocument);

  isPage(checks, 'a target that the document does not name', await new Browser().go(client.authorizeUrl(claudeDocument, 'https://claude.ai/elsewhere')), /remove|allow/i);
  const stranger = await new Browser().go(client.authorizeUrl('https://evil.example/oauth/client.json', claude));
  isPage(checks, 'a document of a host that is not admitted', stranger, /admitted|remove/i);
  ok('is not even asked for', stranger.ms < 1000, `${stranger.ms} ms`);
  const token = await client.refresh(`mcpx_rt_${secret()}`, 'https://claude.ai/oauth/unheard-of');
  is('the token endpoint knows documents only by then', [...error(token), token.ms < 1000], [401, 'invalid_client', true]);
}

/** The proxy is started anew between two of its refreshes, or between a refresh and the answer that got lost. */
async function hostedClaudeAcrossRestart(checks) {
  const { is, ok, need } = checks;
  const proxy = await startProxy('restarted');
  const client = await new StandIn(checks, proxy).discover();
  const answer = await client.register({ client_name: 'Claude', redirect_uris: [claude], token_endpoint_auth_method: 'none' });
  need('registers', answer.status, 201);
  const { client_id: id } = answer.json;
  const first = await client.login('signs in', id, claude, { authorize: { resource: client.url }, exchange: { resource: client.url } });
  await client.renew(id);
  await proxy.stop();
  const next = await startProxy('restarted', proxy);
  is('both access tokens serve after it', [(await client.initialize(first.access_token)).status, (await client.initialize(client.tokens.access_token)).status], [200, 200]);
  const lost = await client.refresh(first.refresh_token, id);
  is('the token before is still in its time of grace', [lost.status, (await client.initialize(lost.json?.access_token)).status], [200, 200]);
  const twenty = await Promise.all(Array.from({ length: 20 }, () => client.refresh(client.tokens.refresh_token, id)));
  is('twenty refreshes at once all succeed', twenty.filter((answer) => answer.status === 200).length, 20);
  is('with one successor', new Set(twenty.map(({ json }) => json?.refresh_token)).size, 1);
  const both = [await client.refresh(lost.json?.refresh_token, id), await client.refresh(twenty[0].json?.refresh_token, id)];
  is('both branches can go on', both.map((answer) => answer.status), [200, 200]);
  is('the same registration again is the same client', (await client.register({ client_name: 'Claude', redirect_uris: [claude], token_endpoint_auth_method: 'none' })).json?.client_id, id);
  const revoked = await client.ask(client.meta.revocation_endpoint, { form: { token: both[0].json?.refresh_token, client_id: id } });
  is('revokes one', revoked.status, 200);
  is('and all are dead', [error(await client.refresh(both[1].json?.refresh_token, id)), (await client.initialize(both[1].json?.access_token)).status], [[400, 'invalid_grant'], 401]);
  ok('the file has no token in it', !/mcpx_(at|rt|ac|cs)_/.test(readFileSync(join(proxy.dir, 'oauth_clients.json'), 'utf8')));
  await next.stop();
}

// ------------------------------------------------------------ Claude Code

const codeDocument = 'https://claude.ai/oauth/claude-code-client-metadata';
/** A document without ports, a port that is different each time, mostly no `resource`, and probes at every visit. */
async function claudeCode(checks, proxy) {
  const { is, ok } = checks;
  const client = await new StandIn(checks, proxy).discover();
  const where = await callback('localhost');
  const came = query((await signInAt(client.authorizeUrl(codeDocument, where.uri, { scope: 'mcp' }), where)).href);
  is('comes back with state and iss', [came.state, came.iss], [client.sent.state, client.base]);
  client.code = came.code;
  const other = await client.exchange(came.code, codeDocument, where.uri.replace('localhost', '127.0.0.1'));
  is('the target has to be the same at the token endpoint', error(other), [400, 'invalid_grant']);
  where.close();
  for (const host of ['localhost', '127.0.0.1']) {
    const target = `http://${host}:${40000 + Math.floor(Math.random() * 20000)}/callback`;
    await client.login(`signs in at ${host}, any port`, codeDocument, target);
  }
  for (const path of ['/other/mcp', '/mcp']) {
    is(`a token for no resource is good at ${path}`, (await new StandIn(checks, proxy, { path }).initialize(client.tokens.access_token)).status, 200);
  }
  ok('the page says that it is for all servers, and an application on this computer', /all servers/i.test(seenText(client.page.text)) && /computer/i.test(seenText(client.page.text)), seenText(client.page.text));
  await client.renew(codeDocument);
  await client.burst(codeDocument);
  // Two of its windows, each for a server of its own, refresh what they share.
  const { refresh_token: shared } = client.tokens;
  for (const path of ['/demo/mcp', '/other/mcp']) {
    const answer = await client.refresh(shared, codeDocument, { resource: client.base + path });
    const served = await new StandIn(checks, proxy, { path }).initialize(answer.json?.access_token);
    is(`a refresh for ${path} gives what is good there`, [answer.status, served.status], [200, 200]);
  }
  is('one for a server that there is not gives nothing', error(await client.refresh(shared, codeDocument, { resource: `${client.base}/none/mcp` })), [400, 'invalid_target']);
  await client.login('signs in for the server alone', codeDocument, 'http://localhost:3118/callback', { authorize: { resource: client.url }, exchange: { resource: client.url } });
  is('a token for one server is not good at another', (await new StandIn(checks, proxy, { path: '/other/mcp' }).initialize(client.tokens.access_token)).status, 401);
  isPage(checks, 'another path on this computer', await new Browser().go(client.authorizeUrl(codeDocument, 'http://localhost:3118/elsewhere')), /remove|allow/i);

  // Whatever is neither a document nor a 404 in JSON puts the server into "needs authentication" for good.
  for (const kind of ['oauth-protected-resource', 'oauth-authorization-server', 'openid-configuration']) {
    for (const path of [`/.well-known/${kind}`, `/.well-known/${kind}/demo/mcp`, `/.well-known/${kind}/demo`, `/demo/mcp/.well-known/${kind}`, `/demo/.well-known/${kind}`]) {
      const answer = await client.ask(path);
      const good = answer.status === 200 ? isString(answer.json?.issuer ?? answer.json?.resource) : answer.status === 404 && answer.json?.error === 'not_found';
      ok(`${path} is a document or a 404 in JSON`, good, `${answer.status} ${answer.text.slice(0, 200)}`);
    }
  }
  const free = await new StandIn(checks, proxy, { path: '/open/mcp' }).initialize();
  is('a server without a login has neither a challenge nor metadata', [free.status, (await client.ask('/.well-known/oauth-protected-resource/open/mcp')).status], [200, 404]);
  await client.dead(codeDocument);
}

/** It has sent refresh tokens of the day before. Without a time of grace they end the grant, and never with another code. */
async function claudeCodeWithOldToken(checks, proxy) {
  const { is } = checks;
  const client = await new StandIn(checks, proxy).discover();
  const { json: { client_id: id } } = await client.register({ client_name: 'Claude Code', redirect_uris: ['http://localhost/callback'], token_endpoint_auth_method: 'none', application_type: 'native' });
  const first = await client.login('signs in', id, 'http://localhost:3118/callback');
  await client.renew(id);
  is('an old refresh token is a dead grant', error(await client.refresh(first.refresh_token, id)), [400, 'invalid_grant']);
  is('with all that came of it', error(await client.refresh(client.tokens.refresh_token, id)), [400, 'invalid_grant']);
  const ended = await client.initialize(client.tokens.access_token);
  is('access tokens too', [ended.status, challengeOf(ended).error], [401, 'invalid_token']);
  await client.login('signs in again', id, 'http://localhost:3119/callback');
}

// ------------------------------------------------------- editors and tools

const cursorTargets = ['cursor://anysphere.cursor-mcp/oauth/callback', 'https://www.cursor.com/agents/mcp/oauth/callback', 'http://localhost:8787/callback'];
/** Three targets in one registration; to refuse one is to refuse it. */
async function cursor(checks, proxy) {
  const { is, ok, need } = checks;
  const client = await new StandIn(checks, proxy).discover();
  const answer = await client.register({ client_name: 'Cursor', redirect_uris: cursorTargets, token_endpoint_auth_method: 'none' });
  need('registers its three targets at once', [answer.status, answer.json?.redirect_uris, 'client_secret' in (answer.json ?? {})], [201, cursorTargets, false]);
  const { client_id: id } = answer.json;
  for (const target of cursorTargets) {
    await client.login(`signs in to ${target}`, id, target, { authorize: { resource: client.url, scope: 'mcp' }, exchange: { resource: client.url } });
    const source = target.startsWith('cursor:') ? 'cursor:' : new URL(target).origin;
    ok(`the form may lead to ${source}`, csp(client.page, 'form-action').includes(source), csp(client.page, 'form-action'));
  }
  await client.renew(id, { resource: client.url });
  isPage(checks, 'another target of its scheme', await new Browser().go(client.authorizeUrl(id, 'cursor://anysphere.cursor-mcp/oauth/callback/more')), /remove|allow/i);
  // With a scheme anybody may have taken, errors are shown first and followed by hand.
  const wrong = await new Browser().go(client.authorizeUrl(id, cursorTargets[0], { code_challenge: undefined, code_challenge_method: undefined }));
  isPage(checks, 'without PKCE', wrong, /PKCE/);
  const back = links(wrong.text).find((link) => link.startsWith(cursorTargets[0]));
  is('the link back has the error, the state and iss', back && [query(back).error, query(back).state, query(back).iss], ['invalid_request', client.sent.state, client.base]);
  await client.dead(id);
}

const codeTargets = ['http://127.0.0.1/', 'http://127.0.0.1:33418/', 'https://vscode.dev/redirect', 'https://insiders.vscode.dev/redirect'];
/** Four targets, another port where its own is taken, a grant that we do not have, and a state that is an address. */
async function vsCode(checks, proxy) {
  const { is, need } = checks;
  const client = await new StandIn(checks, proxy).discover();
  const body = { client_name: 'Visual Studio Code', client_uri: 'https://code.visualstudio.com', redirect_uris: codeTargets, token_endpoint_auth_method: 'none', application_type: 'native', scope: 'mcp' };
  const answer = await client.register({ ...body, grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'] });
  need('registers its four targets at once', [answer.status, answer.json?.redirect_uris], [201, codeTargets]);
  is('for the grants that there are', answer.json.grant_types, ['authorization_code', 'refresh_token']);
  const { client_id: id } = answer.json;
  const busy = await callback('127.0.0.1', '/');
  const came = await signInAt(client.authorizeUrl(id, busy.uri, { resource: client.url, scope: 'mcp' }), busy);
  const { json: tokens } = await client.exchange(came.searchParams.get('code'), id, busy.uri, { resource: client.url });
  is('signs in at a random port', (await client.initialize(tokens?.access_token)).status, 200);
  busy.close();
  await client.login('signs in at its own port', id, codeTargets[1], { authorize: { resource: client.url }, exchange: { resource: client.url } });
  const state = 'vscode://dynamicauthprovider/127.0.0.1%3A9090/authorize?nonce=a%20b+c==&windowId=1&é=✓#x';
  await client.login('signs in by way of vscode.dev', id, codeTargets[2], { authorize: { state, resource: client.url }, exchange: { resource: client.url } });
  await client.renew(id, { scope: 'mcp' });
  const { link } = await new Browser().signIn(client.authorizeUrl(id, codeTargets[1], { state: undefined, resource: client.url }), person);
  is('what had no state gets none', new URL(link).searchParams.has('state'), false);
  isPage(checks, 'another path on this computer', await new Browser().go(client.authorizeUrl(id, 'http://127.0.0.1:33418/elsewhere')), /remove|allow/i);
  isPage(checks, 'another port of vscode.dev', await new Browser().go(client.authorizeUrl(id, 'https://vscode.dev:8443/redirect')), /remove|allow/i);
  await client.dead(id);
}

/** A page of another origin: what its browser does not let it see does not exist. */
async function inspector(checks, proxy) {
  const { is, ok, need } = checks;
  const origin = 'http://localhost:6274';
  const client = new StandIn(checks, proxy, { headers: { origin, 'sec-fetch-site': 'cross-site' } });
  const allows = (answer) => ['*', origin].includes(answer.headers.get('access-control-allow-origin'));
  const list = (answer, name) => (answer.headers.get(name) ?? '').toLowerCase().split(',').map((it) => it.trim());
  const preflight = async (url, method, headers) => {
    const answer = await client.ask(url, { method: 'OPTIONS', headers: { 'access-control-request-method': method, 'access-control-request-headers': headers.join(',') } });
    const missing = headers.filter((name) => !list(answer, 'access-control-allow-headers').includes(name));
    const methods = list(answer, 'access-control-allow-methods');
    // GET, HEAD and POST need not be listed.
    const may = ['GET', 'POST'].includes(method) || methods.includes(method.toLowerCase());
    is(`may ask ${method} ${new URL(url, client.base).pathname}`, [answer.status, allows(answer), missing, may, answer.headers.has('access-control-allow-credentials')], [204, true, [], true, false]);
  };
  const sees = (what, answer) => ok(`sees ${what}`, allows(answer) && !answer.headers.has('access-control-allow-credentials'), [...answer.headers]);

  await preflight(client.url, 'POST', ['authorization', 'content-type', 'accept', 'mcp-protocol-version', 'mcp-session-id']);
  await preflight(client.url, 'GET', ['authorization', 'accept', 'mcp-protocol-version', 'mcp-session-id', 'last-event-id']);
  await preflight(client.url, 'DELETE', ['authorization', 'mcp-session-id']);
  const refused = await client.initialize();
  sees('the 401', refused);
  ok('and its challenge', list(refused, 'access-control-expose-headers').includes('www-authenticate'), refused.headers.get('access-control-expose-headers'));
  const places = [challengeOf(refused).resource_metadata, '/.well-known/oauth-authorization-server', '/.well-known/openid-configuration', '/.well-known/oauth-authorization-server/demo/mcp'];
  for (const place of places) {
    await preflight(place, 'GET', ['mcp-protocol-version']);
    sees(new URL(place, client.base).pathname, await client.ask(place, { headers: { 'mcp-protocol-version': '2025-11-25' } }));
  }
  await client.discover();

  await preflight(client.meta.registration_endpoint, 'POST', ['content-type']);
  await preflight(client.meta.token_endpoint, 'POST', ['content-type', 'authorization']);
  await preflight(client.meta.revocation_endpoint, 'POST', ['content-type']);
  const targets = [`${origin}/oauth/callback`, `${origin}/oauth/callback/debug`];
  const answer = await client.register({ client_name: 'MCP Inspector', client_uri: 'https://github.com/modelcontextprotocol/inspector', redirect_uris: targets, token_endpoint_auth_method: 'none', scope: 'mcp' });
  need('registers', [answer.status, answer.json?.redirect_uris], [201, targets]);
  sees('its registration', answer);
  const { client_id: id } = answer.json;
  sees('why it may not register', await client.register({ redirect_uris: ['https://evil.example/'] }));
  for (const target of targets) await client.login(`signs in to ${new URL(target).pathname}`, id, target, { authorize: { resource: client.url, scope: 'mcp' }, exchange: { resource: client.url } });
  ok('the login page is for nobody\'s script', !client.page.headers.has('access-control-allow-origin'), [...client.page.headers]);
  const page = await client.ask(client.authorizeUrl(id, targets[0]));
  ok('not even when one asks', !page.headers.has('access-control-allow-origin'), [...page.headers]);
  const served = await client.initialize(client.tokens.access_token);
  sees('what it is served', served);
  ok('and the id of its session', list(served, 'access-control-expose-headers').includes('mcp-session-id'), served.headers.get('access-control-expose-headers'));
  sees('a dead refresh token', await client.refresh('dead', id));
  sees('a lost registration', await client.refresh('dead', 'nobody'));
  const posted = await new Browser().go(client.authorizeUrl(id, targets[0])).then((page) => ask(client.meta.authorization_endpoint, {
    form: { ...formOf(page.text, page.url).fields, ...person }, headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  }));
  is('no other site may post the form', posted.status, 403);
  await client.dead(id);
}

/** It uses its stable callback only where `iss` is promised, and takes the resource from the metadata. */
async function chatGpt(checks, proxy) {
  const { is, ok, need } = checks;
  const client = new StandIn(checks, proxy);
  const { json: resource } = await client.ask('/.well-known/oauth-protected-resource/demo/mcp');
  await client.discover();
  is('is promised iss', client.meta.authorization_response_iss_parameter_supported, true);
  const stable = 'https://chatgpt.com/connector_platform_oauth_redirect';
  const single = `https://chatgpt.com/connector/oauth/${secret(9)}`;
  const register = (redirect_uris) => client.register({ client_name: 'ChatGPT', redirect_uris, token_endpoint_auth_method: 'none' });
  const answer = await register([stable]);
  need('registers its stable callback', [answer.status, answer.json?.redirect_uris], [201, [stable]]);
  is('may register one for a connector', (await register([single])).status, 201);
  is('but nothing beside them', error(await register(['https://chatgpt.com/connector/oauth/a/b'])), [400, 'invalid_redirect_uri']);
  const { client_id: id } = answer.json;
  await client.login('signs in', id, stable, { authorize: { resource: resource.resource, scope: 'mcp offline_access' }, exchange: { resource: resource.resource } });
  await client.renew(id, { resource: resource.resource });
  for (const [what, more, code] of [
    ['prompt=none', { prompt: 'none' }, 'login_required'],
    ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['a resource elsewhere', { resource: 'https://evil.example/mcp' }, 'invalid_target'],
    ['another kind of answer', { response_type: 'token' }, 'unsupported_response_type']
  ]) {
    const sent = await new Browser().go(client.authorizeUrl(id, stable, more));
    const to = sent.headers.get('location') ?? 'x:';
    is(`${what} is told with state and iss`, [sent.status, to.split('?')[0], query(to).error, query(to).state, query(to).iss, 'code' in query(to)], [303, stable, code, client.sent.state, client.base, false]);
  }
  const cancel = links((await new Browser().go(client.authorizeUrl(id, stable))).text).find((link) => link.startsWith(stable));
  is('so is that the user did not want to', cancel && [query(cancel).error, query(cancel).state, query(cancel).iss], ['access_denied', client.sent.state, client.base]);
  // Its document is read at its own place only: where that is out of reach, a page says so in good time.
  const page = await new Browser().go(client.authorizeUrl('https://chatgpt.com/oauth/client.json', stable));
  ok('its document is read, or a page says that it cannot be', page.ms < 6500 && (page.status === 200 ? formOf(page.text, page.url) !== undefined : page.status === 400 && /cannot be read/.test(seenText(page.text))), `${page.status} after ${page.ms} ms: ${seenText(page.text)}`);
  await client.dead(id);
}

// -------------------------------------------------------- older, and tools

/** Of 2025-03-26: no metadata of resources; what it needs is at the root, or at guessed addresses. */
async function olderClient(checks, proxy, guesses) {
  const { is, need } = checks;
  const client = new StandIn(checks, proxy, { revision: '2025-03-26' });
  const refused = await client.initialize();
  is('is refused without a token', refused.status, 401);
  if (!guesses) await client.metadata();
  const where = await callback('localhost', '/oauth/callback');
  const answer = await client.register({ client_name: 'Older client', redirect_uris: [where.uri], token_endpoint_auth_method: 'none' });
  need('registers', answer.status, 201);
  const { client_id: id } = answer.json;
  const came = query((await signInAt(client.authorizeUrl(id, where.uri), where)).href);
  where.close();
  is('comes back with its state', came.state, client.sent.state);
  const tokens = await client.exchange(came.code, id, where.uri);
  need('gets a token', [tokens.status, tokens.json?.token_type], [200, 'Bearer']);
  client.tokens = tokens.json;
  client.code = came.code;
  for (const path of ['/demo/mcp', '/demo', '/other/mcp', '/mcp']) is(`is served at ${path}`, (await new StandIn(checks, proxy, { path, revision: '2025-03-26' }).initialize(tokens.json.access_token)).status, 200);
  await client.renew(id);
  is('its refresh token is good for itself only', error(await client.refresh(client.tokens.refresh_token, (await client.register({ client_name: 'Another', redirect_uris: [where.uri], token_endpoint_auth_method: 'none' })).json.client_id)), [400, 'invalid_grant']);
  await client.dead(id);
}

/** Configured, not registered: public, a target of its own, no resource, no refresh. */
async function conformanceTool(checks, proxy, where) {
  const { is, ok } = checks;
  const client = await new StandIn(checks, proxy).discover();
  const came = query((await signInAt(client.authorizeUrl('conformance', where.uri), where)).href);
  is('comes back with state and iss, each once', [came.state, came.iss], [client.sent.state, client.base]);
  const wrong = await client.exchange(came.code, 'conformance', where.uri, { code_verifier: secret() });
  is('a wrong verifier is a dead grant', error(wrong), [400, 'invalid_grant']);
  is('for good', error(await client.exchange(came.code, 'conformance', where.uri)), [400, 'invalid_grant']);
  await client.login('signs in', 'conformance', where.uri);
  is('a secret that it does not have is no matter', (await client.refresh(client.tokens.refresh_token, 'conformance', { client_secret: 'none' })).status, 200);
  is('a token without a code', error(await client.token({ grant_type: 'authorization_code', client_id: 'conformance', code_verifier: secret() })), [400, 'invalid_request']);
  const { link } = await new Browser().signIn(client.authorizeUrl('conformance', where.uri), person);
  is('a token without a verifier', error(await client.exchange(query(link).code, 'conformance', where.uri, { code_verifier: '' })), [400, 'invalid_request']);
  for (const grant of ['client_credentials', 'password', 'urn:ietf:params:oauth:grant-type:device_code']) is(`the grant ${grant}`, error(await client.token({ grant_type: grant, client_id: 'conformance', username: 'ann', password: 'x' })), [400, 'unsupported_grant_type']);
  is('two ways to say who it is', error(await client.refresh('x', undefined, { client_id: 'typed-in', client_secret: 'a secret: 100 %+' }, { authorization: basic('typed-in', 'a secret: 100 %+') })), [400, 'invalid_request']);
  isPage(checks, 'another path', await new Browser().go(client.authorizeUrl('conformance', `${where.uri}/more`)), /remove|allow/i);
  await client.dead('conformance');
}

const basic = (id, secret) => `Basic ${Buffer.from(`${form(id)}:${form(secret)}`).toString('base64')}`;
const form = (text) => new URLSearchParams({ x: text }).toString().slice(2);
/** Hosted Claude and others let people type an id and a secret; the secret comes in the header. */
async function typedIn(checks, proxy) {
  const { is } = checks;
  const client = await new StandIn(checks, proxy).discover();
  const headers = { authorization: basic('typed-in', 'a secret: 100 %+') };
  await client.login('signs in', 'typed-in', claude, { authorize: { resource: client.url }, exchange: { resource: client.url }, headers });
  await client.renew(undefined, {}, headers);
  const wrong = await client.refresh(client.tokens.refresh_token, undefined, {}, { authorization: basic('typed-in', 'guess') });
  is('a wrong secret is challenged', [...error(wrong), /^Basic /.test(wrong.headers.get('www-authenticate') ?? '')], [401, 'invalid_client', true]);
  await client.dead('typed-in', { headers });
}

export default async function matrix() {
  const tool = await callback();
  const clients = [{ id: 'conformance', redirectURIs: [tool.uri], public: true }, { id: 'typed-in', secret: 'a secret: 100 %+', redirectURIs: [claude] }];
  const hosted = await startProxy('hosted', { oauth2: { allowedIPs: ['160.79.104.0/21'] } });
  const proxy = await startProxy('everybody', { oauth2: { allowedRedirectURIs: presets, clients } });
  await group('hosted Claude, registering', (checks) => hostedClaudeRegistering(checks, hosted));
  await group('hosted Claude, with its document', (checks) => hostedClaudeWithDocument(checks, hosted));
  await group('hosted Claude, across a restart', hostedClaudeAcrossRestart);
  await group('Claude Code', (checks) => claudeCode(checks, proxy));
  await group('Cursor', (checks) => cursor(checks, proxy));
  await group('VS Code', (checks) => vsCode(checks, proxy));
  await group('Inspector', (checks) => inspector(checks, proxy));
  await group('ChatGPT', (checks) => chatGpt(checks, proxy));
  await group('client of 2025-03-26, with metadata', (checks) => olderClient(checks, proxy, false));
  await group('client of 2025-03-26, guessing', (checks) => olderClient(checks, proxy, true));
  await group('conformance tool', (checks) => conformanceTool(checks, proxy, tool));
  await group('client with a secret that was typed in', (checks) => typedIn(checks, proxy));
  await group('clients that the defaults keep out', async ({ is }) => {
    for (const [name, redirect_uris] of [['Cursor', cursorTargets], ['VS Code', codeTargets], ['ChatGPT', ['https://chatgpt.com/connector_platform_oauth_redirect']], ['Inspector', ['http://localhost:6274/oauth/callback']]]) {
      const answer = await ask(`${hosted.base}/oauth/register`, { json: { client_name: name, redirect_uris, token_endpoint_auth_method: 'none' }, headers: { 'x-forwarded-for': '160.79.104.10' } });
      is(`${name} may not register`, error(answer), [400, 'invalid_redirect_uri']);
    }
  });
  await hosted.stop();
  await proxy.stop();
  const strict = await startProxy('no-grace', { oauth2: { allowedRedirectURIs: ['claude', 'loopback'], refreshGraceSeconds: 0 } });
  await group('Claude Code with an old refresh token', (checks) => claudeCodeWithOldToken(checks, strict));
  await strict.stop();
  tool.close();
}
