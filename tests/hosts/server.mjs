// server.mjs NAME   a small MCP server over stdio with two tools, which needs nothing but Node.js
//
// `word` answers with a word that can only come from the seed it is given, so whoever sees the word knows that the call
// went all the way. Each call is a line of the file $CALLS.
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

/** The word that belongs to a seed. */
export const wordOf = (seed) => createHash('sha256').update(seed).digest('hex').slice(0, 16);

const schema = (name) => ({ type: 'object', properties: { [name]: { type: 'string' } }, required: [name] });
const tools = [
  { name: 'word', description: 'Gives the word that belongs to a seed', inputSchema: schema('seed'), annotations: { readOnlyHint: true } },
  { name: 'echo', description: 'Gives back a text', inputSchema: schema('text'), annotations: { readOnlyHint: true } }
];
const TAKEN = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];
const text = (words) => ({ content: [{ type: 'text', text: words }] });

function answer(name, { method, params }) {
  if (method === 'initialize') {
    const protocolVersion = TAKEN.includes(params.protocolVersion) ? params.protocolVersion : TAKEN.at(-1);
    return { result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name, version: '1' } } };
  }
  if (method === 'ping') return { result: {} };
  if (method === 'tools/list') return { result: { tools } };
  if (method !== 'tools/call') return { error: { code: -32601, message: 'not offered' } };
  const given = params.arguments ?? {};
  appendFileSync(process.env.CALLS, `${JSON.stringify({ server: name, tool: params.name, given })}\n`);
  if (params.name === 'word') return { result: text(`The word is ${wordOf(String(given.seed))}.`) };
  if (params.name === 'echo') return { result: text(String(given.text)) };
  return { error: { code: -32602, message: 'unknown tool' } };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const name = process.argv[2];
  createInterface({ input: process.stdin }).on('line', (line) => {
    const message = JSON.parse(line);
    if (message.id === undefined || message.method === undefined) return;
    process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer(name, message) })}\n`);
  });
}
