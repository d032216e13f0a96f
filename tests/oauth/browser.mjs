// A person with a browser, without its screen: opens the login page, fills in the form, follows the link.

/** One request, no redirect followed: `{status, headers, text, json, ms}`. */
export async function ask(url, { method, headers = {}, form, json, body } = {}) {
  const since = Date.now();
  const content = form ? new URLSearchParams(form).toString() : json !== undefined ? JSON.stringify(json) : body;
  const type = form ? { 'content-type': 'application/x-www-form-urlencoded' } : json !== undefined ? { 'content-type': 'application/json' } : {};
  const answer = await fetch(url, {
    method: method ?? (content === undefined ? 'GET' : 'POST'), headers: { ...type, ...headers }, body: content,
    redirect: 'manual', signal: AbortSignal.timeout(15_000)
  });
  const text = await answer.text();
  let parsed;
  if (answer.headers.get('content-type')?.startsWith('application/json')) try { parsed = JSON.parse(text); } catch { /* seen by who needs it */ }
  return { status: answer.status, headers: answer.headers, text, json: parsed, ms: Date.now() - since };
}

const entities = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescape = (text) => text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, dec, name) =>
  hex ? String.fromCodePoint(parseInt(hex, 16)) : dec ? String.fromCodePoint(Number(dec)) : entities[name.toLowerCase()] ?? all);
function tags(html, name) {
  const attributes = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/g;
  return [...html.matchAll(new RegExp(`<${name}\\b((?:[^>"']|"[^"]*"|'[^']*')*)>`, 'gi'))].map(([, inside]) =>
    Object.fromEntries([...inside.matchAll(attributes)].map(([, key, a, b, c]) => [key.toLowerCase(), unescape(a ?? b ?? c ?? '')])));
}
/** The text that a person sees. */
export const seenText = (html) => unescape(html.replace(/<(script|style|head)\b.*?<\/\1>/gis, ' ').replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ').trim();
/** Addresses of links. */
export const links = (html) => tags(html, 'a').map((tag) => tag.href).filter(Boolean);
/** The form with a password: where it goes and what is in it. */
export function formOf(html, url) {
  for (const [whole] of html.matchAll(/<form\b.*?<\/form>/gis)) {
    const inputs = tags(whole, 'input');
    if (!inputs.some((input) => input.type === 'password')) continue;
    const fields = Object.fromEntries(inputs.filter((input) => input.name).map((input) => [input.name, input.value ?? '']));
    const [form] = tags(whole, 'form');
    return { action: new URL(form.action || url, url).href, method: (form.method ?? 'get').toUpperCase(), fields };
  }
  return undefined;
}

/** A person with a browser: it keeps cookies and sends what browsers send. */
export class Browser {
  cookies = new Map();

  async go(url, { headers = {}, ...request } = {}) {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ');
    const answer = await ask(url, {
      ...request,
      headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'accept-language': 'en', ...(cookie && { cookie }), ...headers }
    });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const at = pair.indexOf('=');
      this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return { ...answer, url: String(url) };
  }

  /** Fills in the form of a page and sends it. */
  async submit(page, fields) {
    const form = formOf(page.text, page.url);
    if (!form) throw new Error(`there is no form to sign in: status ${page.status}: ${seenText(page.text).slice(0, 300)}`);
    if (new URL(form.action).origin !== new URL(page.url).origin || form.method !== 'POST') throw new Error(`the form goes by ${form.method} to ${form.action}`);
    const headers = { origin: new URL(page.url).origin, referer: page.url, 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'document' };
    return this.go(form.action, { form: { ...form.fields, ...fields }, headers });
  }

  /** Opens the address, signs in, and gives the address that the success page leads to. */
  async signIn(url, fields) {
    const page = await this.go(url);
    if (page.status !== 200) throw new Error(`the login page: status ${page.status}: ${seenText(page.text).slice(0, 300)}`);
    const success = await this.submit(page, fields);
    const target = new URL(url).searchParams.get('redirect_uri');
    const link = links(success.text).find((link) => link.startsWith(target) || new URL(link).href.startsWith(new URL(target).href));
    if (success.status !== 200 || !link) throw new Error(`after the login: status ${success.status}: ${seenText(success.text).slice(0, 300)}`);
    return { page, success, link };
  }
}
