// short.mjs CLIENT TARGET PLAN   the tools of one endpoint, with a client that is no SDK of the protocol's own
//
//   CLIENT  the package of an AI SDK client (ai-sdk-mcp-old, @ai-sdk/mcp), or `inspector`: its command line
//   TARGET, PLAN   as for client.mjs
//
// Lists the tools, calls those that the plan has arguments for, and one that nobody has. Prints a transcript of the shape
// that client.mjs prints, with what the client made of the answers. None of these clients tells of progress. The
// inspector is a process for each step, so it asks for the tools of `few` alone, with their first and last arguments.
// fastmcp.py does the same with FastMCP.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [client, target, plan] = process.argv.slice(2, 5).map((text, at) => (at ? JSON.parse(text) : text));
const limit = 20_000;

/** A client that drops an answer would wait for ever. */
function soon(what, promise) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${what}: no answer within ${limit / 1000} s`)), limit); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function aiSdk() {
  const { createMCPClient } = await import(client);
  const { Experimental_StdioMCPTransport: Stdio } = await import(`${client}/mcp-stdio`);
  const { kind, url, command, args, env } = target;
  const transport = kind === 'stdio' ? new Stdio({ command, args, env, stderr: 'ignore' }) : { type: kind, url };
  const opened = await soon('connecting', createMCPClient({ transport }));
  return {
    few: false,
    instructions: opened.instructions,
    page: (cursor) => opened.listTools(cursor && { params: { cursor } }),
    // As a model's host calls it. Of a tool that was not listed the SDK has to be told.
    call: (name, args, definition = { name, inputSchema: { type: 'object' } }) =>
      opened.toolsFromDefinitions({ tools: [definition] })[name].execute(args, { toolCallId: '1', messages: [] }),
    close: () => opened.close()
  };
}

function inspector() {
  const program = fileURLToPath(import.meta.resolve('@modelcontextprotocol/inspector/clients/cli/build/index.js'));
  const { kind, url, command, args, env } = target;
  const variables = Object.entries(env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  const there = kind === 'stdio' ? [...variables, '--', command, ...args] : ['--transport', kind, '--server-url', url];
  const ask = async (method, options = []) => {
    const child = spawn(process.execPath, [program, '--format', 'json', '--quiet', '--method', method, ...options, ...there]);
    const said = { stdout: '', stderr: '' };
    for (const stream of Object.keys(said)) child[stream].setEncoding('utf8').on('data', (text) => (said[stream] += text));
    const code = await new Promise((done) => child.on('close', done)).finally(() => child.kill('SIGKILL'));
    if (!said.stdout) throw new Error(`status ${code}: ${said.stderr.trim()}`);
    const { result } = JSON.parse(said.stdout);
    if ((code !== 0) !== (result.isError ?? false)) throw new Error(`status ${code} for ${said.stdout}`);
    return result;
  };
  return {
    few: true,
    page: () => ask('tools/list'),
    call: (name, args) => ask('tools/call', ['--tool-name', name, '--tool-args-json', JSON.stringify(args)]),
    close: () => {}
  };
}

// What a client does not show of `initialize` is not compared.
const transcript = { init: undefined, lists: {}, parts: Object.fromEntries(plan.parts.map(({ key }) => [key, []])), late: [] };

/** The answer, and how the client tells that there is none. */
async function answerTo(what, call) {
  try {
    return await soon(what, call());
  } catch (error) {
    return { error: { code: error.code, message: error.message } };
  }
}

async function everything(opened) {
  const tools = (transcript.lists.tools = []);
  for (let cursor; ;) {
    const page = await soon('the list', opened.page(cursor));
    tools.push(...page.tools);
    if (!(cursor = page.nextCursor)) break;
  }
  for (const part of plan.parts) {
    const steps = transcript.parts[part.key];
    const of = (name) => (opened.few ? [part.tools[name].at(0), part.tools[name].at(-1)] : part.tools[name]);
    for (const name of opened.few ? part.few : Object.keys(part.tools)) {
      const published = part.prefix + name;
      const definition = tools.find((tool) => tool.name === published);
      for (const args of of(name)) {
        const step = `tool ${name} ${JSON.stringify(args)}`;
        steps.push({ name: step, answer: await answerTo(step, () => opened.call(published, args, definition)) });
      }
    }
    // A server's words for this are not the proxy's.
    const { isError, error } = await answerTo('a tool of nobody', () => opened.call(`${part.prefix}nobody`, {}));
    steps.push({ name: 'a tool of nobody', answer: { refused: isError === true || error !== undefined } });
  }
}

let opened;
try {
  opened = await (client === 'inspector' ? inspector() : aiSdk());
  transcript.init = { capabilities: {}, instructions: opened.instructions };
  await everything(opened);
} catch (error) {
  transcript.error = error.message;
}
await opened?.close();
process.stdout.write(JSON.stringify(transcript), () => process.exit(0));
