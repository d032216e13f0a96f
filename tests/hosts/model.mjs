// A model that takes no time to think: it calls the tool `word` of the server `alpha`, looks for the word in what the host
// sends next, asks for a restart of the proxy, calls again, and says that it is done.
//
// It speaks what hosts ask their models in, see dialects.mjs. `POST /restart` is for hosts that need no model.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dialectOf } from './dialects.mjs';
import { wordOf } from './server.mjs';

const SEEDS = ['before', 'after', 'once more'];
/** Hosts put something before the name that the proxy publishes, or shorten nothing. */
const IS_TOOL = /alpha__word$/;
/** Some hosts name most tools in their words only, and offer one that calls them. */
const BRIDGE = 'tool_call';

function find(tools, text) {
  const named = tools.some(({ name }) => name === BRIDGE) && /\w[\w-]*alpha__word/.exec(text)?.[0];
  return tools.find(({ name }) => IS_TOOL.test(name)) ?? (named ? { name: BRIDGE, named } : undefined);
}

export class Model {
  /** `restart` ends the proxy and starts it again; `log` is a file that gets one line of JSON for each request. */
  constructor(restart, log) {
    Object.assign(this, { restart, log, asked: 0, seen: new Set(), calls: 0, restarts: 0 });
  }
  async listen() {
    this.server = createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        this.answer(request, Buffer.concat(chunks).toString(), response).catch((error) => {
          appendFileSync(this.log, `${JSON.stringify({ error: error.stack })}\n`);
          response.destroy();
        });
      });
      request.on('error', () => {});
      response.on('error', () => {});
    });
    this.server.requestTimeout = 0;
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }
  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
  async answer(request, text, response) {
    if (request.url === '/restart') {
      await this.restartOnce();
      return void response.end('ok');
    }
    const body = text ? JSON.parse(text) : {};
    const dialect = dialectOf(request.method, request.url);
    const turn = dialect?.tools && (await this.decide(dialect.tools(body), text));
    appendFileSync(this.log, `${JSON.stringify({ method: request.method, url: request.url, turn, body })}\n`);
    if (!dialect) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"not offered"}}');
    const { type = 'application/json', text: reply } = dialect.reply(turn, body);
    response.writeHead(200, { 'content-type': type }).end(reply);
  }
  async restartOnce() {
    if (this.restarts++ === 0) await this.restart();
  }
  /** The next turn: `{ call, given }` or `{ say }`. */
  async decide(tools, text) {
    this.asked++;
    const tool = find(tools, text);
    if (!tool) return { say: 'There is nothing to call.' };
    for (const seed of SEEDS.slice(0, this.calls)) if (text.includes(wordOf(seed))) this.seen.add(seed);
    const call = () => {
      const given = { seed: SEEDS[this.calls++] };
      return { call: tool, id: `call_${this.calls}`, given: tool.named ? { name: tool.named, arguments: given } : given };
    };
    if (this.calls === 0) return call();
    if (!this.seen.has(SEEDS[0]) || this.seen.size > 1 || this.calls === SEEDS.length) return { say: 'Done.' };
    await this.restartOnce();
    return call();
  }
}
