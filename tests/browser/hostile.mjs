// What others may try: markup in every field, frames, forms of their own, and what the header fields say about it.
import assert from 'node:assert/strict';
import { signIn } from './browser.mjs';
import { CURSOR, LOOPBACK, MARKUP_USER, PASSWORD, ask, codeOf, connect, register } from './flow.mjs';

const PAYLOADS = [
  '<script>pwned=1</script>',
  '"><img src=x onerror=pwned=1>',
  `' onfocus='pwned=1' autofocus tabindex='1`,
  '</title></style></script><svg onload=pwned=1>',
  '\\"-(pwned=1)-\\"{{.State}}${pwned=1}',
  'javascript:pwned=1//',
];
const FIELDS = ['client_id', 'redirect_uri', 'resource', 'response_type', 'code_challenge', 'code_challenge_method'];
/** A scope may not have all characters; this one is dropped, that one an error. */
const SCOPES = ['<script>pwned=1</script>', '"><img src=x onerror=pwned=1>'];

/** Nothing foreign has become part of the page. Scripts and styles are those of the template. */
async function clean(page, where) {
  const found = await page.evaluate(() => {
    const all = [...document.querySelectorAll('*')];
    const foreign = all.filter((element) => element.matches('img, iframe, object, embed, base, svg [onload], b')
      || element.getAttributeNames().some((name) => name.startsWith('on'))
      || /^\s*javascript:/i.test(element.getAttribute('href') ?? element.getAttribute('action') ?? ''));
    return { foreign: foreign.map((element) => element.outerHTML), scripts: document.scripts.length, pwned: window.pwned };
  });
  assert.deepEqual(found.foreign, [], where);
  assert.ok(found.scripts <= 1, `${where}: ${found.scripts} scripts`);
  assert.equal(found.pwned, undefined, where);
}

