// `oauth doctor` at a proxy that is well set up, and behind reverse proxies that are not.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bin, group, out, start, startProxy, stop, within } from './lib.mjs';
import { faults, front } from './front.mjs';

/** Its report: `{code, text, failures, warnings}`. */
let runs = 0;
async function examine(url) {
  const log = `doctor-${++runs}`;
  rmSync(join(out, `${log}.log`), { force: true });
  const child = start(log, bin, ['oauth', 'doctor', url]);
  const code = await within(60_000, child.ended, 'the verdict').finally(() => stop(child));
  const text = readFileSync(join(out, `${log}.log`), 'utf8');
  const lines = (mark) => text.split(/\n(?=\S)/).filter((line) => line.startsWith(`${mark} `)).map((line) => line.slice(mark.length + 1).replace(/\s+/g, ' '));
  return { code, text, ok: lines('ok  '), warnings: lines('warn'), failures: lines('FAIL') };
}

/** What it has to say first of each fault, and in which advice; a third `warning` is for what few clients suffer from. */
const findings = {
  'strips WWW-Authenticate': [/challenge|WWW-Authenticate/, /strips/],
  'asks for a password of its own': [/asks for `Basic`/, /basic authentication/],
  'has a page for everything that it does not know': [/metadata of the server: status 200, an HTML page/, /web page/],
  'does not forward /.well-known/': [/metadata of the server: status 404, an HTML page/, /forward/],
  'hides the authorization server': [/metadata of the authorization server.*404/, /forward/],
  'does not forward /oauth/': [/registration.*404|register.*404/, /forward/],
  'has pages of its own for errors': [/\/\.well-known\/\S+ is missing, but an HTML page says so/, /proxy_intercept_errors/],
  'has pages of its own for refused requests': [/dead refresh token/, /./],
  'leads to https': [/a request without a token: status 301, a redirect to https:\/\//, /http and https/],
  'leads /.well-known/ to https': [/metadata of the server: status 308, a redirect to https:\/\//, /http and https/],
  'leads the login to another page': [/login page: status 302, a redirect/, /Cloudflare Access/],
  'changes Host': [/resource_metadata is on http:\/\/127\.0\.0\.1:\d+, but the URL on http:\/\/127\.0\.0\.1:\d+/, /baseURL/],
  'takes a part of the path away': [/metadata/, /path|forward/],
  'keeps the part of the path': [/nothing is served at \/deep\/demo\/mcp/, /is served: type that into the client/],
  'refuses registration': [/regist.*403/, /firewall|filter|deny/],
  'has lost its upstream': [/status 502/, /proxy runs/],
  'drops the query': [/login page.*400/, /query/],
  'rewrites addresses to https': [/metadata is about `https:/, /scheme|https/],
  'adds a slash to the issuer': [/the issuer is `\S+\/`, expected/, /byte by byte/],
  'takes CORS away': [/the metadata may not be asked by scripts of other/, /Access-Control|browser/, 'warning'],
  'holds streams back': [/event streams arrive as a whole when they end/, /proxy_buffering off/],
  'drops what clients say of a session': [/do not arrive: Mcp-Method, Mcp-Name, MCP-Protocol-Version, Mcp-Session-Id/, /del-header/],
  'refuses large requests': [/1\.1 MiB is refused with 413/, /client_max_body_size 17m/, 'warning'],
  'cuts long answers': [/an answer that takes 1 s is cut/, /timeout: 0s/],
  'answers preflights itself': [/the metadata: the preflight of a browser is answer/, /OPTIONS/, 'warning']
};

export default async function doctor() {
  const options = { oauth2: { allowedRedirectURIs: ['claude', 'loopback'] } };
  const proxy = await startProxy('examined', options);
  const upstream = () => `127.0.0.1:${proxy.port}`;

  await group('doctor', async ({ is, ok }) => {
    for (const path of ['/demo/mcp', '/mcp', '/other']) {
      const report = await examine(proxy.base + path);
      is(`finds nothing wrong with ${path}`, [report.code, report.failures, report.warnings], [0, [], []]);
      for (const step of ['refused with 401', 'names its metadata', 'metadata of the server is about', 'has the issuer', 'further addresses', 'from a browser', 'registration works', 'login page has its form', 'invalid_grant', 'invalid_client']) {
        ok(`has looked at ${path}: ${step}`, report.ok.some((line) => line.includes(step)), report.text);
      }
    }
    const base = await examine(proxy.base);
    is('goes on from the base address with a warning', [base.code, base.failures, base.warnings.length], [0, [], 1]);
    const open = await examine(`${proxy.base}/open/mcp`);
    is('fails for a server that needs no login', [open.code, open.failures.length, /open/.test(open.failures[0])], [1, 1, true]);
    const unknown = await examine(`${proxy.base}/dmeo/mcp`);
    is('fails for a server that there is not', [unknown.code, /nothing is served at \/dmeo\/mcp/.test(unknown.failures[0])], [1, true]);
    const through = await front(upstream);
    const report = await examine(`${through.base}/demo/mcp`);
    is('finds nothing wrong behind a good reverse proxy', [report.code, report.failures, report.warnings], [0, [], []]);
    through.close();
  });

  await group('doctor behind one that', async ({ is, ok }) => {
    for (const [name, fault] of Object.entries(faults)) {
      const [what, advice, warning] = findings[name];
      const bad = await front(upstream, fault);
      const report = await examine(`${bad.base}/demo/mcp`);
      bad.close();
      const [said = ''] = warning ? report.warnings : report.failures;
      is(`${name}: ${warning ? 'warns' : 'fails'}`, [report.code, report.failures.length > 0], warning ? [0, false] : [1, true]);
      ok(`${name}: says where`, what.test(said), report.text);
      ok(`${name}: says what to do`, advice.test(said), report.text);
    }
  });
  await proxy.stop();

  await group('doctor with a baseURL', async ({ is, ok }) => {
    let port;
    const outer = await front(() => `127.0.0.1:${port}`, { prefix: '/deep' });
    const address = new URL(outer.base);
    for (const [what, baseURL, url, wrong] of [
      ['that has a path', outer.base, `${outer.base}/demo/mcp`],
      ['that ends with a slash', `${outer.base}/`, `${outer.base}/demo/mcp`],
      ['of another host', 'http://localhost:1/deep', `${outer.base}/demo/mcp`, /resource_metadata is on http:\/\/localhost:1/],
      ['of another scheme', `https://${address.host}/deep`, `${outer.base}/demo/mcp`, /resource_metadata is on https:/],
      ['without the path that is asked for', address.origin, `${outer.base}/demo/mcp`, /nothing is served at \/deep\/demo\/mcp/]
    ]) {
      const inner = await startProxy('examined-base', { ...options, proxy: { baseURL } });
      ({ port } = inner);
      const report = await examine(url);
      if (wrong) {
        is(`${what}: fails`, report.code, 1);
        ok(`${what}: says where`, wrong.test(report.failures[0] ?? ''), report.text);
      } else {
        is(`${what}: finds nothing wrong`, [report.code, report.failures, report.warnings], [0, [], []]);
      }
      await inner.stop();
    }
    outer.close();
    const nobody = await examine(`${outer.base}/demo/mcp`);
    is('and nobody there: fails', [nobody.code, nobody.failures.length], [1, 1]);
  });
}
