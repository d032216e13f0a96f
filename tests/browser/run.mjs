// run.mjs BIN   goes through the login in Chromium, as people and as attackers do
//
// Started by run.sh, which installs everything. One proxy, one browser and one server for all other sites are started;
// each check has browser profiles of its own and fails also when a page in them complains: a line on the console, an
// exception, a blocked or failed request that the check has not announced.
//
//   ONLY   run only the checks whose line contains this text
//   OUT    keep the pictures and the log of the proxy here (default: a new temporary folder)
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hindrances, startBrowser } from './browser.mjs';
import { startProxy } from './flow.mjs';
import { startSites } from './sites.mjs';
import hostile from './hostile.mjs';
import login from './login.mjs';
import looks from './looks.mjs';
import refusals from './refusals.mjs';
import repeats from './repeats.mjs';
import templates from './templates.mjs';

const bin = resolve(process.argv[2]);
const out = resolve(process.env.OUT ?? mkdtempSync(join(realpathSync(tmpdir()), 'mcp-browser-')));
const folder = join(out, 'proxy');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const [proxy, sites, browser] = await Promise.all([startProxy(bin, folder), startSites(), startBrowser()]);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));
console.log(`# ${bin.split('/').pop()} with Chromium ${browser.version}`);

const tally = { ok: 0, FAIL: 0 };
/** Codes and passwords that must not turn up in the log. */
const secrets = new Set();

/** Runs one check: `steps` gets what it needs, and throws when something is not as it should be. */
async function check(name, steps) {
  if (process.env.ONLY && !name.includes(process.env.ONLY)) return;
  const complaints = [];
  const announced = [];
  const tolerated = [];
  const contexts = [];
  const remarks = [];
  const tools = {
    proxy, sites, base: proxy.base, secrets,
    /** A new profile of the browser. */
    async profile(options = {}) {
      const context = await browser.profile(options, complaints);
      contexts.push(context);
      return context;
    },
    /** A page in a new profile. */
    async page(options) { return (await this.profile(options)).newPage(); },
    /** Complaints that are right here. Each of them has to come. */
    announce: (...patterns) => announced.push(...patterns),
    /** Complaints that may come. */
    tolerate: (pattern) => tolerated.push(pattern),
    /** Something to be said beside the result. */
    remark: (text) => remarks.push(text),
    /** Keeps a picture of a page. */
    async picture(page, file) {
      await page.screenshot({ path: join(out, `${file}.png`), fullPage: true, animations: 'disabled' });
    },
    hindrances,
  };
  let fault = null;
  try {
    await steps(tools);
    for (const pattern of announced) {
      if (!complaints.some((text) => pattern.test(text))) throw new Error(`no complaint like ${pattern}`);
    }
    const rest = complaints.filter((text) => ![...announced, ...tolerated].some((pattern) => pattern.test(text)));
    if (rest.length) throw new Error(`the browser complained: ${rest.join(' | ')}`);
  } catch (error) {
    fault = error;
    const open = contexts.flatMap((context) => context.pages()).at(-1);
    const file = join(out, `failed-${name.replace(/[^a-z0-9]+/gi, '-').slice(0, 60)}.png`);
    await open?.screenshot({ path: file, timeout: 5000 }).catch(() => {});
  }
  await Promise.all(contexts.map((context) => context.close()));
  const word = fault ? 'FAIL' : 'ok';
  tally[word] += 1;
  const told = fault ? `: ${String(fault.message).replace(/\s*\n\s*/g, ' ¶ ')}` : remarks.map((text) => ` (${text})`).join('');
  console.log(`${word} ${name}${told}`);
}

for (const checks of [login, refusals, repeats, hostile, looks, templates]) await checks(check);

await browser.stop();
sites.stop();
await check('the proxy ends when asked', async () => {
  if (!(await proxy.stop())) throw new Error('it had to be killed, or ended with an error');
});
await check('the log has no password and no code', async () => {
  const log = proxy.log();
  const told = [...secrets].filter((secret) => log.includes(secret));
  if (secrets.size < 2 && !process.env.ONLY) throw new Error('too few secrets were noted');
  if (told.length || log.includes('mcpx_ac_')) throw new Error(`${told.length} of ${secrets.size} are in it`);
});

console.log(`# pictures and log: ${out}`);
console.log(`${tally.ok} passed, ${tally.FAIL} failed`);
process.exit(tally.FAIL || !tally.ok ? 1 : 0);
