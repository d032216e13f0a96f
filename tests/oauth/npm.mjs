// The official npm SDK, from the first 401 to a proxy that has forgotten everything.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ask } from './browser.mjs';
import { front } from './front.mjs';
import { callback, group, signInAt, startProxy } from './lib.mjs';

// The packages are not where this file is.
const sdk = (file) => import(pathToFileURL(join(process.env.OAUTH_HOME, 'node/node_modules/@modelcontextprotocol/sdk/dist/esm', file)));
const { Client } = await sdk('client/index.js');
const { StreamableHTTPClientTransport } = await sdk('client/streamableHttp.js');
const { UnauthorizedError } = await sdk('client/auth.js');

/** An application that keeps what the SDK gives it to keep. */
class Application {
  constructor(url, waiting, { metadata = {}, documentUrl } = {}) {
    Object.assign(this, { url, waiting, kept: {}, trace: [], logins: 0 });
    const keep = (key) => (value) => { this.kept[key] = value; };
    this.provider = {
      redirectUrl: waiting.uri,
      clientMetadata: {
        client_name: 'Stand-in', redirect_uris: [waiting.uri], grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'], token_endpoint_auth_method: 'none', ...metadata
      },
      ...(documentUrl && { clientMetadataUrl: documentUrl }),
      state: () => (this.state = randomBytes(12).toString('base64') + ' é&%2F='),
      clientInformation: () => this.kept.client, saveClientInformation: keep('client'),
      tokens: () => this.kept.tokens, saveTokens: keep('tokens'),
      codeVerifier: () => this.kept.verifier, saveCodeVerifier: keep('verifier'),
      redirectToAuthorization: async (url) => {
        this.logins++;
        this.came = await signInAt(url.href, waiting);
      },
      invalidateCredentials: (what) => {
        if (what === 'all' || what === 'client') delete this.kept.client;
        if (what === 'all' || what === 'tokens') delete this.kept.tokens;
        if (what === 'all' || what === 'verifier') delete this.kept.verifier;
      }
    };
  }

  /** Everything but the traffic that a good token makes possible. */
  fetch = async (url, init) => {
    const answer = await fetch(url, init);
    const { pathname } = new URL(url);
    const grant = pathname.endsWith('/token') ? ` ${new URLSearchParams(String(init.body)).get('grant_type')}` : '';
    if (answer.status === 401 || !pathname.endsWith('/mcp') || pathname.startsWith('/.well-known/')) {
      this.trace.push(`${init?.method ?? 'GET'} ${pathname}${grant} ${answer.status}`);
    }
    return answer;
  };

  /** Connects, with a login when the SDK wants one. */
  async connect() {
    this.trace = [];
    for (let attempt = 1; ; attempt++) {
      const client = new Client({ name: 'stand-in', version: '1' });
      const transport = new StreamableHTTPClientTransport(new URL(this.url), { authProvider: this.provider, fetch: this.fetch });
      try {
        await client.connect(transport, { timeout: 15_000 });
        return client;
      } catch (error) {
        await client.close();
        if (!(error instanceof UnauthorizedError) || attempt === 2) throw error;
        await transport.finishAuth(this.came.searchParams.get('code'));
      }
    }
  }

  /** A whole visit: the names of the tools and what `echo` says. */
  async visit(prefix = '') {
    const client = await this.connect();
    try {
      return await use(client, prefix);
    } finally {
      await client.close();
    }
  }
}

async function use(client, prefix = '') {
  const { tools } = await client.listTools({}, { timeout: 15_000 });
  const { content } = await client.callTool({ name: `${prefix}echo`, arguments: { text: 'good day' } }, undefined, { timeout: 15_000 });
  return { tools: tools.map((tool) => tool.name).sort(), said: content[0]?.text };
}

