// What people and browsers do more than once: tabs, clicks, reloads, going back.
import assert from 'node:assert/strict';
import { signIn } from './browser.mjs';
import { PASSWORD, ask, codeOf, connect, redeem, register } from './flow.mjs';

export default async function repeats(check) {
  const loopback = async ({ base, sites }) => ask(base, await register(base), sites.callback);
  const completes = async ({ sites }, asked) => connect(asked, codeOf(asked, (await sites.answer(asked)).url));
  const posts = (page) => {
    const sent = [];
    page.on('request', (request) => { if (request.method() === 'POST') sent.push(request.url()); });
    return sent;
  };

  await check('two tabs with the same request: both are usable', async (t) => {
    const asked = await loopback(t);
    const context = await t.profile();
    const tabs = [await context.newPage(), await context.newPage()];
    for (const tab of tabs) await tab.goto(asked.url);
    const codes = [];
    for (const tab of tabs) {
      await signIn(tab, 'ann', PASSWORD);
      await tab.waitForURL((url) => url.pathname === '/cb');
      codes.push(codeOf(asked, tab.url()));
    }
    assert.notEqual(codes[0], codes[1]);
    for (const code of codes) await connect(asked, code);
  });

  await check('a second click while the first is under way: sent once', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    const sent = posts(page);
    let release;
    const clicked = new Promise((done) => { release = done; });
    await page.route('**/oauth/authorize', (route) => clicked.then(() => route.continue()).catch(() => { /* given up */ }));
    await page.goto(asked.url);
    await page.getByLabel('User name').fill('ann');
    await page.getByLabel('Password').fill(PASSWORD);
    const { x, y, width, height } = await page.getByRole('button').boundingBox();
    const click = () => page.mouse.click(x + width / 2, y + height / 2);
    const first = page.waitForRequest((request) => request.method() === 'POST');
    await click();
    await first;
    await click();
    release();
    await page.waitForURL((url) => url.pathname === '/cb');
    assert.equal(sent.length, 1);
    await completes(t, asked);
  });

  await check('double click without scripts: what arrives is redeemable', async (t) => {
    const asked = await loopback(t);
    // The first of two navigations is given up by the browser.
    t.tolerate(/not loaded: .*\/oauth\/authorize net::ERR_ABORTED/);
    const page = await t.page({ javaScriptEnabled: false });
    await page.goto(asked.url);
    await page.getByLabel('User name').fill('ann');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button').dblclick();
    await page.waitForURL((url) => url.pathname === '/cb');
    await completes(t, asked);
  });

  await check('one form sent three times: one redeemable code, then "Already connected"', async (t) => {
    const asked = await loopback(t);
    const context = await t.profile();
    const page = await context.newPage();
    await page.goto(asked.url);
    await page.getByLabel('User name').fill('ann');
    await page.getByLabel('Password').fill(PASSWORD);
    const send = async () => {
      const [tab] = await Promise.all([
        context.waitForEvent('page'),
        page.evaluate(() => {
          const form = document.forms[0];
          form.target = '_blank';
          HTMLFormElement.prototype.submit.call(form);
        }),
      ]);
      return tab;
    };
    const tabs = [await send(), await send()];
    const codes = [];
    for (const tab of tabs) {
      await tab.waitForURL((url) => url.pathname === '/cb');
      codes.push(codeOf(asked, tab.url()));
    }
    const outcomes = [];
    for (const code of codes) outcomes.push(await redeem(asked, code));
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), [200, 400]);
    assert.equal(outcomes.find(({ status }) => status === 400).error, 'invalid_grant');

    const late = await send();
    await late.getByRole('heading', { name: 'Already connected' }).waitFor();
    assert.equal(await late.locator('a').count(), 0);
    assert.equal(t.sites.answers(asked).length, 2);
  });

  await check('reload of the form, and of the page after a wrong password', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    await page.getByLabel('User name').fill('somebody');
    await page.reload();
    await page.getByLabel('User name').waitFor();
    await signIn(page, 'ann', 'not the password');
    await page.getByRole('alert').waitFor();
    await page.reload();
    await page.getByRole('alert').waitFor();
    await signIn(page, 'ann', PASSWORD);
    await completes(t, asked);
  });

  await check('reload of the success page: still signed in, one redeemable code', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    // Holds the browser on the page.
    let hold = true;
    await page.route('**/cb?*', (route) => (hold ? route.abort('aborted') : route.continue()));
    await page.goto(asked.url);
    const held = page.waitForEvent('requestfailed');
    await signIn(page, 'ann', PASSWORD);
    const link = page.getByRole('link', { name: 'Continue to Test Client' });
    const first = codeOf(asked, await link.getAttribute('href'));
    await held;
    await page.reload();
    hold = false;
    await page.waitForURL((url) => url.pathname === '/cb');
    const second = codeOf(asked, page.url());
    assert.notEqual(first, second);
    assert.equal((await redeem(asked, first)).error, 'invalid_grant');
    await connect(asked, second);
    t.announce(/not loaded: .*\/cb\?.*ERR_ABORTED/);
  });

  await check('back after success: the form again, empty and usable', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    await signIn(page, 'ann', PASSWORD);
    await page.waitForURL((url) => url.pathname === '/cb');
    const first = codeOf(asked, page.url());
    await connect(asked, first);
    await page.goBack();
    assert.equal(page.url(), asked.url);
    assert.equal(await page.getByLabel('Password').inputValue(), '');
    assert.equal(await page.getByRole('button').innerText(), 'Sign in and allow');
    await signIn(page, 'ann', PASSWORD);
    await page.waitForURL((url) => url.pathname === '/cb');
    const second = codeOf(asked, page.url());
    assert.notEqual(first, second);
    await connect(asked, second);
  });

  await check('back after a wrong password: usable', async (t) => {
    const asked = await loopback(t);
    const page = await t.page();
    await page.goto(asked.url);
    await signIn(page, 'ann', 'not the password');
    await page.getByRole('alert').waitFor();
    await page.goBack();
    assert.equal(await page.getByRole('alert').count(), 0);
    await signIn(page, 'ann', PASSWORD);
    await completes(t, asked);
  });
}
