// Pages of the operator: files in Go's template language, taken up, kept and given up while the proxy runs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hold, signIn } from './browser.mjs';
import { PASSWORD, ask, codeOf, connect, register } from './flow.mjs';

/** As the seed of this project wrote them: no token, no nonce, a fixed address to send to, handlers in attributes. */
const AUTHORIZE = `<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="UTF-8">
  <link rel="icon" href="data:,">
  <title>{{if .ClientName}}{{.ClientName}}{{else}}Someone{{end}} - Login</title>
  <style>
    .error { color: rgb(1, 2, 3); }
  </style>
</head>
<body>
  <h1>House of {{.ResourceName}}</h1>
  {{/* not for visitors */ -}}
  {{if .ErrorMessage}}
    <div class="error" role="alert">{{.ErrorMessage}}</div>
  {{end}}
  <p title='{{.ClientID}}'>{{.ClientName}} ({{.RedirectURI}}, {{.Scope}})</p>
  <form method="POST" action="/oauth/authorize" id="loginForm">
    <input type="hidden" name="client_id" value="{{.ClientID}}">
    <input type="hidden" name="redirect_uri" value="{{.RedirectURI}}">
    <input type="hidden" name="response_type" value="{{.ResponseType}}">
    <input type="hidden" name="scope" value="{{.Scope}}">
    <input type="hidden" name="state" value="{{.State}}">
    <input type="hidden" name="code_challenge" value="{{.CodeChallenge}}">
    <input type="hidden" name="resource" value="{{.Resource}}">
    <label for="username">User name</label><input id="username" name="username" required>
    <label for="password">Password</label><input type="password" id="password" name="password" required>
    <button type="submit">Enter</button>
  </form>
  <script>
    window.who = "{{.ClientName}}";
    window.what = {{.State}};
  </script>
</body>
</html>
`;
const HANDLER = AUTHORIZE.replace('id="loginForm"', 'id="loginForm" onsubmit="window.ran = 1; return false"');
const SUCCESS = `<!DOCTYPE html>
<html lang="en">
<head><title>Done</title><link rel="icon" href="data:,"><style>h1 { color: rgb(1, 2, 3); }</style></head>
<body>
  <h1>Hello {{.Username}}</h1>
  <a href="{{.RedirectURL}}">Go on</a>
  <script>
    let left = 2;
    const count = setInterval(() => {
      if (--left > 0) return;
      clearInterval(count);
      window.location.href = "{{.RedirectURL}}";
    }, 100);
  </script>
</body>
</html>
`;