const names = ['ask', 'clock', 'countdown', 'echo'];
const all = (prefix) => ({ tools: prefix.flatMap((key) => names.map((name) => `${key}__${name}`)), said: 'good day' });
const places = {
  '/demo/mcp': { prefix: '', wanted: { tools: names, said: 'good day' } },
  '/mcp': { prefix: 'demo__', wanted: all(['demo', 'open', 'other']) }
};
const discovery = (path) => [`GET /.well-known/oauth-protected-resource${path} 200`, 'GET /.well-known/oauth-authorization-server 200'];
const broken = 'mcpx_at_' + 'x'.repeat(43);

export default async function npm() {
  const options = { oauth2: { allowedRedirectURIs: ['claude', 'loopback'] } };
  const waiting = await callback();
  /** The same proxy again, with or without what it has stored. */
  const restart = async (proxy, keep) => {
    await proxy.stop();
    if (!keep) rmSync(proxy.dir, { recursive: true });
    return startProxy('npm', { ...options, ...proxy });
  };

  for (const [path, { prefix, wanted }] of Object.entries(places)) {
    await group(`npm SDK at ${path}`, async ({ is, ok, need }) => {
      let proxy = await startProxy('npm', options);
      const app = new Application(proxy.base + path, waiting);
      const login = [`POST ${path} 401`, ...discovery(path), 'POST /oauth/register 201', ...discovery(path), 'POST /oauth/token authorization_code 200'];
      need('lists and calls tools after a login', await app.visit(prefix), wanted);
      is('the way there', app.trace, login);
      is('the state comes back as it was', app.came.searchParams.get('state'), app.state);
      is('iss comes back', app.came.searchParams.get('iss'), proxy.base);
      is('the registration is a public one', [app.kept.client.token_endpoint_auth_method, app.kept.client.client_secret], ['none', undefined]);
      const first = app.kept.tokens;
      is('a token of the usual kind', [first.token_type, first.expires_in, first.scope, typeof first.refresh_token], ['Bearer', 3600, 'mcp', 'string']);

      is('the next visit', await app.visit(prefix), wanted);
      is('needs no login', app.trace, []);

      app.kept.tokens = { ...first, access_token: broken };
      is('a visit with a bad access token', await app.visit(prefix), wanted);
      is('refreshes', app.trace, [`POST ${path} 401`, ...discovery(path), 'POST /oauth/token refresh_token 200']);
      is('without a login', app.logins, 1);
      ok('both tokens are new', app.kept.tokens.access_token !== first.access_token && app.kept.tokens.refresh_token !== first.refresh_token, app.kept.tokens);

      const client = await app.connect();
      try {
        app.kept.tokens = { ...app.kept.tokens, access_token: broken };
        is('a token that goes bad during a session', await use(client, prefix), wanted);
        is('is refreshed in it', app.trace.at(-1), 'POST /oauth/token refresh_token 200');
      } finally {
        await client.close();
      }

      proxy = await restart(proxy, true);
      is('after a restart of the proxy', await app.visit(prefix), wanted);
      is('the token is still good', app.trace, []);
      app.kept.tokens = { ...app.kept.tokens, access_token: broken };
      is('and so is the refresh token', [await app.visit(prefix), app.trace.at(-1), app.logins], [wanted, 'POST /oauth/token refresh_token 200', 1]);

      const dead = app.kept.tokens.refresh_token;
      const revoked = await ask(`${proxy.base}/oauth/revoke`, { form: { token: dead, client_id: app.kept.client.client_id } });
      is('the refresh token is revoked', revoked.status, 200);
      const { client_id: old } = app.kept.client;
      is('a visit with what is revoked', await app.visit(prefix), wanted);
      ok('finds the refresh token dead', app.trace.includes('POST /oauth/token refresh_token 400'), app.trace);
      is('signs in again, with the same registration', [app.logins, app.kept.client.client_id], [2, old]);

      proxy = await restart(proxy, false);
      is('when the proxy has lost its state', await app.visit(prefix), wanted);
      is('the SDK registers again', app.trace, [
        `POST ${path} 401`, ...discovery(path), 'POST /oauth/token refresh_token 401', ...discovery(path), 'POST /oauth/register 201',
        ...discovery(path), 'POST /oauth/token authorization_code 200'
      ]);
      ok('and signs in once more', app.logins === 3 && app.kept.client.client_id !== old, [app.logins, old, app.kept.client.client_id]);

      // The refresh token alone is gone: the SDK has no reason to call the token endpoint before the browser opens.
      app.kept.client = { ...app.kept.client, client_id: old };
      delete app.kept.tokens;
      const stranded = await app.visit(prefix).then(() => 'connected', (error) => error.message);
      ok('a dead registration without tokens ends at a page that says so', /status 400.*(remove|add)/is.test(stranded), stranded);
      await proxy.stop();
    });
  }

  for (const method of ['client_secret_post', 'client_secret_basic']) {
    await group(`npm SDK registering with ${method}`, async ({ is, ok }) => {
      const proxy = await startProxy('npm', options);
      const app = new Application(`${proxy.base}/demo/mcp`, waiting, { metadata: { token_endpoint_auth_method: method } });
      is('lists and calls tools', await app.visit(), places['/demo/mcp'].wanted);
      is('got a secret', [app.kept.client.token_endpoint_auth_method, typeof app.kept.client.client_secret, app.kept.client.client_secret_expires_at], [method, 'string', 0]);
      app.kept.tokens = { ...app.kept.tokens, access_token: broken };
      is('refreshes', [await app.visit(), app.trace.at(-1)], [places['/demo/mcp'].wanted, 'POST /oauth/token refresh_token 200']);
      app.kept.client = { ...app.kept.client, client_secret: 'wrong' };
      app.kept.tokens = { ...app.kept.tokens, access_token: broken };
      is('with a wrong secret it registers again', await app.visit(), places['/demo/mcp'].wanted);
      ok('because the token endpoint said 401', app.trace.includes('POST /oauth/token refresh_token 401') && app.trace.includes('POST /oauth/register 201'), app.trace);
      await proxy.stop();
    });
  }

  await group('npm SDK with a metadata document', async ({ is }) => {
    let proxy = await startProxy('npm', options);
    const local = await callback('localhost');
    const app = new Application(`${proxy.base}/demo/mcp`, local, { documentUrl: 'https://claude.ai/oauth/claude-code-client-metadata' });
    is('lists and calls tools', await app.visit(), places['/demo/mcp'].wanted);
    is('without a registration', app.trace, ['POST /demo/mcp 401', ...discovery('/demo/mcp'), ...discovery('/demo/mcp'), 'POST /oauth/token authorization_code 200']);
    app.kept.tokens = { ...app.kept.tokens, access_token: broken };
    is('refreshes', [await app.visit(), app.trace.at(-1)], [places['/demo/mcp'].wanted, 'POST /oauth/token refresh_token 200']);
    proxy = await restart(proxy, false);
    is('a proxy that has lost its state', await app.visit(), places['/demo/mcp'].wanted);
    is('costs it a login only', [app.logins, app.trace.filter((line) => line.includes('register'))], [2, []]);
    local.close();
    await proxy.stop();
  });

  await group('npm SDK below a path', async ({ is }) => {
    let port;
    const outer = await front(() => `127.0.0.1:${port}`, { prefix: '/deep' });
    const proxy = await startProxy('npm', { ...options, proxy: { baseURL: `${outer.base}/` } });
    ({ port } = proxy);
    const app = new Application(`${outer.base}/demo/mcp`, waiting);
    const discovery = ['GET /.well-known/oauth-protected-resource/deep/demo/mcp 200', 'GET /.well-known/oauth-authorization-server/deep 200'];
    is('lists and calls tools', await app.visit(), places['/demo/mcp'].wanted);
    is('the way there', app.trace, ['POST /deep/demo/mcp 401', ...discovery, 'POST /deep/oauth/register 201', ...discovery, 'POST /deep/oauth/token authorization_code 200']);
    is('iss comes back', app.came.searchParams.get('iss'), outer.base);
    app.kept.tokens = { ...app.kept.tokens, access_token: broken };
    is('refreshes', [await app.visit(), app.trace.at(-1)], [places['/demo/mcp'].wanted, 'POST /deep/oauth/token refresh_token 200']);
    outer.close();
    await proxy.stop();
  });

  waiting.close();
}
