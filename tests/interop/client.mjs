// client.mjs TARGET PLAN   holds a whole conversation with one endpoint, with the official npm SDK
//
//   TARGET  JSON: {"kind": "stdio", "command", "args", "env"} or {"kind": "sse" | "http", "url"}; with "resume": false
//           broken event streams are not resumed
//   PLAN    JSON: {"roots": […], "parts": [{"key", "prefix", …}]}; a part is an entry of `plans` in plan.json with the
//           prefix that the names of its server carry here ("" where the endpoint is that of one server)
//
// Prints one JSON object, the transcript: what `initialize` gave, the lists, and for each part its steps: the name, the
// answer as it came over the wire (a tap on the transport sees it before the SDK parses it), what the server asked
// meanwhile, and what it told. client.py prints the same shape.
//
// It offers sampling, elicitation (form and URL) and roots with list_changed. What a step says of `answers` is given to
// the questions that come during it, in their order; a question that the step does not foresee gets an error. When the
// conversation cannot go on, `error` of the transcript says why.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema, McpError } from '@modelcontextprotocol/sdk/types.js';

const [target, plan] = process.argv.slice(2, 4).map((text) => JSON.parse(text));
const limits = { timeout: 20_000 };
let patience = 5_000; // for what may come later than an answer: progress, log messages, news, questions

function transportOf({ kind, url, resume, command, args, env }) {
  if (kind === 'sse') return new SSEClientTransport(new URL(url));
  if (kind === 'http') {
    const never = { maxRetries: 0, initialReconnectionDelay: 1000, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1 };
    return new StreamableHTTPClientTransport(new URL(url), resume === false ? { reconnectionOptions: never } : {});
  }
  return new StdioClientTransport({ command, args, env, stderr: 'ignore' });
}

// ------------------------------------------------------------- what comes

/** What came since the step began. */
let at;
const begin = (answers = []) => (at = { answer: undefined, answers: [...answers], questions: [], progress: [], log: [], updated: [], changed: [], hold: undefined });
begin();
let roots = plan.roots;
let changes = 0; // of the list of tools, since the beginning
const cancelled = new Set(); // ids of requests that were given up: no answer may come

const told = {
  'notifications/progress': ({ progressToken, ...rest }) => cancelled.has(progressToken) || at.progress.push(rest), // the SDK's token is the id
  'notifications/message': ({ level, logger, data }) => at.log.push(`${level} ${logger ?? '-'}: ${typeof data === 'string' ? data : JSON.stringify(data)}`),
  'notifications/resources/updated': ({ uri }) => at.updated.push(uri),
  'notifications/tools/list_changed': () => { changes++; at.changed.push('tools'); },
  'notifications/prompts/list_changed': () => at.changed.push('prompts'),
  'notifications/resources/list_changed': () => at.changed.push('resources')
};
let lastId;
function tap(transport) {
  transport.onmessage = (message) => { // the SDK keeps it and calls it first
    if (message.method === undefined) {
      if (cancelled.has(message.id)) transcript.late.push(message);
      else at.answer = message;
    } else if (message.id === undefined) {
      told[message.method]?.(message.params ?? {});
    } else if (message.method !== 'ping' && message.method !== 'roots/list') {
      at.questions.push({ method: message.method, params: message.params });
    }
  };
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    if (message.method !== undefined && message.id !== undefined) lastId = message.id;
    return send(message, options);
  };
  return transport;
}

