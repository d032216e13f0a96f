// From the address that a client opens to the token it gets, by all ways a person may take.
import assert from 'node:assert/strict';
import { hold, signIn } from './browser.mjs';
import { ARRIVED, CLAUDE, CURSOR, LOOPBACK, PASSWORD, ask, codeOf, connect, register, until } from './flow.mjs';

const WRONG = 'Invalid username or password. Please try again.';
/** What has the focus, as it is called on the page. */
const focused = (page) => page.evaluate(() => {
  const { labels, textContent } = document.activeElement;
  return labels?.[0]?.textContent ?? textContent;
});
/** A page takes a moment to put the focus where it belongs. */
const focus = (page, id) => page.waitForFunction((wanted) => document.activeElement.id === wanted, id);
const describe = (page) => page.getByRole('definition').allInnerTexts();

export default async function login(check) {
  /** A registered loopback client that asks. */
  const loopback = async ({ base, sites }, change) => ask(base, await register(base), sites.callback, change);
  /** The answer that the client got is good for a token. */
  async function completes({ sites, secrets }, asked) {
    const hit = await sites.answer(asked);
    const code = codeOf(asked, hit.url);
    secrets.add(code);
    await connect(asked, code);
    return hit;
  }

  await check('login page: who asks, for what, where to; fields can be filled by a password manager', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    const answer = await page.goto(asked.url);
    assert.equal(answer.status(), 200);
    assert.equal(await page.title(), 'Sign in – Browser Proxy');
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Test Client asks for access');
    const [application, access, target] = await describe(page);
    assert.equal(application, 'Test Client');
    assert.equal(access, 'demo');
    assert.match(target, /application on this computer/);
    assert.match(target, /127\.0\.0\.1/);
    const name = page.getByLabel('User name');
    const password = page.getByLabel('Password');
    assert.equal(await name.getAttribute('autocomplete'), 'username');
    assert.equal(await name.getAttribute('autocapitalize'), 'none');
    assert.equal(await password.getAttribute('autocomplete'), 'current-password');
    assert.equal(await password.getAttribute('type'), 'password');
    await focus(page, 'username');
    assert.equal(await page.getByRole('alert').count(), 0);
    assert.equal(await page.locator('[name=state]').inputValue(), asked.state);
  });

  await check('wrong password: message as an alert, name kept, focus on the password; then the right one', async (t) => {
    t.secrets.add('not the password');
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    for (const user of ['nobody', 'ann']) {
      const posted = page.waitForResponse((answer) => answer.request().method() === 'POST');
      await signIn(page, user, 'not the password');
      assert.equal((await posted).status(), 200);
      const alert = page.getByRole('alert');
      assert.equal((await alert.innerText()).trim(), WRONG);
      const password = page.getByLabel('Password');
      assert.equal(await page.getByLabel('User name').inputValue(), user);
      assert.equal(await password.inputValue(), '');
      await focus(page, 'password');
      assert.equal(await password.getAttribute('aria-describedby'), await alert.getAttribute('id'));
      assert.equal(await page.locator('[name=state]').inputValue(), asked.state);
      assert.match(await page.title(), /failed/);
    }
    assert.equal(t.sites.answers(asked).length, 0);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await completes(t, asked);
  });

  await check('success page: says who, has the link, leads to a loopback callback by script, leaks nothing', async (t) => {
    t.secrets.add(PASSWORD);
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    const release = await hold(page);
    await signIn(page, 'ann', PASSWORD);
    const link = page.getByRole('link', { name: 'Continue to Test Client' });
    const href = await link.getAttribute('href');
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'You are signed in');
    assert.match(await page.getByRole('status').innerText(), /As ann\.\s+Going back to Test Client at .*127\.0\.0\.1/);
    assert.equal(page.url(), `${t.base}/oauth/authorize`);
    await release();
    await page.waitForURL((url) => url.pathname === '/cb');
    const hit = await completes(t, asked);
    assert.equal(hit.url, href);
    assert.equal(hit.method, 'GET');
    assert.equal(hit.referer, undefined);
    assert.equal(t.sites.answers(asked).length, 1);
  });

  await check('https callback of Claude: shown by name and host, reached by script', async (t) => {
    const client = await register(t.base, [CLAUDE], 'Some Name');
    const asked = ask(t.base, client, CLAUDE);
    const page = await t.page();
    const arrived = [];
    // Nothing leaves the machine: this request is answered here.
    await page.route('https://claude.ai/**', (route) => {
      arrived.push({ url: route.request().url(), headers: route.request().headers() });
      return route.fulfill(ARRIVED);
    });
    await page.goto(asked.url);
    const [application, , target] = await describe(page);
    assert.match(application, /^Claude/);
    assert.equal(target, 'claude.ai');
    await signIn(page, 'ann', PASSWORD);
    await page.waitForURL('https://claude.ai/**');
    assert.equal(arrived.length, 1);
    assert.equal(arrived[0].headers.referer, undefined);
    await connect(asked, codeOf(asked, arrived[0].url));
  });

  await check('callback with a scheme of its own: link and navigation by script', async (t) => {
    const asked = ask(t.base, await register(t.base, [CURSOR], 'Cursor'), CURSOR);
    const context = await t.profile();
    const page = await context.newPage();
    const protocol = await context.newCDPSession(page);
    await protocol.send('Page.enable');
    const navigations = [];
    protocol.on('Page.frameRequestedNavigation', (event) => navigations.push(event));
    await page.goto(asked.url);
    await signIn(page, 'ann', PASSWORD);
    const href = await page.getByRole('link', { name: 'Continue to Cursor' }).getAttribute('href');
    const tried = await until('a navigation to the scheme', () => navigations.find(({ url }) => url.startsWith('cursor:')));
    assert.equal(tried.url, href);
    assert.equal(tried.reason, 'scriptInitiated');
    // Nobody has registered for the scheme on this machine, so the page stays.
    assert.ok(await page.getByRole('link', { name: 'Continue to Cursor' }).isVisible());
    await connect(asked, codeOf(asked, href));
  });

  await check('cancel: access_denied with state and issuer, no code', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    await page.getByRole('link', { name: 'Cancel' }).click();
    const { searchParams } = new URL((await t.sites.answer(asked)).url);
    assert.equal(searchParams.get('error'), 'access_denied');
    assert.equal(searchParams.get('state'), asked.state);
    assert.equal(searchParams.get('iss'), t.base);
    assert.equal(searchParams.get('code'), null);
  });

  await check('without scripts: wrong password, login, on by the refresh', async (t) => {
    const asked = await loopback(t);
    const page = await t.page({ javaScriptEnabled: false });
    await page.goto(asked.url);
    await signIn(page, 'ann', 'not the password');
    await page.getByRole('alert').waitFor();
    await signIn(page, 'ann', PASSWORD);
    await completes(t, asked);
  });

  await check('without scripts: login, on by the link', async (t) => {
    t.announce(/not loaded: .*\/cb\?.*ERR_ABORTED/);
    const asked = await loopback(t);
    const page = await t.page({ javaScriptEnabled: false });
    await page.goto(asked.url);
    // The refresh gets nowhere, as with browsers that ask whether to follow it.
    await page.route('**/cb?*', (route) => route.abort('aborted'));
    const refused = page.waitForEvent('requestfailed');
    await signIn(page, 'ann', PASSWORD);
    await refused;
    await page.unroute('**/cb?*');
    await page.getByRole('link', { name: 'Continue to Test Client' }).click();
    await completes(t, asked);
  });

  await check('keyboard alone: Tab goes through the form in order, focus is visible, Enter signs in', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    await focus(page, 'username');
    const order = [await focused(page)];
    for (let step = 0; step < 3; step += 1) {
      const ring = await page.evaluate(() => parseFloat(getComputedStyle(document.activeElement).outlineWidth));
      assert.ok(ring >= 2, `${order.at(-1)} has a focus ring of ${ring} px`);
      await page.keyboard.press('Tab');
      order.push(await focused(page));
    }
    assert.deepEqual(order, ['User name', 'Password', 'Sign in and allow', 'Cancel']);
    for (let step = 0; step < 3; step += 1) await page.keyboard.press('Shift+Tab');
    await page.keyboard.type('ann');
    await page.keyboard.press('Tab');
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await completes(t, asked);
  });

  await check('keyboard alone: cancel', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    await focus(page, 'username');
    for (let step = 0; step < 3; step += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.match((await t.sites.answer(asked)).url, /error=access_denied/);
  });

  await check('empty fields are not sent', async (t) => {
    const page = await t.page();
    await page.goto((await loopback(t)).url);
    const sent = [];
    page.on('request', (request) => sent.push(request.url()));
    await page.getByRole('button').click();
    assert.equal(await page.evaluate(() => document.querySelector('#username').validity.valueMissing), true);
    await focus(page, 'username');
    assert.deepEqual(sent, []);
  });

  await check('the form can be sent by a script, as password managers do', async (t) => {
    const page = await t.page();
    await page.goto((await loopback(t)).url);
    const hidden = await page.evaluate(() => {
      const members = ['submit', 'requestSubmit', 'reset', 'action', 'method', 'elements'];
      return members.filter((name) => document.forms[0][name] instanceof Element);
    });
    assert.deepEqual(hidden, [], 'members of the form are hidden by fields of these names');
  });

  await check('popup of another site: the opener keeps it, and the callback reports back', async (t) => {
    const client = await register(t.base, [LOOPBACK.replace('127.0.0.1', 'localhost')]);
    const asked = ask(t.base, client, t.sites.callback.replace('127.0.0.1', 'localhost'));
    const { far } = t.sites.publish('/opener', `<button>Connect</button><script>
      onmessage = (event) => { window.answer = event.data; };
      document.querySelector('button').onclick = () => {
        window.popup = open(${JSON.stringify(asked.url)}, 'login', 'popup,width=500,height=700');
      };
    </script>`);
    const opener = await t.page();
    await opener.goto(far);
    const [popup] = await Promise.all([opener.waitForEvent('popup'), opener.getByRole('button').click()]);
    await popup.getByLabel('User name').waitFor();
    assert.equal(await opener.evaluate(() => window.popup.closed), false);
    assert.equal(await popup.evaluate(() => window.opener !== null), true);
    await signIn(popup, 'ann', PASSWORD);
    await opener.waitForFunction(() => window.answer);
    assert.equal(await opener.evaluate(() => window.popup.closed), false);
    await connect(asked, codeOf(asked, `${asked.redirect}${await opener.evaluate(() => window.answer)}`));
    await Promise.all([popup.waitForEvent('close'), opener.evaluate(() => window.popup.close())]);
  });

  await check('login at the other name of this computer: the issuer is what was asked', async (t) => {
    const base = `http://localhost:${t.proxy.port}`;
    const asked = ask(base, await register(base), t.sites.callback);
    const page = await t.page();
    await page.goto(asked.url);
    await signIn(page, 'ann', PASSWORD);
    await completes(t, asked);
  });
}
