// client.mjs TARGET PLAN   uses everything one MCP server offers, with the official npm SDK
//
//   TARGET  JSON: {"kind": "stdio", "command", "args", "env"} or {"kind": "sse" | "http", "url"}
//   PLAN    JSON: one server's entry of plan.json
//
// Prints one JSON object, the transcript: what `initialize` gave, and for each step its name and its answer as it
// came over the wire (a tap on the transport sees it before the SDK parses it). client.py prints the same shape.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [target, plan] = process.argv.slice(2, 4).map((text) => JSON.parse(text));
const limits = { timeout: 20_000 };

function transportOf({ kind, url, command, args, env }) {
  if (kind === 'sse') return new SSEClientTransport(new URL(url));
  if (kind === 'http') return new StreamableHTTPClientTransport(new URL(url));
  return new StdioClientTransport({ command, args, env, stderr: 'ignore' });
}

// The last answer and the progress seen since the step began.
const seen = { answer: undefined, progress: [] };
function tap(transport) {
  transport.onmessage = (message) => { // the SDK keeps it and calls it first
    if (message.method === 'notifications/progress') {
      const { progressToken: _, ...rest } = message.params;
      seen.progress.push(rest);
    }
    if (message.method === undefined) seen.answer = message;
  };
  return transport;
}

const transcript = { init: undefined, steps: [] };
async function step(name, run) {
  seen.answer = undefined;
  seen.progress = [];
  let refused;
  try { await run(); } catch (error) { refused = error.message; }
  const entry = { name, answer: seen.answer?.error ? { error: seen.answer.error } : seen.answer?.result };
  if (refused !== undefined && !seen.answer?.error) entry.client = refused; // the SDK itself was not content
  if (seen.progress.length) entry.progress = seen.progress;
  transcript.steps.push(entry);
  return entry.answer;
}

/** Follows `nextCursor`; each page is a step of its own. */
async function list(what, call) {
  const items = [];
  let cursor;
  do {
    const page = await step(`${what}/list`, () => call(cursor ? { cursor } : undefined, limits));
    items.push(...(page?.[what.replace('resources/templates', 'resourceTemplates')] ?? []));
    cursor = page?.nextCursor;
  } while (cursor);
  return items;
}

/** Calls what is listed with the planned arguments; what is in neither `given` nor `skip` is an oversight. */
async function each(kind, listed, given, skip, call) {
  for (const { name } of listed) {
    if (skip[name]) continue;
    if (!given[name]) await step(`${kind} ${name} is not in the plan`, () => {});
    for (const args of given[name] ?? []) await step(`${kind} ${name} ${JSON.stringify(args)}`, () => call(name, args));
  }
}

const client = new Client({ name: 'interop', version: '1' });
await client.connect(tap(transportOf(target)), limits);
transcript.init = seen.answer.result;
const has = client.getServerCapabilities();

await step('ping', () => client.ping(limits));
const tools = await list('tools', (p, o) => client.listTools(p, o));
await each('tool', tools, plan.tools, plan.skip, (name, args) =>
  client.callTool({ name, arguments: args }, undefined, { ...limits, onprogress: () => {} }));
if (has.resources) {
  const resources = await list('resources', (p, o) => client.listResources(p, o));
  await list('resources/templates', (p, o) => client.listResourceTemplates(p, o));
  for (const uri of [...resources.map((r) => r.uri), ...plan.read]) await step(`read ${uri}`, () => client.readResource({ uri }, limits));
}
if (has.prompts) {
  const prompts = await list('prompts', (p, o) => client.listPrompts(p, o));
  await each('prompt', prompts, plan.prompts, plan.skip, (name, args) => client.getPrompt({ name, arguments: args }, limits));
}
if (has.completions) for (const params of plan.complete) await step(`complete ${JSON.stringify(params)}`, () => client.complete(params, limits));

// Many calls at once: each answer must be the one to its own question.
const { tool, argument, expect } = plan.burst;
const words = Array.from({ length: 25 }, (_, i) => `word ${i}`);
const answers = await Promise.all(words.map((w) => client.callTool({ name: tool, arguments: { ...plan.burst.with, [argument]: w } }, undefined, limits)));
const wrong = answers.filter((a, i) => !a.content[0].text.includes(expect.replace('WORD', words[i])));
transcript.steps.push({ name: `burst of ${tool}`, answer: { wrong } });

await client.close();
process.stdout.write(JSON.stringify(transcript), () => process.exit(0));
