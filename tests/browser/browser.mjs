// The browser, and somebody who writes down everything it complains about.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(join(process.env.BROWSER_HOME, 'node/package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost',
];
/** The longest that anything may take, in milliseconds. */
const PATIENCE = 20_000;

const PHONE = { viewport: { width: 375, height: 667 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
/** How pages are looked at. */
export const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  'phone-light': { colorScheme: 'light', ...PHONE },
  'phone-dark': { colorScheme: 'dark', ...PHONE },
  // The narrowest window in which nothing may have to be scrolled sideways (WCAG 1.4.10).
  narrow: { colorScheme: 'light', ...PHONE, viewport: { width: 320, height: 568 } },
};

/** Runs in every page, before its own scripts. */
function watchPolicy() {
  document.addEventListener('securitypolicyviolation', (event) => {
    console.error(`CSP violation: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
  });
}

/** Starts the browser. */
export async function startBrowser() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS, timeout: 60_000 });
  return {
    version: browser.version(),
    stop: () => browser.close(),
    /** A fresh profile. `complaints` gets all that is written to a console, thrown, blocked or not loaded. */
    async profile(options, complaints) {
      const context = await browser.newContext({ locale: 'en-US', ...LOOKS.light, ...options });
      context.setDefaultTimeout(PATIENCE);
      if (options.javaScriptEnabled !== false) await context.addInitScript(watchPolicy);
      context.on('console', (message) => {
        const { url } = message.location();
        // Once per host, whenever the browser thinks of it; whether there is an icon is a check of its own.
        if (!['error', 'warning'].includes(message.type()) || url.endsWith('/favicon.ico')) return;
        complaints.push(`console ${message.type()}: ${message.text()} (${url})`);
      });
      context.on('weberror', (error) => complaints.push(`exception: ${error.error().message}`));
      context.on('requestfailed', (request) => {
        // What has a scheme of its own is handed to another program, not loaded.
        if (!/^(https?|data|blob|file):/.test(request.url())) return;
        complaints.push(`not loaded: ${request.url()} ${request.failure()?.errorText}`);
      });
      context.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
      return context;
    },
  };
}

/** What hinders people with an impairment on a page, by its weight: `minor`, `moderate`, `serious`, `critical`. */
export async function hindrances(page) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  if (passes.length < 10) throw new Error('the accessibility check looked at next to nothing');
  return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map(({ target }) => target.join(' ')) }));
}

/** Stops the clock of the scripts on a page and of those that follow it. Gives the function that lets it go on. */
export async function hold(page) {
  await page.clock.install();
  await page.clock.pauseAt(Date.now() + 60_000);
  return () => page.clock.resume();
}

/** Fills in the login form and sends it. */
export async function signIn(page, user, password) {
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button').click();
}
