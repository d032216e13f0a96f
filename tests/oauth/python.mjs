// The official Python SDK, from the first 401 to a proxy that has forgotten everything.
//
// It asks for offline_access where that is offered. While it has seen no 401 it has not read any metadata either: tokens
// that were kept are refreshed at the guessed address, /token. It refreshes only when it knows that a token has expired,
// and signs in anew on a 401. And it never drops a registration by itself, so that one which the proxy has lost ends at
// the page that says so, until its application forgets it.
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Browser, seenText } from './browser.mjs';
import { front } from './front.mjs';
import { callback, group, signInAt, start, startProxy, stop, within } from './lib.mjs';

const here = dirname(fileURLToPath(import.meta.url));

/** The program with the SDK. */
function application() {
  const child = start('python-sdk', join(process.env.OAUTH_HOME, 'python/bin/python'), [join(here, 'client.py')], ['pipe', 'pipe', 'log']);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const say = (message) => child.stdin.write(`${JSON.stringify(message)}\n`);
  const hear = async () => {
    const { value, done } = await within(40_000, lines.next(), 'a word of the Python SDK');
    if (done) throw new Error(`the Python SDK ended with ${await child.ended}`);
    return JSON.parse(value);
  };
  /** One visit; `open` is the browser, and gives where it came back. */
  const visit = async (command, open) => {
    say(command);
    for (let logins = 0; ; logins++) {
      const word = await hear();
      if (word.end) return { ...word.end, logins };
      say(await open(word.open).then((back) => ({ back }), (error) => ({ lost: error.message })));
    }
  };
  return { visit, stop: () => stop(child) };
}

const names = ['ask', 'clock', 'countdown', 'echo'];
const all = (keys) => keys.flatMap((key) => names.map((name) => `${key}__${name}`));
const discovery = (path) => [`GET /.well-known/oauth-protected-resource${path} 200`, 'GET /.well-known/oauth-authorization-server 200'];
const broken = 'mcpx_at_' + 'x'.repeat(43);