export default async function templates(checkPlain) {
  /** A check that finds these templates, and leaves none. */
  const check = (name, sources, steps) => checkPlain(name, async (t) => {
    for (const [page, source] of Object.entries(sources)) writeFileSync(files(t)[page], source);
    try {
      await steps(t);
    } finally {
      for (const file of Object.values(files(t))) rmSync(file, { force: true });
    }
  });
  const files = ({ proxy }) => Object.fromEntries(
    ['authorize', 'success', 'error'].map((page) => [page, join(proxy.templates, `${page}.html`)]),
  );
  const loopback = async ({ base, sites }, name) => ask(base, await register(base, undefined, name), sites.callback);
  /** Signs in, reads the heading of the success page, and lets the browser go on. */
  async function signInAndRead(page) {
    const release = await hold(page);
    await signIn(page, 'ann', PASSWORD);
    await page.getByLabel('Password').waitFor({ state: 'detached' });
    const text = await heading(page);
    await release();
    await page.waitForURL((url) => url.pathname === '/cb');
    return text;
  }
  const heading = (page) => page.getByRole('heading', { level: 1 }).innerText();

  await check('a template in Go syntax is shown at the next request; its form without a token logs in', {}, async (t) => {
    const page = await t.page();
    const asked = await loopback(t, `Jane's "Tool" </script>`);
    await page.goto(asked.url);
    assert.match(await heading(page), /asks for access$/);
    writeFileSync(files(t).authorize, AUTHORIZE);
    await page.reload();
    assert.equal(await heading(page), 'House of demo');
    assert.equal(await page.title(), `Jane's "Tool" </script> - Login`);
    assert.deepEqual(await page.evaluate(() => [window.who, window.what]), [`Jane's "Tool" </script>`, asked.state]);
    assert.equal(await page.getByRole('alert').count(), 0);
    assert.equal(await page.locator('p').getAttribute('title'), asked.client);
    await t.picture(page, 'template-login');
    await signIn(page, 'ann', 'not the password');
    const alert = page.getByRole('alert');
    assert.equal(await alert.innerText(), 'Invalid username or password. Please try again.');
    assert.equal(await alert.evaluate((element) => getComputedStyle(element).color), 'rgb(1, 2, 3)');
    // No success.html there: the built-in one.
    assert.equal(await signInAndRead(page), 'You are signed in');
    await connect(asked, codeOf(asked, (await t.sites.answer(asked)).url));
  });

  await check('a template without scripts in the browser logs in as well', { authorize: AUTHORIZE }, async (t) => {
    const page = await t.page({ javaScriptEnabled: false });
    const asked = await loopback(t);
    await page.goto(asked.url);
    assert.equal(await heading(page), 'House of demo');
    await signIn(page, 'ann', PASSWORD);
    await connect(asked, codeOf(asked, (await t.sites.answer(asked)).url));
  });

  await check('a success page of the operator leads on by its own script', { success: SUCCESS }, async (t) => {
    const page = await t.page();
    const asked = await loopback(t);
    await page.goto(asked.url);
    await signIn(page, 'ann', PASSWORD);
    await page.waitForURL((url) => url.pathname === '/cb');
    const hit = await t.sites.answer(asked);
    assert.equal(hit.referer, undefined);
    await connect(asked, codeOf(asked, hit.url));
  });

  await check('a handler in an attribute of a template does not run, and does no harm', { authorize: HANDLER }, async (t) => {
    t.announce(/CSP violation: script-src-attr/, /Content Security Policy/);
    const page = await t.page();
    const asked = await loopback(t);
    await page.goto(asked.url);
    await signIn(page, 'ann', PASSWORD);
    await connect(asked, codeOf(asked, (await t.sites.answer(asked)).url));
  });

  await check('a broken edit keeps the former page and is logged with its line; a repaired one shows', {}, async (t) => {
    const page = await t.page();
    const { url } = await loopback(t);
    const edit = async (text) => {
      writeFileSync(files(t).authorize, text);
      await page.goto(url);
      return heading(page);
    };
    assert.equal(await edit(AUTHORIZE.replace('House of', 'First')), 'First demo');
    const faults = [
      ['a block that is open', AUTHORIZE.replace('House of', 'Broken').replace('{{end}}\n  <p', '<p')],
      ['an unknown function', AUTHORIZE.replace('House of', 'Broken {{nonsense .State}}')],
      ['an unknown variable', AUTHORIZE.replace('House of', 'Broken {{.Nonsense}}')],
      ['half an action', AUTHORIZE.slice(0, AUTHORIZE.indexOf('.ErrorMessage}}'))],
      ['a value in a style', AUTHORIZE.replace('color: rgb(1, 2, 3)', 'color: {{.State}}').replace('House of', 'Broken')],
      ['no UTF-8', Buffer.concat([Buffer.from(AUTHORIZE.replace('House of', 'Broken')), Buffer.from([0xff, 0xfe])])],
    ];
    for (const [fault, text] of faults) {
      const before = t.proxy.log().length;
      assert.equal(await edit(text), 'First demo', fault);
      const line = t.proxy.log().slice(before).split('\n').find((it) => it.includes('template_error'));
      assert.match(line ?? '', /authorize\.html/, `${fault} is logged`);
      if (fault !== 'no UTF-8') assert.match(line, /line \d+/, fault);
    }
    assert.equal(await edit(AUTHORIZE.replace('House of', 'Second')), 'Second demo');
  });

  await check('deleted templates give the built-in pages back', { authorize: AUTHORIZE, success: SUCCESS }, async (t) => {
    const page = await t.page();
    const asked = await loopback(t);
    await page.goto(asked.url);
    assert.equal(await heading(page), 'House of demo');
    rmSync(files(t).authorize);
    await page.reload();
    assert.equal(await heading(page), 'Test Client asks for access');
    assert.equal(await signInAndRead(page), 'Hello ann');
    rmSync(files(t).success);
    await page.goto(asked.url);
    assert.equal(await signInAndRead(page), 'You are signed in');
  });

  await check('ejected templates show the same pages', {}, async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    const good = await loopback(t);
    const bad = ask(t.base, 'mcpx_unknown', t.sites.callback);
    const read = async () => {
      const seen = [];
      for (const { url } of [good, bad]) {
        await page.goto(url);
        // What is new in each: the nonce and the token of the form.
        seen.push((await page.content()).replaceAll(/nonce="[^"]*"|value="\d+\.[^"]*"/g, ''));
      }
      return seen;
    };
    const builtin = await read();
    execFileSync(t.proxy.bin, ['-eject-templates-to', dirname(t.proxy.templates)], { stdio: 'pipe' });
    const before = t.proxy.log().length;
    assert.deepEqual(await read(), builtin);
    for (const file of ['authorize', 'error']) {
      assert.match(t.proxy.log().slice(before), new RegExp(`template_reload.*${file}\\.html`));
    }
    for (const file of Object.values(files(t))) rmSync(file);
    assert.deepEqual(await read(), builtin);
  });
}
