// The other sites of the story, all on one local port: the client that waits for its answer, and pages of strangers.
// To a browser 127.0.0.1 and localhost are two sites; both lead here.
import { createServer } from 'node:http';
import { until } from './flow.mjs';

const page = (title, body) => `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<link rel="icon" href="data:,"></head><body>${body}</body></html>`;
const BACK = page('Back', `<p>Back at the application.</p>
<script>if (window.opener) window.opener.postMessage(location.search, '*');</script>`);

/** Starts the sites. */
export async function startSites() {
  const hits = [];
  const pages = new Map();
  const server = createServer((request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    if (url.pathname === '/cb') hits.push({ url: url.href, method: request.method, referer: request.headers.referer });
    const body = url.pathname === '/cb' ? BACK : pages.get(url.pathname);
    const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' };
    response.writeHead(body === undefined ? 404 : 200, headers);
    response.end(body ?? '');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();

  return {
    port,
    /** The redirect target of a client. */
    callback: `http://127.0.0.1:${port}/cb`,
    /** All answers to `asked` so far. */
    answers: (asked) => hits.filter((hit) => new URL(hit.url).searchParams.get('state') === asked.state),
    /** Waits for the first answer to `asked`. */
    answer(asked) {
      return until(`an answer for ${asked.state}`, () => this.answers(asked)[0]);
    },
    /** Puts up a page, and gives its addresses: on the site of the proxy but another port, and on another site. */
    publish(path, body) {
      pages.set(path, page('A page of a stranger', body));
      return { near: `http://127.0.0.1:${port}${path}`, far: `http://localhost:${port}${path}` };
    },
    stop: () => server.closeAllConnections() ?? server.close(),
  };
}