export default async function python() {
  const options = { oauth2: { allowedRedirectURIs: ['claude', 'loopback'] } };
  const waiting = await callback('localhost', '/oauth/callback');
  const app = application();
  const browser = async (url) => (await signInAt(url, waiting)).href;
  const result = ({ tools, said, error }) => error ?? { tools, said };

  for (const [path, prefix, tools, mode] of [['/demo/mcp', '', names, 'legacy'], ['/mcp', 'demo__', all(['demo', 'open', 'other']), 'legacy'], ['/mcp', 'demo__', all(['demo', 'open', 'other']), 'auto']]) {
    await group(`Python SDK at ${path}${mode === 'auto' ? ' (asking for 2026-07-28 first)' : ''}`, async ({ is, ok, need }) => {
      let proxy = await startProxy('python', options);
      let kept = {};
      const wanted = { tools, said: 'good day' };
      const visit = async (more = {}, open = browser) => {
        const seen = await app.visit({ url: proxy.base + path, redirect: waiting.uri, prefix, mode, kept, ...more }, open);
        kept = seen.kept;
        return seen;
      };

      let seen = await visit({ expire: true });
      need('lists and calls tools after a login', result(seen), wanted);
      is('the way there, and a refresh when the token has expired', seen.trace, [
        `POST ${path} 401`, ...discovery(path), 'POST /oauth/register 201', 'POST /oauth/token authorization_code 200', 'expired', 'POST /oauth/token refresh_token 200'
      ]);
      is('one login', seen.logins, 1);
      is('tokens of the usual kind', [kept.tokens.token_type, kept.tokens.expires_in, kept.tokens.scope, typeof kept.tokens.refresh_token], ['Bearer', 3600, 'mcp offline_access', 'string']);
      is('the registration is a public one', [kept.client.token_endpoint_auth_method, kept.client.client_secret], ['none', undefined]);
      const { client_id: old } = kept.client;

      seen = await visit();
      is('the next visit', result(seen), wanted);
      is('needs no login', [seen.trace, seen.logins], [[], 0]);

      await proxy.stop();
      proxy = await startProxy('python', { ...options, ...proxy });
      seen = await visit();
      is('after a restart of the proxy', result(seen), wanted);
      is('the token is still good', [seen.trace, seen.logins], [[], 0]);
      seen = await visit({ expire: true });
      is('and so is the refresh token, at the guessed address', [result(seen), seen.trace.filter((line) => !line.startsWith('GET')), seen.logins], [wanted, ['expired', 'POST /token refresh_token 200'], 0]);

      kept.tokens.access_token = broken;
      seen = await visit();
      is('a bad token leads to a login', [result(seen), seen.logins], [wanted, 1]);
      is('with the same registration', [kept.client.client_id, seen.trace.filter((line) => line.includes('register'))], [old, []]);

      await proxy.stop();
      rmSync(proxy.dir, { recursive: true });
      proxy = await startProxy('python', { ...options, ...proxy });
      let page;
      seen = await visit({}, async (url) => {
        page = await new Browser().go(url);
        throw new Error('nobody can sign in');
      });
      is('when the proxy has lost its state, the browser still opens for the old registration', [seen.logins, new URL(page?.url ?? 'x:').searchParams.get('client_id')], [1, old]);
      is('the page is for people, and is no login', [page.status, page.headers.get('content-type'), /type="?password/.test(page.text)], [400, 'text/html; charset=utf-8', false]);
      ok('it says what to do', /remove/i.test(seenText(page.text)) && /add/i.test(seenText(page.text)), seenText(page.text));
      ok('the application learns that it failed', seen.error?.includes('nobody can sign in'), seen.error);
      kept = {};
      seen = await visit();
      is('once removed and added it works', [result(seen), seen.logins], [wanted, 1]);
      ok('with a new registration', seen.trace.includes('POST /oauth/register 201') && kept.client.client_id !== old, seen.trace);
      await proxy.stop();
    });
  }

  await group('Python SDK registering for a secret', async ({ is }) => {
    const proxy = await startProxy('python', options);
    for (const method of ['client_secret_post', 'client_secret_basic']) {
      const seen = await app.visit({ url: `${proxy.base}/demo/mcp`, redirect: waiting.uri, kept: {}, method, expire: true }, browser);
      is(`${method} lists and calls tools`, result(seen), { tools: names, said: 'good day' });
      is(`${method} registers, signs in and refreshes`, seen.trace.slice(-4), ['POST /oauth/register 201', 'POST /oauth/token authorization_code 200', 'expired', 'POST /oauth/token refresh_token 200']);
      is(`${method} has a secret`, [seen.kept.client.token_endpoint_auth_method, typeof seen.kept.client.client_secret], [method, 'string']);
    }
    await proxy.stop();
  });

  await group('Python SDK below a path', async ({ is }) => {
    let port;
    const outer = await front(() => `127.0.0.1:${port}`, { prefix: '/deep' });
    const proxy = await startProxy('python', { ...options, proxy: { baseURL: `${outer.base}/` } });
    ({ port } = proxy);
    const visit = (more) => app.visit({ url: `${outer.base}/demo/mcp`, redirect: waiting.uri, expire: true, ...more }, browser);
    const seen = await visit({ kept: {} });
    is('lists and calls tools', result(seen), { tools: names, said: 'good day' });
    is('the way there', seen.trace, [
      'POST /deep/demo/mcp 401', 'GET /.well-known/oauth-protected-resource/deep/demo/mcp 200', 'GET /.well-known/oauth-authorization-server/deep 200',
      'POST /deep/oauth/register 201', 'POST /deep/oauth/token authorization_code 200', 'expired', 'POST /deep/oauth/token refresh_token 200'
    ]);
    const next = await visit({ kept: seen.kept });
    is('and back, by the guessed address at the root', [result(next), next.logins, next.trace], [{ tools: names, said: 'good day' }, 0, ['expired', 'POST /token refresh_token 200']]);
    outer.close();
    await proxy.stop();
  });

  await app.stop();
  waiting.close();
}
