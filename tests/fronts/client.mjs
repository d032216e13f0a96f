// A client that sees when each piece of an answer arrives, and chooses the address it comes from.
import { request } from 'node:https';
import { within } from '../oauth/lib.mjs';

/** Sends a request; gives status, headers, and what follows as it comes. */
export function open(url, { method, headers = {}, json, body = json === undefined ? undefined : JSON.stringify(json), from = '127.0.0.1' } = {}) {
  return within(20_000, new Promise((done, fail) => {
    const sent = request(url, {
      method: method ?? (body === undefined ? 'GET' : 'POST'), agent: false, rejectUnauthorized: false, localAddress: from, family: 4,
      headers: { ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }), ...headers }
    }, (answer) => done(new Answer(answer)));
    sent.on('error', fail);
    sent.end(body);
  }), `the head of the answer of ${url}`);
}

/** As `open`, with the whole body as `text` and, where it is JSON, as `json`. */
export async function ask(url, options) {
  const answer = await open(url, options);
  const text = await answer.rest();
  let json;
  try { json = JSON.parse(text); } catch { /* seen by who needs it */ }
  return { status: answer.status, headers: answer.headers, text, json };
}

class Answer {
  #answer; #decoder = new TextDecoder(); #text = ''; #last = ''; #over = false; #wake = () => {};
  /** Events so far: `{at, event, data}`, `at` in ms of the process. */
  events = [];
  /** Comments so far. */
  comments = 0;

  constructor(answer) {
    this.#answer = answer;
    this.status = answer.statusCode;
    this.headers = answer.headers;
    const isStream = answer.headers['content-type']?.startsWith('text/event-stream');
    answer.on('data', (bytes) => {
      const piece = this.#decoder.decode(bytes, { stream: true });
      const mayEnd = `${this.#last}${piece}`.includes('\n\n');
      this.#text += piece;
      this.#last = piece.at(-1) ?? this.#last;
      if (isStream && mayEnd) this.#split();
      this.#wake();
    });
    const end = () => { this.#over = true; this.#wake(); };
    answer.on('end', end).on('error', end).on('close', end);
  }

  #split() {
    const blocks = this.#text.split('\n\n');
    this.#text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split('\n').filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim()).join('\n');
      // An event without data only gives the place from which a client may go on.
      if (field('data')) this.events.push({ at: performance.now(), event: field('event') || 'message', data: field('data') });
      else if (block.startsWith(':')) this.comments++;
    }
  }

  /** The first event that `test` likes. */
  async event(test, what, ms = 20_000) {
    const found = () => this.events.find(test);
    await within(ms, (async () => { while (!found() && !this.#over) await new Promise((done) => { this.#wake = done; }); })(), what);
    if (!found()) throw new Error(`${what} has not come before the end`);
    return found();
  }

  /** Everything, once it has ended. */
  async rest(ms = 30_000) {
    await within(ms, (async () => { while (!this.#over) await new Promise((done) => { this.#wake = done; }); })(), 'the end of the answer');
    return this.#text;
  }

  close() { this.#answer.destroy(); }
}

/** A session of Streamable HTTP at `url`. */
export class Session {
  #next = 1;
  constructor(url, token) {
    this.url = url;
    this.headers = { accept: 'application/json, text/event-stream', ...(token && { authorization: `Bearer ${token}` }) };
  }

  async begin() {
    const answer = await open(this.url, { headers: this.headers, json: call(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'fronts', version: '1' } }) });
    const greeting = await result(answer, 0);
    this.headers = { ...this.headers, 'mcp-session-id': answer.headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' };
    const told = await ask(this.url, { headers: this.headers, json: { jsonrpc: '2.0', method: 'notifications/initialized' } });
    return { status: answer.status, greeting, told: told.status };
  }

  /** Sends a request; gives the answer stream and the id. */
  async send(method, params) {
    const id = this.#next++;
    return { id, answer: await open(this.url, { headers: this.headers, json: call(id, method, params) }) };
  }

  async call(name, args, meta) {
    const { id, answer } = await this.send('tools/call', { name, arguments: args, ...(meta && { _meta: meta }) });
    return { message: await result(answer, id), answer };
  }
}

export const call = (id, method, params) => ({ jsonrpc: '2.0', id, method, params });

/** The JSON-RPC answer to `id`, as JSON or in a stream. */
async function result(answer, id) {
  if (!answer.headers['content-type']?.startsWith('text/event-stream')) return JSON.parse(await answer.rest());
  const { data } = await answer.event(({ data }) => { const message = JSON.parse(data); return message.id === id && !message.method; }, `the answer to ${id}`);
  return JSON.parse(data);
}
