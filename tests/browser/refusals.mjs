// Requests that end before there is a form: whom they are told, and the way on from there.
import assert from 'node:assert/strict';
import { ARRIVED, CLAUDE, ask, codeOf, redeem, register } from './flow.mjs';

/** The answer is this error, with what every answer has. */
function told(parameters, error, asked) {
  const seen = ['error', 'state', 'iss', 'code'].map((name) => parameters.get(name));
  assert.deepEqual(seen, [error, asked.state, asked.issuer, null]);
}

export default async function refusals(check) {
  await check('unknown client: an error page, no form, no way on', async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    const answer = await page.goto(ask(t.base, 'mcpx_unknown', t.sites.callback).url);
    assert.equal(answer.status(), 400);
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'This cannot be connected');
    assert.match(await page.locator('.hint').innerText(), /Remove the server from the application and add it again/);
    assert.equal(await page.locator('form, input, a').count(), 0);
  });

  await check('unregistered redirect: an error page, no way there', async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    const answer = await page.goto(ask(t.base, await register(t.base), 'http://127.0.0.1:1/elsewhere').url);
    assert.equal(answer.status(), 400);
    assert.equal(await page.locator('form, input, a').count(), 0);
  });

  await check('unknown client of Claude: Reconnect leads back with a code that is worth nothing', async (t) => {
    t.announce(/status of 400/);
    const asked = ask(t.base, 'mcpx_unknown', CLAUDE);
    const page = await t.page();
    await page.route('https://claude.ai/**', (route) => route.fulfill(ARRIVED));
    await page.goto(asked.url);
    assert.equal(await page.locator('form, input').count(), 0);
    await page.getByRole('link', { name: 'Reconnect' }).click();
    await page.waitForURL('https://claude.ai/**');
    const { status, error } = await redeem(asked, codeOf(asked, page.url()));
    assert.deepEqual({ status, error }, { status: 401, error: 'invalid_client' });
  });

  await check('faulty request: shown with a link back for a target anybody may have, redirected for an exact one', async (t) => {
    t.announce(/status of 400/);
    const page = await t.page();
    const shown = ask(t.base, await register(t.base), t.sites.callback, { code_challenge: undefined });
    await page.goto(shown.url);
    await page.getByRole('link', { name: 'Return to the application' }).click();
    const back = new URL((await t.sites.answer(shown)).url).searchParams;
    told(back, 'invalid_request', shown);

    // The target of a redirect cannot be answered here; its name is not found on this machine.
    t.announce(/not loaded: https:\/\/claude\.ai\/.*ERR_NAME_NOT_RESOLVED/);
    const direct = ask(t.base, await register(t.base, [CLAUDE]), CLAUDE, { response_type: 'token' });
    const [last] = await Promise.all([page.waitForEvent('requestfailed'), page.goto(direct.url).catch(() => {})]);
    assert.equal((await last.redirectedFrom().response()).status(), 303);
    assert.ok(last.url().startsWith(`${CLAUDE}?`), last.url());
    const { searchParams } = new URL(last.url());
    told(searchParams, 'unsupported_response_type', direct);
  });
}