export default async function hostile(check) {
  const loopback = async ({ base, sites }) => ask(base, await register(base), sites.callback);

  await check('header fields of login, failed login, success and error page', async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    const seen = [];
    page.on('response', (answer) => { if (answer.url().startsWith(`${t.base}/oauth/authorize`)) seen.push(answer); });
    const asked = await loopback(t);
    await page.goto(asked.url);
    await signIn(page, 'ann', 'not the password');
    await page.getByRole('alert').waitFor();
    await signIn(page, 'ann', PASSWORD);
    await page.waitForURL((url) => url.pathname === '/cb');
    await page.goto(ask(t.base, 'mcpx_unknown', t.sites.callback).url);
    assert.deepEqual(seen.map((answer) => answer.status()), [200, 200, 200, 400]);
    const nonces = new Set();
    for (const [index, answer] of seen.entries()) {
      const headers = await answer.allHeaders();
      const { 'content-security-policy': policy } = headers;
      const expected = {
        'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', pragma: 'no-cache', 'x-frame-options': 'DENY',
        'referrer-policy': 'same-origin', 'permissions-policy': 'camera=(), geolocation=(), microphone=()',
        'x-robots-tag': 'noindex', 'x-content-type-options': 'nosniff', 'cross-origin-opener-policy': undefined,
        'access-control-allow-origin': undefined, 'strict-transport-security': undefined, location: undefined,
      };
      const got = Object.fromEntries(Object.keys(expected).map((name) => [name, headers[name]]));
      assert.deepEqual(got, expected, `answer ${index}`);
      const nonce = /style-src 'nonce-([A-Za-z0-9_-]{20,})'/.exec(policy)?.[1];
      nonces.add(nonce);
      const target = answer.status() === 400 ? '' : ` http://127.0.0.1:${t.sites.port}`;
      assert.equal(policy, `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; img-src 'self' data:; `
        + `base-uri 'none'; frame-ancestors 'none'; form-action 'self'${target}`);
    }
    assert.equal(nonces.size, seen.length, 'a nonce is used once');
  });

  await check('the policy is in force: an injected script, style, image, frame and request do nothing', async (t) => {
    const directives = [
      'script-src-elem', 'script-src-attr', 'style-src-elem', 'img-src', 'frame-src', 'connect-src', 'base-uri', 'form-action',
    ];
    t.announce(...directives.map((directive) => new RegExp(`CSP violation: ${directive} `)));
    t.announce(/Content Security Policy/, /not loaded: /, /data:image/);
    const page = await t.page();
    await page.goto((await loopback(t)).url);
    await page.evaluate(async (there) => {
      const add = (name, members) => document.body.append(Object.assign(document.createElement(name), members));
      add('script', { textContent: 'pwned=1' });
      add('div', { innerHTML: '<img src="data:image/gif;base64,x" onerror="pwned=1">' });
      add('style', { textContent: 'body { display: none }' });
      add('img', { src: `${there}/x.png` });
      add('iframe', { src: there });
      await fetch(there).catch(() => {});
      document.head.append(Object.assign(document.createElement('base'), { href: there }));
      const action = there.replace('127.0.0.1', 'localhost');
      const form = Object.assign(document.createElement('form'), { action, method: 'post' });
      document.body.append(form);
      form.submit();
    }, t.sites.callback);
    await page.waitForFunction(() => document.querySelector('iframe'));
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).display), 'flex');
  });

  // The second time without the policy: the escaping has to hold alone.
  for (const [name, options] of [['', {}], [', policy off', { bypassCSP: true }]]) {
    await check(`markup in client_name, state and username stays text${name}`, async (t) => {
      const page = await t.page(options);
      for (const payload of PAYLOADS) {
        const asked = ask(t.base, await register(t.base, [CURSOR], payload), CURSOR, { state: payload });
        await page.goto(asked.url);
        await clean(page, `login, ${payload}`);
        assert.equal(await page.locator('[name=state]').inputValue(), payload);
        assert.ok((await page.getByRole('heading').innerText()).includes(payload.slice(0, 20)), 'the name is shown as it is');
        await signIn(page, payload, 'not the password');
        await page.getByRole('alert').waitFor();
        await clean(page, `failed login, ${payload}`);
        assert.equal(await page.getByLabel('User name').inputValue(), payload);
        await signIn(page, MARKUP_USER, PASSWORD);
        await page.getByRole('status').waitFor();
        await clean(page, `success, ${payload}`);
        assert.ok((await page.getByRole('status').innerText()).includes(MARKUP_USER));
        const href = await page.locator('#continue').getAttribute('href');
        assert.ok(href.startsWith(`${CURSOR}?code=`), href);
        codeOf(asked, href);
      }
    });

    await check(`markup in scope, client_id, redirect_uri, resource and response_type stays text${name}`, async (t) => {
      t.announce(/status of 400/);
      const page = await t.page(options);
      const client = await register(t.base);
      const go = async (change, id = client) => {
        const answer = await page.goto(ask(t.base, id, t.sites.callback, change).url);
        await clean(page, JSON.stringify(change));
        return answer.status();
      };
      assert.equal(await go({ scope: SCOPES[0] }), 200);
      assert.equal(await page.locator('[name=scope]').inputValue(), SCOPES[0]);
      assert.equal(await go({ scope: SCOPES[1] }), 400);
      for (const payload of PAYLOADS) {
        for (const name of FIELDS) {
          assert.equal(await go({ [name]: payload }), 400, name);
        }
        // A link back, with all that came.
        assert.equal(await go({ state: payload, response_type: 'token' }), 400);
        const href = await page.getByRole('link').getAttribute('href');
        assert.equal(new URL(href).searchParams.get('state'), payload);
        assert.equal(new URL(href).port, String(t.sites.port));
      }
    });
  }

  await check('a page of another origin cannot frame login and error page', async (t) => {
    t.announce(/frame-ancestors|X-Frame-Options/i, /not loaded: .*ERR_BLOCKED_BY_RESPONSE/, /status of 400/);
    const context = await t.profile();
    for (const [index, { url }] of [await loopback(t), ask(t.base, 'mcpx_unknown', t.sites.callback)].entries()) {
      const frame = `<iframe src="${url.replaceAll('&', '&amp;')}" width="800" height="600"></iframe>`;
      const { near, far } = t.sites.publish(`/frame${index}`, frame);
      for (const place of [near, far]) {
        const page = await context.newPage();
        await page.goto(place);
        const inner = page.frames().find((it) => it.parentFrame());
        assert.match(await inner.evaluate(() => location.href), /^chrome-error:/);
        assert.match(await inner.locator('body').innerText(), /refused to connect/);
        assert.equal(await inner.locator('form, input').count(), 0);
        await page.close();
      }
    }
  });

  // Login CSRF: an attacker fetches a form, with its token, and has the visitor of a page send it with the attacker's
  // password.
  for (const [name, place, frame] of [
    ['another site', 'far', (form) => form],
    ['another port', 'near', (form) => form],
    ['a page without an origin', 'near', (form) => `<iframe sandbox="allow-forms allow-scripts allow-top-navigation"
      srcdoc='${form.replaceAll("'", '&#39;')}'></iframe>`],
  ]) {
    await check(`a form sent by ${name} is refused`, async (t) => {
      t.announce(/status of 403/);
      const asked = await loopback(t);
      const html = await (await fetch(asked.url)).text();
      const hidden = html.match(/<input type="hidden"[^>]*>/g);
      assert.ok(hidden.some((field) => /name="form_token" value="[^"]{40,}"/.test(field)));
      const form = `<form method="post" target="_top" action="${t.base}/oauth/authorize">${hidden.join('')}
        <input name="username" value="ann"><input name="password" value="${PASSWORD}"></form>
        <script>document.forms[0].submit()</script>`;
      const page = await t.page();
      const sent = page.waitForResponse((answer) => answer.request().method() === 'POST');
      await page.goto(t.sites.publish('/forged', frame(form))[place]).catch(() => {});
      const answer = await sent;
      const { origin, 'sec-fetch-site': site } = await answer.request().allHeaders();
      const from = `Origin ${origin}, Sec-Fetch-Site ${site}`;
      assert.equal(answer.status(), 403, from);
      assert.match(from, frame('') === '' ? /Origin http:/ : /Origin null/);
      await page.waitForURL(`${t.base}/oauth/authorize`);
      assert.equal(await page.locator('form, a').count(), 0);
      assert.equal(t.sites.answers(asked).length, 0);
    });
  }

  await check('a hidden field that was changed is caught', async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    for (const name of ['state', 'code_challenge', 'scope', 'resource', 'redirect_uri', 'form_token']) {
      await page.goto((await loopback(t)).url);
      await page.locator(`[name=${name}]`).evaluate((field) => {
        const { name, value } = field;
        // Each is still in order by itself.
        if (name === 'code_challenge') field.value = `${value.slice(1)}A`;
        else if (name === 'redirect_uri') field.value = value.replace('127.0.0.1', 'localhost');
        else field.value = name === 'resource' ? '' : `${value}x`;
      });
      await signIn(page, 'ann', PASSWORD);
      await page.getByRole('alert').waitFor();
      assert.equal(await page.getByRole('heading', { name: 'You are signed in' }).count(), 0, name);
    }
  });

  await check('another site that opens the page sees nothing of it', async (t) => {
    const client = await register(t.base, [LOOPBACK]);
    const asked = ask(t.base, client, t.sites.callback);
    const { far } = t.sites.publish('/spy', `<script>window.spied = open(${JSON.stringify(asked.url)})</script>`);
    const context = await t.profile();
    const page = await context.newPage();
    const [popup] = await Promise.all([context.waitForEvent('page'), page.goto(far)]);
    await popup.getByLabel('Password').waitFor();
    // Another origin: the opener sees that the window is there, and nothing in it.
    const seen = await page.evaluate(() => {
      try { return window.spied.document.title; } catch (error) { return error.name; }
    });
    assert.equal(seen, 'SecurityError');
    await signIn(popup, 'ann', PASSWORD);
    await connect(asked, codeOf(asked, (await t.sites.answer(asked)).url));
  });
}