async function answer({ params }) {
  const planned = at.hold ? await at.hold() : at.answers.shift();
  if (planned === 'never') return new Promise(() => {});
  if (planned?.error) throw new McpError(planned.error.code, planned.error.message);
  if (planned === undefined) throw new McpError(-32603, 'the plan has no answer to this');
  const asked = params.messages?.at(-1).content;
  return JSON.parse(JSON.stringify(planned).replaceAll('ECHO', JSON.stringify([asked].flat()[0]?.text ?? '').slice(1, -1)));
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
/** Looks every 10 ms, for as long as patience lasts. It halves with each disappointment. */
async function soon(probe) {
  for (const end = Date.now() + patience; Date.now() < end; await pause(10)) if (await probe()) return true;
  patience = Math.max(patience / 2, 200);
  return false;
}

// ------------------------------------------------------------------ steps

const transcript = { init: undefined, lists: {}, parts: Object.fromEntries(plan.parts.map(({ key }) => [key, []])), late: [] };
let steps; // of the part at hand

/** One step; `want` says what belongs to it beside its answer. */
async function step(name, run, want = {}) {
  begin(want.answers);
  let refused;
  try { await run(); } catch (error) { refused = error.message; }
  const entry = { name, answer: at.answer?.error ? { error: at.answer.error } : at.answer?.result };
  if (refused !== undefined && !at.answer?.error) entry.client = refused; // the SDK itself was not content
  await hear(entry, want);
  return entry.answer;
}

/** Waits for what is to come beside the answer, and notes it. Repeated news counts once. */
async function hear(entry, want) {
  const lines = () => at.log.filter((line) => new RegExp(want.log ?? want.quiet).test(line));
  await soon(() => at.progress.length >= (want.progress ?? 0)
    && (!want.log || lines().length >= (want.everywhere ? plan.parts.length : 1))
    && (want.updated ?? []).every((uri) => at.updated.includes(uri))
    && (!want.changed || at.changed.includes(want.changed)));
  if (want.quiet) await client.ping(limits);
  if (at.progress.length) entry.progress = at.progress;
  if (at.questions.length) entry.questions = at.questions;
  if (want.log || want.quiet) entry.log = [...new Set(lines())].sort();
  if (want.updated) entry.updated = [...new Set(at.updated)].sort();
  if (want.changed) entry.changed = at.changed.includes(want.changed);
  steps.push(entry);
}

/** Follows `nextCursor`. */
async function list(what, call) {
  const items = [];
  let cursor;
  do {
    begin();
    await call(cursor ? { cursor } : undefined, limits);
    items.push(...at.answer.result[what]);
    cursor = at.answer.result.nextCursor;
  } while (cursor);
  return (transcript.lists[what] = items);
}

/**
 * The tools. The first list does not wait for a child of this client alone, so what a server offers only to those whom
 * it may ask comes with a change of the list. Without that news nothing is listed again, and the comparison tells it.
 */
async function listTools() {
  const late = (items) => plan.parts.some(({ prefix, asks }) => asks && !items.some(({ name }) => name === prefix + asks.tool));
  for (;;) {
    const before = changes;
    const items = await list('tools', (p, o) => client.listTools(p, o));
    if (!late(items) || !(await soon(() => changes > before))) return items;
  }
}

/** Calls what is listed with the planned arguments; what the plan does not name at all is an oversight. */
async function each(kind, part, listed, given, known, call) {
  for (const { name: published } of listed.filter(({ name }) => name.startsWith(part.prefix))) {
    const name = published.slice(part.prefix.length);
    if (!given[name] && !known.has(name)) steps.push({ name: `${kind} ${name} is not in the plan` });
    for (const args of given[name] ?? []) {
      const want = { progress: part.progress?.[name], changed: part.changed?.[name] };
      await step(`${kind} ${name} ${JSON.stringify(args)}`, () => call(published, args), want);
    }
  }
}

/** Calls a tool, as a task where the server insists on that. */
async function callTool(name, args, options = {}) {
  const tool = transcript.lists.tools.find((tool) => tool.name === name);
  if (tool?.execution?.taskSupport !== 'required') {
    return client.callTool({ name, arguments: args }, undefined, { ...limits, onprogress: () => {}, ...options });
  }
  for await (const message of client.experimental.tasks.callToolStream({ name, arguments: args }, undefined, { ...limits, task: { ttl: 60_000 } })) {
    if (message.type === 'error') throw message.error;
    if (message.type === 'result') return message.result;
  }
}

const talk = {
  call: (part, { call, arguments: args, until }) => async () => {
    const once = () => callTool(part.prefix + call, args);
    if (until) await soon(async () => JSON.stringify(await once()).includes(until));
    else await once();
  },
  level: (_, { level }) => () => client.setLoggingLevel(level, limits),
  subscribe: (_, { subscribe: uri }) => () => client.subscribeResource({ uri }, limits),
  unsubscribe: (_, { unsubscribe: uri }) => () => client.unsubscribeResource({ uri }, limits),
  roots: (_, step) => () => { roots = step.roots; return client.sendRootsListChanged(); },
  cancel: (part, { cancel, arguments: args, after }) => async () => {
    const gone = new AbortController();
    const call = callTool(part.prefix + cancel, args, { signal: gone.signal }).then(() => 'it was answered', () => null);
    const id = lastId;
    const came = await soon(() => at[after].length);
    cancelled.add(id);
    gone.abort('changed my mind');
    const answered = await call;
    at.progress = [];
    if (!came) throw new Error(`no ${after} came`);
    if (answered) throw new Error(answered);
  },
  together: (part, { together }) => async () => {
    const results = await Promise.allSettled(together.map(({ call, arguments: args }) => callTool(part.prefix + call, args)));
    at.answer = { result: results.map(outcome) };
  }
};
const outcome = ({ value, reason }) => (reason ? { error: { code: reason.code, message: reason.message } } : value);

/** All at once, of all parts: each answer must be the one to its own question. */
async function bursts() {
  const words = Array.from({ length: 25 }, (_, i) => `word ${i}`);
  await Promise.all(plan.parts.map(async ({ key, prefix, burst: { tool, argument, expect, with: more } }) => {
    const answers = await Promise.allSettled(words.map((w) => client.callTool({ name: prefix + tool, arguments: { ...more, [argument]: w } }, undefined, limits)));
    const wrong = answers.map(outcome).filter((a, i) => !a.content?.[0]?.text.includes(expect.replace('WORD', words[i])));
    transcript.parts[key].push({ name: `burst of ${tool}`, answer: { wrong } });
  }));
}

/**
 * Calls of all parts that ask something, open at the same time; the questions are answered last first. This comes
 * early, when the servers have asked equally often, so that their own ids for the questions are the same.
 */
async function asks() {
  const asking = plan.parts.filter((part) => part.asks);
  begin();
  const open = [];
  const all = asking.reduce((n, part) => n + part.asks.arguments.length, 0);
  at.hold = () => new Promise((give) => open.push(give));
  const calls = asking.map((part) => Promise.allSettled(part.asks.arguments.map((args) => callTool(part.prefix + part.asks.tool, args))));
  const came = await soon(() => open.length === all);
  for (const give of open.reverse()) {
    give(asking[0].asks.answer);
    await pause(5);
  }
  if (!came) at.hold = () => asking[0].asks.answer;
  for (const [i, part] of asking.entries()) {
    const entry = { name: `questions of ${part.asks.tool} at once`, answer: { results: (await calls[i]).map(outcome) } };
    if (!came) entry.client = `${open.length} of ${all} questions were open at the same time`;
    transcript.parts[part.key].push(entry);
  }
}

// ----------------------------------------------------------- conversation

const client = new Client({ name: 'interop', version: '1' }, { capabilities: { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } } });
client.setRequestHandler(CreateMessageRequestSchema, answer);
client.setRequestHandler(ElicitRequestSchema, answer);
client.setRequestHandler(ListRootsRequestSchema, () => ({ roots }));

