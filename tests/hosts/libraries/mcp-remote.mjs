// The bridge for programs that only start servers, as `client-config --for claude` has it started.
import { join } from 'node:path';
import { stdio } from '../../fleet/client.mjs';
import { steps, transport, url } from './steps/steps.mjs';

const script = join(process.env.HOST_FOLDER, 'node_modules/mcp-remote/dist/proxy.js');
const args = [script, url, ...(transport === 'sse' ? ['--transport', 'sse-only'] : [])];
const client = stdio({ command: process.execPath, args, env: process.env, cwd: '.' }, 'bridge.log');
await client.hello();
await client.ask('tools/list', {});
await steps(async (seed) => JSON.parse(await client.ask('tools/call', { name: 'alpha__word', arguments: { seed } })), client.close);
