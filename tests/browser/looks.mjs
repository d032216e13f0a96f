// How every kind of page looks: light, dark, on a phone; for those who cannot see it, too.
import assert from 'node:assert/strict';
import { LOOKS, signIn } from './browser.mjs';
import { CLAUDE, CURSOR, PASSWORD, ask, register } from './flow.mjs';

/** Ways to each kind of page. Success pages are those of a scheme that nobody has, so that they stay. */
const KINDS = {
  async login(t, page) {
    await page.goto(ask(t.base, await register(t.base), t.sites.callback).url);
  },
  async 'login-all-servers'(t, page) {
    await page.goto(ask(t.base, await register(t.base, [CLAUDE]), CLAUDE, { resource: undefined }).url);
  },
  async 'login-long-name'(t, page) {
    const client = await register(t.base, [CURSOR], 'Longwordwithoutanyblank'.repeat(5).slice(0, 100));
    await page.goto(ask(t.base, client, CURSOR).url);
  },
  async 'wrong-password'(t, page) {
    await KINDS.login(t, page);
    await signIn(page, 'a-user-name-of-some-length@example.org', 'not the password');
    await page.getByRole('alert').waitFor();
  },
  async throttled(t, page) {
    await KINDS.login(t, page);
    // The first five tries are free.
    for (let tries = 0; tries < 8; tries += 1) {
      const posted = page.waitForResponse((answer) => answer.request().method() === 'POST');
      await signIn(page, 'bob', 'not the password');
      const answer = await posted;
      await page.getByRole('alert').waitFor();
      if (answer.status() !== 429) continue;
      assert.match(await page.getByRole('alert').innerText(), /^\s*Too many attempts\. Please wait \d+ s and try again\.\s*$/);
      assert.ok(Number(answer.headers()['retry-after']) >= 1);
      return;
    }
    throw new Error('never throttled');
  },
  async success(t, page) {
    await page.goto(ask(t.base, await register(t.base, [CURSOR], 'Cursor'), CURSOR).url);
    await signIn(page, 'ann', PASSWORD);
    await page.getByRole('status').waitFor();
  },
  async error(t, page) {
    await page.goto(ask(t.base, 'mcpx_unknown', t.sites.callback).url);
  },
  async 'error-reconnect'(t, page) {
    await page.goto(ask(t.base, 'mcpx_unknown', CLAUDE).url);
  },
  async 'error-return'(t, page) {
    await page.goto(ask(t.base, await register(t.base), t.sites.callback, { code_challenge: undefined }).url);
  },
};
const REFUSED = {
  throttled: /status of 429/, error: /status of 400/, 'error-reconnect': /status of 400/, 'error-return': /status of 400/,
};

const brightness = (page) => page.evaluate(() => {
  const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
  return (red + green + blue) / 3;
});

export default async function looks(check) {
  for (const [look, options] of Object.entries(LOOKS)) {
    for (const [kind, go] of Object.entries(KINDS)) {
      await check(`${kind} page, ${look}: fits, in its colours, nobody is hindered`, async (t) => {
        if (REFUSED[kind]) t.announce(REFUSED[kind]);
        const page = await t.page(options);
        await go(t, page);
        await t.picture(page, `${kind}-${look}`);
        const bright = await brightness(page);
        assert.ok(options.colorScheme === 'dark' ? bright < 60 : bright > 200, `the page is ${bright} bright`);

        const [width, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(width <= options.viewport.width && inner === options.viewport.width, `${width} wide in a window of ${inner}`);

        const small = await page.evaluate(() => {
          const visible = [...document.querySelectorAll('a, button, input:not([type=hidden])')]
            .filter((element) => element.checkVisibility());
          return visible.flatMap((element) => {
            const { width, height } = element.getBoundingClientRect();
            // Fields and buttons are for thumbs; 24 is what WCAG 2.5.8 asks for of all.
            const least = element.matches('input, button, .button') ? 44 : 24;
            // Phones zoom in on fields with letters smaller than 16.
            const letters = element.matches('input') && parseFloat(getComputedStyle(element).fontSize) < 16;
            return width < least || height < least || letters ? [`${element.tagName} ${element.id} ${width}×${height}`] : [];
          });
        });
        assert.deepEqual(small, [], 'too small for a finger');

        const found = await t.hindrances(page);
        const heavy = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        assert.deepEqual(heavy, []);
        if (found.length) t.remark(`of less weight: ${found.map(({ id }) => id)}`);
        const landmarks = await page.evaluate(() => {
          const count = (name) => document.querySelectorAll(name).length;
          return { lang: document.documentElement.lang, h1: count('h1'), main: count('main') };
        });
        assert.deepEqual(landmarks, { lang: 'en', h1: 1, main: 1 });
      });
    }
  }

  await check('login by touch on a phone', async (t) => {
    const asked = ask(t.base, await register(t.base), t.sites.callback);
    const page = await t.page(LOOKS['phone-light']);
    await page.goto(asked.url);
    await page.getByLabel('User name').tap();
    await page.keyboard.type('ann');
    await page.getByLabel('Password').tap();
    await page.keyboard.type(PASSWORD);
    await page.getByRole('button').tap();
    await t.sites.answer(asked);
  });

  await check('less motion, forced colours, letters twice as large: all is there', async (t) => {
    const page = await t.page({ reducedMotion: 'reduce', forcedColors: 'active' });
    await KINDS.success(t, page);
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    assert.ok(await page.getByRole('link').isVisible());
    const large = await t.page({ viewport: { width: 640, height: 400 } });
    await KINDS['wrong-password'](t, large);
    await large.evaluate(() => { document.documentElement.style.setProperty('font-size', '200%'); });
    assert.ok(await large.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'scrolls sideways');
    await t.picture(large, 'wrong-password-large-letters');
  });

  await check('pages have an icon, or say that there is none', async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    const missing = (await fetch(`${t.base}/favicon.ico`)).status >= 400;
    const bare = [];
    for (const kind of ['login', 'success', 'error']) {
      await KINDS[kind](t, page);
      if (missing && !(await page.locator('link[rel~=icon]').count())) bare.push(kind);
    }
    assert.deepEqual(bare, [], 'on these the browser looks for /favicon.ico, which is an error on the console');
  });
}
