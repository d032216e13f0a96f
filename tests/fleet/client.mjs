// Two small clients: one speaks to a server over stdio, one to an endpoint of the proxy over Streamable HTTP.
//
// Both have `ask(method, params)`, which gives the text of the answer, `hello()`, and `close()`.
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';

const GREETING = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'fleet', version: '1' } };
const PATIENCE = 60_000;

async function hello(client) {
  const text = await client.ask('initialize', GREETING);
  await client.tell('notifications/initialized');
  return JSON.parse(text);
}

/** Starts a server as a process group of its own; its stderr goes to the file `log`. */
export function stdio({ command, args, env, cwd }, log) {
  const child = spawn(command, args, { env, cwd, detached: true, stdio: ['pipe', 'pipe', openSync(log, 'a')] });
  const waiting = new Map();
  let next = 1;
  let failure;
  const fail = (reason) => {
    failure ??= new Error(reason);
    for (const { reject } of waiting.values()) reject(failure);
    waiting.clear();
  };
  const ended = new Promise((done) => child.on('close', (code, signal) => {
    fail(`the server ended with ${code ?? signal}`);
    done();
  }));
  child.on('error', (error) => fail(error.message));
  child.stdin.on('error', () => {});
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const line = (text) => {
    let message;
    try { message = JSON.parse(text); } catch { return; } // not a message: some servers print to stdout
    if (message?.method !== undefined) {
      if (message.method === 'ping') send({ id: message.id, result: {} });
      else if (message.id !== undefined) send({ id: message.id, error: { code: -32601, message: 'not offered' } });
      return;
    }
    waiting.get(message?.id)?.resolve(text);
    waiting.delete(message?.id);
  };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const text of lines) line(text.trim());
  });
  const client = {
    ask: (method, params) => new Promise((resolve, reject) => {
      if (failure) return reject(failure);
      const id = next++;
      const timer = setTimeout(() => reject(new Error(`no answer to ${method} after ${PATIENCE / 1000} s`)), PATIENCE);
      waiting.set(id, { resolve: (text) => { clearTimeout(timer); resolve(text); }, reject: (error) => { clearTimeout(timer); reject(error); } });
      send({ id, method, params });
    }),
    tell: async (method) => send({ method }),
    hello: () => hello(client),
    /** Ends the server's group by its id. */
    close: async () => {
      const signal = (name) => { try { process.kill(-child.pid, name); } catch { /* gone */ } };
      child.stdin.end();
      for (const name of ['SIGTERM', 'SIGKILL']) {
        const timer = new Promise((done) => setTimeout(done, 1500, 'late'));
        if ((await Promise.race([ended, timer])) !== 'late') break;
        signal(name);
      }
      signal('SIGKILL'); // what the server itself has left in its group
    }
  };
  return client;
}

/** Speaks to one endpoint over Streamable HTTP. */
export function http(url) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  let next = 1;
  const post = async (message) => {
    const response = await fetch(url, {
      method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }), signal: AbortSignal.timeout(PATIENCE)
    });
    return response;
  };
  const client = {
    ask: async (method, params) => {
      const id = next++;
      const response = await post({ id, method, params });
      const text = await response.text();
      if (method === 'initialize') {
        if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 200)}`);
        headers['mcp-session-id'] = response.headers.get('mcp-session-id');
        headers['mcp-protocol-version'] = '2025-11-25';
      }
      if (!response.headers.get('content-type')?.includes('text/event-stream')) return text;
      for (const event of text.split(/\r?\n\r?\n/)) {
        const data = event.split(/\r?\n/).filter((l) => l.startsWith('data:')).map((l) => l.slice(5).replace(/^ /, '')).join('\n');
        if (!data) continue;
        const message = JSON.parse(data);
        if (message.id === id && message.method === undefined) return data;
      }
      throw new Error(`the stream of ${method} ended without the answer`);
    },
    tell: async (method) => { await (await post({ method })).text(); },
    hello: async () => {
      const greeting = await hello(client);
      headers['mcp-protocol-version'] = greeting.result.protocolVersion;
      return greeting;
    },
    close: async () => { await (await fetch(url, { method: 'DELETE', headers })).text(); }
  };
  return client;
}