async function everything() {
  const has = client.getServerCapabilities();
  const tools = await listTools();
  const prompts = has.prompts ? await list('prompts', (p, o) => client.listPrompts(p, o)) : [];
  await asks();
  for (const part of plan.parts) {
    steps = transcript.parts[part.key];
    await step('ping', () => client.ping(limits));
    const planned = (part.talk ?? []).flatMap((step) => step.together ?? step).map((step) => step.call ?? step.cancel);
    const known = new Set([...Object.keys(part.skip), ...planned]);
    for (const [n, words] of (part.first ?? []).entries()) await step(`first ${n}: call ${words.call}`, talk.call(part, words), words);
    await each('tool', part, tools, part.tools, known, callTool);
    await each('prompt', part, prompts, part.prompts, known, (name, args) => client.getPrompt({ name, arguments: args }, limits));
    if (has.completions) {
      for (const { ref, ...params } of part.complete) {
        const there = ref.name === undefined ? ref : { ...ref, name: part.prefix + ref.name };
        await step(`complete ${JSON.stringify({ ref, ...params })}`, () => client.complete({ ref: there, ...params }, limits));
      }
    }
    for (const [n, words] of (part.talk ?? []).entries()) {
      const verb = Object.keys(words)[0];
      await step(`talk ${n}: ${verb} ${typeof words[verb] === 'string' ? words[verb] : ''}`, talk[verb](part, words), words);
    }
    if (!has.resources) continue;
    // After the tools, since some of them change what there is.
    const resources = await list('resources', (p, o) => client.listResources(p, o));
    await list('resourceTemplates', (p, o) => client.listResourceTemplates(p, o));
    for (const uri of part.read ? [...resources.map((r) => r.uri), ...part.read] : []) await step(`read ${uri}`, () => client.readResource({ uri }, limits));
  }
}

const transport = tap(transportOf(target));
try {
  await client.connect(transport, limits);
  transcript.init = at.answer.result;
  await everything();
  await bursts();
  if (target.kind === 'http') await transport.terminateSession();
} catch (error) {
  transcript.error = error.message;
}
await client.close();
process.stdout.write(JSON.stringify(transcript), () => process.exit(0));
