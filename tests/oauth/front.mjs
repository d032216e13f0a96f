// A reverse proxy as people put one in front, and the ways in which it stands in the way.
import { createServer, request as ask } from 'node:http';

const html = (status, title) => (_, response) => {
  response.writeHead(status, { 'content-type': 'text/html', server: 'nginx/1.27.0' }).end(`<!DOCTYPE html><title>${title}</title><h1>${title}</h1>`);
};
const at = (test, answer) => ({ answer: (request) => (test(new URL(request.url, 'http://x').pathname, request) ? answer : undefined) });
const wellKnown = (path) => path.includes('/.well-known/');
const editing = (test, edit) => ({
  body: (request, text) => (test(new URL(request.url, 'http://x').pathname) ? edit(text, request) : text)
});

/**
 * What it does wrong: `answer` gives an answer of its own, `path` and `host` change what is passed on, `headers` and `body`
 * what comes back; `asked` changes the header fields on their way in, `cut` ends answers after so many ms.
 */
export const faults = {
  'strips WWW-Authenticate': { headers: (_, headers) => delete headers['www-authenticate'] },
  'asks for a password of its own': at(() => true, (_, response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="private"' }).end('no')),
  'has a page for everything that it does not know': at((path) => wellKnown(path), html(200, 'Welcome')),
  'does not forward /.well-known/': at(wellKnown, html(404, '404 Not Found')),
  'hides the authorization server': at((path) => path.includes('oauth-authorization-server') || path.includes('openid-configuration'), html(404, '404 Not Found')),
  'does not forward /oauth/': at((path) => path.startsWith('/oauth/'), html(404, '404 Not Found')),
  'has pages of its own for errors': { answerAfter: (request, status) => (status === 404 ? html(404, '404 Not Found') : undefined) },
  'has pages of its own for refused requests': { answerAfter: (request, status) => (status === 400 && request.url.startsWith('/oauth/token') ? html(400, '400 Bad Request') : undefined) },
  'leads to https': at(() => true, (request, response) => response.writeHead(301, { location: `https://${request.headers.host}${request.url}` }).end()),
  'leads /.well-known/ to https': at(wellKnown, (request, response) => response.writeHead(308, { location: `https://${request.headers.host}${request.url}` }).end()),
  'leads the login to another page': at((path) => path === '/oauth/authorize', (_, response) => response.writeHead(302, { location: 'https://team.cloudflareaccess.com/login' }).end()),
  'changes Host': { host: (_, upstream) => upstream },
  'takes a part of the path away': { prefix: '/deep', path: (path) => (path.startsWith('/deep/') ? path.slice('/deep'.length) : undefined) },
  'keeps the part of the path': { prefix: '/deep' },
  'refuses registration': at((path) => path === '/oauth/register', html(403, '403 Forbidden')),
  'has lost its upstream': at(() => true, html(502, '502 Bad Gateway')),
  'drops the query': { path: (path) => path.split('?')[0] },
  'rewrites addresses to https': editing(wellKnown, (text) => text.replaceAll('http://', 'https://')),
  'adds a slash to the issuer': editing((path) => path.includes('oauth-authorization-server'), (text) => text.replace(/("issuer":"[^"]*)"/, '$1/"')),
  'takes CORS away': { headers: (_, headers) => Object.keys(headers).filter((name) => name.startsWith('access-control-')).forEach((name) => delete headers[name]) },
  'holds streams back': { body: (request, text) => text },
  'drops what clients say of a session': { asked: (headers) => Object.keys(headers).filter((name) => name.startsWith('mcp-')).forEach((name) => delete headers[name]) },
  'refuses large requests': at((_, request) => Number(request.headers['content-length'] ?? 0) > 1 << 20, html(413, '413 Request Entity Too Large')),
  'cuts long answers': { cut: 500 },
  'answers preflights itself': at((_, request) => request.method === 'OPTIONS', html(405, '405 Not Allowed'))
};

/** Starts one in front of the proxy at `upstream()` (host:port). Gives its address, with its prefix. */
export async function front(upstream, { answer, answerAfter, path = (path) => path, host = (host) => host, headers, body, asked, cut, prefix = '' } = {}) {
  const server = createServer((request, response) => {
    const own = answer?.(request);
    if (own) return own(request, response);
    const target = path(request.url);
    if (target === undefined) return html(404, '404 Not Found')(request, response);
    const [hostname, port] = upstream().split(':');
    const fields = { ...request.headers };
    asked?.(fields);
    if (cut) setTimeout(() => response.destroy(), cut);
    const passed = ask({
      hostname, port, path: target, method: request.method, agent: false,
      headers: { ...fields, host: host(request.headers.host, upstream()), connection: 'close', 'x-forwarded-for': request.socket.remoteAddress }
    }, (result) => {
      const mine = answerAfter?.(request, result.statusCode);
      if (mine) return result.resume(), mine(request, response);
      const kept = { ...result.headers };
      headers?.(request, kept);
      if (!body) return result.pipe(response.writeHead(result.statusCode, kept));
      const chunks = [];
      result.on('data', (chunk) => chunks.push(chunk));
      result.on('end', () => {
        const sent = Buffer.from(body(request, Buffer.concat(chunks).toString()));
        delete kept['transfer-encoding'];
        if (request.method !== 'HEAD') kept['content-length'] = sent.length;
        response.writeHead(result.statusCode, kept).end(sent);
      });
    });
    response.on('close', () => passed.destroy());
    passed.on('error', () => { if (!response.headersSent) html(502, '502 Bad Gateway')(request, response); });
    request.pipe(passed);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  server.unref();
  return { base: `http://127.0.0.1:${server.address().port}${prefix}`, close: () => { server.close(); server.closeAllConnections(); } };
}
