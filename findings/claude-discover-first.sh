#!/usr/bin/env bash
# claude-discover-first.sh   what Claude Code says first to an MCP server over Streamable HTTP
#
# Packages: @anthropic-ai/claude-code 2.1.328 (npm), Node.js 20 or newer for the server, which is below.
#
# Behaviour: the first message is not `initialize`. It is the request `server/discover` of revision 2026-07-28, with that
# revision in the header MCP-Protocol-Version. A server that does not know the method and answers 400 with -32600 gets
# `initialize` of 2025-11-25 next. A server or gateway that lets nothing in before `initialize` therefore has to answer at
# once, and must neither wait nor end the connection without an answer.
#
# Output seen:
#   server/discover 2026-07-28
#   initialize 2025-11-25
#   notifications/initialized 2025-11-25
#   first: server/discover 2026-07-28, then: initialize 2025-11-25
#
# Fails when the first two messages are others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @anthropic-ai/claude-code@2.1.328 >/dev/null
cat > server.mjs <<'JS'
// An MCP server without tools; it prints what it is sent, starts Claude Code, and ends when enough was said.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const sent = [];
const finish = () => {
  try { process.kill(-child.pid, 'SIGKILL'); } catch { /* gone */ }
  const [first, then] = sent;
  console.log(`first: ${first}, then: ${then}`);
  process.exit(first === 'server/discover 2026-07-28' && then === 'initialize 2025-11-25' ? 0 : 1);
};
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => { body += chunk; }).on('end', () => {
    const answer = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(value && JSON.stringify(value));
    if (request.url !== '/mcp' || request.method !== 'POST') return answer(405);
    const { id, method, params } = JSON.parse(body);
    const said = `${method} ${params?.protocolVersion ?? request.headers['mcp-protocol-version']}`;
    if (sent.length < 3) console.log(said);
    sent.push(said);
    if (sent.length === 3) setTimeout(finish, 100);
    if (method === 'initialize') return answer(200, { jsonrpc: '2.0', id, result: { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: 'finding', version: '1' } } });
    if (id === undefined) return answer(202);
    return answer(400, { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'send initialize first' } });
  });
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${server.address().port}`;
mkdirSync('home');
writeFileSync('mcp.json', JSON.stringify({ mcpServers: { finding: { type: 'http', url: `${url}/mcp` } } }));
const program = `node_modules/@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`;
// The model is at the same address, where nothing answers it: what is asked for comes before it is needed.
const child = spawn(program, ['-p', 'hello', '--mcp-config', 'mcp.json', '--strict-mcp-config'], {
  detached: true, stdio: 'ignore',
  env: {
    PATH: process.env.PATH, HOME: `${process.cwd()}/home`, ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: 'not-a-key',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_TELEMETRY: '1', DISABLE_AUTOUPDATER: '1', DISABLE_ERROR_REPORTING: '1'
  }
});
child.on('error', (error) => { console.log(error.message); process.exit(1); });
setTimeout(finish, 60_000);
JS
node server.mjs
